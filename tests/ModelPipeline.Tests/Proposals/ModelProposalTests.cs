using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Proposals;

namespace ModelPipeline.Tests.Proposals;

/// <summary>Whatever is proposed is a models.yaml that is accepted, and says what was found.</summary>
public sealed class ModelProposalTests : IDisposable
{
    private static readonly string Digest = new('1', 64);

    private readonly TemporaryFolder folder = new();

    public static TheoryData<string, bool, bool> Kinds =>
        [
            .. from task in new[] { "rerank", "embed", "classify" }
            from hasToolkit in new[] { false, true }
            from isJudged in new[] { false, true }
            select (task, hasToolkit, isJudged),
        ];

    public void Dispose() => folder.Dispose();

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Every_kind_of_entry_is_accepted(string task, bool hasToolkit, bool isJudged)
    {
        var model = Written(task, hasToolkit, isJudged);
        Assert.Equal((task, 200), (model.Task, model.Calibration.Samples));
        Assert.Equal(["fp16", "int8", "cpu-int8"], model.Variants.Select(variant => variant.Name));
        Assert.Equal(hasToolkit ? Backend.Rknn : Backend.Simulator, model.Variants[1].Backend);
        Assert.Equal(hasToolkit, model.Variants[0].Compile.FusesAllAttention && model.Variants[1].Compile.FusesAllAttention);
        Assert.All(model.Variants, variant => Assert.Equal(isJudged && task != "embed" ? 2 : 1, variant.Gates.Count));
        Assert.Equal(new InputShape(1, 96), Assert.Single(model.Shapes));
        Assert.Equal(
            ("o/m", new string('2', 40), "onnx/model.onnx", Digest),
            (model.Source.HuggingFace!.Repo, model.Source.HuggingFace.Revision, model.Source.HuggingFace.File, model.Source.Sha256!)
        );
        Assert.Equal(folder.File("tokenizer.json"), model.Tokenizer.Vocab.File);
        Assert.Equal(task == "embed" ? new TextPrefixes("query: ", "a \"b\" ${c}: ") : null, model.Tokenizer.Prefixes);
    }

    [Theory]
    [InlineData("rerank", 29, null)]
    [InlineData("rerank", 30, 0.95)]
    [InlineData("embed", 29, null)]
    [InlineData("classify", 30, 0.95)]
    public void Gates_ask_for_confidence_where_there_are_enough_queries_for_it(string task, int units, double? confidence)
    {
        var proposal = Proposal(task, isJudged: true);
        proposal = proposal with { Lengths = proposal.Lengths with { Units = units } };
        Assert.All(Written(proposal).Variants.SelectMany(variant => variant.Gates), gate => Assert.Equal(confidence, gate.Confidence));
        Assert.Equal(confidence is null, proposal.Doubts.Any(doubt => doubt.Contains($"over {units} ", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData(500, 510, 504)]
    [InlineData(5000, null, 512)]
    [InlineData(3, null, 32)]
    [InlineData(100, 64, 64)]
    public void A_shape_takes_most_texts_as_far_as_the_model_reaches(int tokens, int? most, int shape) =>
        Assert.Equal(shape, Proposal("rerank") is var proposal ? With(proposal, tokens, most).Tokens : 0);

    private static ModelProposal With(ModelProposal proposal, int tokens, int? most) =>
        proposal with
        {
            Facts = proposal.Facts with { MostTokens = most },
            Lengths = new LengthFacts(tokens, tokens, tokens, 10, 10),
        };

    private ModelSpec Written(string task, bool hasToolkit, bool isJudged) => Written(Proposal(task, hasToolkit, isJudged));

    private ModelSpec Written(ModelProposal proposal)
    {
        var text = ManifestText.With(
            ManifestText.With(ManifestText.Empty, "corpora", "  c: { passages: p, queries: q, qrels: r, candidates: c }\n"),
            "models",
            proposal.Entry(folder.Path)
        );
        return Assert.Single(ModelsYaml.Load(folder.Write("models.yaml", text), new ManifestOverrides(), _ => null).Models);
    }

    private ModelProposal Proposal(string task, bool hasToolkit = false, bool isJudged = false)
    {
        var facts = new ModelFacts
        {
            Origin = "hf:o/m\nat a commit",
            Name = "m",
            Source = new SourceSpec { HuggingFace = new HuggingFaceSource("o/m", new string('2', 40), "onnx/model.onnx"), Sha256 = Digest },
            Tokenizer = new TokenizerFacts([("file", new SourceSpec { File = folder.File("tokenizer.json"), Sha256 = Digest })], "BPE"),
            Outputs = [],
            Prompts = new PromptFacts(new TextPrefixes("query: ", "a \"b\" ${c}: "), []),
            HasToolkit = hasToolkit,
            Licence = "MIT",
        };
        var choice = new TaskChoice(task, "a reason: why") { Doubts = ["is it so?"] };
        if (task == "embed")
            choice = choice with { Pooling = "cls", Normalize = true };
        return new ModelProposal(facts, choice, new CorpusFacts("c", "texts: some", isJudged), new LengthFacts(40, 90, 120, 1000, 40));
    }
}
