using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;
using ModelPipeline.Inspection;
using ModelPipeline.Manifest;
using ModelPipeline.Onnx;
using ModelPipeline.Proposals;

namespace ModelPipeline.Tests.Proposals;

/// <summary>What a model's files and outputs say it is for.</summary>
public sealed class TaskChoiceTests
{
    private static readonly Dimension Batch = new(null, "batch"),
        Tokens = new(null, "tokens");

    [Fact]
    public void One_logit_is_a_rerankers() =>
        Assert.Equal(("rerank", null), Of([Output("logits", Batch, 1)]) is var choice ? (choice.Task, choice.Label) : default);

    [Theory]
    [InlineData("LABEL_0", "LABEL_1", "rerank", 1)]
    [InlineData("relevant", "irrelevant", "rerank", 0)]
    [InlineData("positive", "negative", "rerank", 0)]
    [InlineData("ham", "spam", "classify", null)]
    public void Two_labels_are_a_rerankers_if_one_may_mean_relevant(string first, string second, string task, int? label)
    {
        var choice = Of([Output("logits", Batch, 2)], new ConfigFacts("bert", "BertForSequenceClassification", [first, second], 512));
        Assert.Equal((task, label), (choice.Task, choice.Label));
        Assert.NotEmpty(choice.Doubts);
    }

    [Fact]
    public void Three_labels_are_a_classifiers() =>
        Assert.Equal("classify", Of([Output("logits", Batch, 3)], new ConfigFacts("bert", "", ["a", "b", "c"], 512)).Task);

    [Fact]
    public void States_are_pooled_as_the_files_say_and_by_mean_with_a_doubt_where_they_do_not()
    {
        var states = Output("last_hidden_state", Batch, Tokens, 8);
        var told = Of([states], sentence: new SentenceTransformersFiles("cls", null, true, []));
        Assert.Equal(("embed", "cls", true), (told.Task, told.Pooling, told.Normalize));
        var open = Of([states]);
        Assert.Equal(("embed", "mean", false), (open.Task, open.Pooling, open.Normalize));
        Assert.Contains(open.Doubts, doubt => doubt.Contains("mean is taken"));
    }

    [Fact]
    public void A_pooled_output_is_left_as_it_is()
    {
        var choice = Of(
            [Output("token_embeddings", Batch, Tokens, 8), Output("sentence_embedding", Batch, 8)],
            sentence: new SentenceTransformersFiles("mean", null, true, [])
        );
        Assert.Equal(("embed", null, true), (choice.Task, choice.Pooling, choice.Normalize));
    }

    [Fact]
    public void A_language_models_logits_are_refused_with_the_export_to_make()
    {
        var failure = Assert.Throws<PipelineException>(() => Of([Output("logits", Batch, Tokens, 30522)]));
        Assert.Contains("logits of every token are a language model's", failure.Message);
        Assert.Contains("--task feature-extraction", failure.Message);
    }

    [Theory]
    [InlineData("""{"prompts":{"query":"query: ","passage":"passage: "}}""", "query: ", "passage: ")]
    [InlineData("""{"prompts":{"retrieval.query":"Q ","document":"D "},"default_prompt_name":null}""", "Q ", "D ")]
    [InlineData("""{"prompts":{"all":"A "},"default_prompt_name":"all"}""", "A ", "A ")]
    public void Prompts_are_read(string json, string query, string passage)
    {
        using var folder = new TemporaryFolder();
        Assert.Equal(new TextPrefixes(query, passage), PromptFacts.Read(folder.Write("p.json", json)).Prefixes);
    }

    [Theory]
    [InlineData("""{"prompts":{"query":"","document":""}}""")]
    [InlineData("""{"__version__":{}}""")]
    public void Without_prompts_there_are_no_prefixes(string json)
    {
        using var folder = new TemporaryFolder();
        Assert.Null(PromptFacts.Read(folder.Write("p.json", json)).Prefixes);
    }

    [Theory]
    [InlineData("roberta", 514, 512)]
    [InlineData("bert", 512, 512)]
    public void Positions_behind_padding_are_not_counted(string type, int positions, int tokens) =>
        Assert.Equal(tokens, new ConfigFacts(type, "", [], positions).Tokens);

    private static TaskChoice Of(ValueInfo[] outputs, ConfigFacts? config = null, SentenceTransformersFiles? sentence = null) =>
        TaskChoice.Of(
            new ModelFacts
            {
                Origin = "test",
                Name = "test",
                Source = new SourceSpec(),
                Tokenizer = new TokenizerFacts([], ""),
                Outputs = outputs,
                Config = config,
                Sentence = sentence,
            }
        );

    private static ValueInfo Output(string name, params Dimension[] shape) => new(name, ElementType.Float, [.. shape]);
}
