using ModelPipeline.Core;
using ModelPipeline.Inspection;
using ModelPipeline.Onnx;
using ModelPipeline.Stages;
using ModelPipeline.Tests.Onnx;
using ModelPipeline.Tests.Stages;
using Tensor = ModelPipeline.Onnx.Tensor;

namespace ModelPipeline.Tests.Inspection;

/// <summary>What is decided about a model before anything is built of it, by models made for each case.</summary>
public sealed class InspectionTests : IDisposable
{
    private const string Shape = "    shapes: [[1, 32]]\n";

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task A_score_of_two_labels_needs_a_declared_one()
    {
        var model = new TinyModels().WithLogits(2);
        var error = await RefusedAsync("rerank", model, Shape);
        Assert.Contains("output logits [1,2] has 2 labels", error);
        Assert.Contains("'output: {name: logits, label: 1}'", error);
        Assert.Contains("difference: [1, 0]", error);

        Assert.Equal(1, (await AnswerAsync("rerank", model, Shape + "    output: { label: 1 }\n")).Label);
        Assert.Equal([1, 0], (await AnswerAsync("rerank", model, Shape + "    output: { name: logits, difference: [1, 0] }\n")).Difference);
        Assert.Contains(
            "output.label: 2 is no label of logits [1,2], which has 2, counted from 0",
            await RefusedAsync("rerank", model, Shape + "    output: { label: 2 }\n")
        );
        Assert.Contains(
            "output.name: the model has no output 'logit'",
            await RefusedAsync("rerank", model, Shape + "    output: { name: logit, label: 1 }\n")
        );
    }

    [Theory]
    [InlineData(new[] { 3f, 5f }, null, new[] { 1, 0 }, 2f)]
    [InlineData(new[] { 3f, 5f }, 1, null, 5f)]
    [InlineData(new[] { 3f }, 0, null, 3f)]
    public void A_score_is_read_as_it_was_declared(float[] row, int? label, int[]? difference, float expected) =>
        Assert.Equal([expected], new Answer("logits") { Label = label, Difference = difference }.Read(row, [1, 1]));

    [Fact]
    public async Task A_single_score_needs_nothing_declared()
    {
        Assert.Equal(0, (await AnswerAsync("rerank", new TinyModels().WithLogits(1, "whatever"), Shape)).Label);
        Assert.Equal(0, (await AnswerAsync("rerank", new TinyModels().WithScores(), Shape)).Label);
    }

    [Fact]
    public async Task Hidden_states_are_no_score()
    {
        var error = await RefusedAsync("rerank", new TinyModels().WithStates(), Shape);
        Assert.Contains("output last_hidden_state [1,32,4] is no score", error);
        Assert.Contains("'task: embed'", error);
        Assert.Contains(
            "the other outputs are sentence_embedding [1,4]",
            await RefusedAsync("rerank", new TinyModels().WithStates().WithPooled(), Shape + "    output: { name: last_hidden_state }\n")
        );
    }

    [Fact]
    public async Task A_pooled_output_is_an_embedding_as_it_is()
    {
        var answer = await AnswerAsync("embed", new TinyModels().WithPooled(), Shape);
        Assert.Equal(new Answer("sentence_embedding"), answer);
        Assert.Equal([1f, 2f, 3f, 4f], answer.Read([1, 2, 3, 4], [1, 0]));
        Assert.Equal(
            "sentence_embedding",
            (await AnswerAsync("embed", new TinyModels().WithStates("token_embeddings").WithPooled(), Shape)).Output
        );
        Assert.Contains(
            "sentence_embedding [1,4] is pooled by the model already",
            await RefusedAsync("embed", new TinyModels().WithPooled(), Shape + "    pooling: cls\n")
        );
        Assert.Contains("output logits [1,2] is a classifier's", await RefusedAsync("embed", new TinyModels().WithLogits(2), Shape));
    }

    [Theory]
    [InlineData("mean", new[] { 2f, 3f })]
    [InlineData("cls", new[] { 1f, 2f })]
    [InlineData("last", new[] { 3f, 4f })]
    [InlineData("none", new[] { 1f, 2f, 3f, 4f, 0f, 0f })]
    public async Task States_are_pooled_as_declared(string pooling, float[] expected)
    {
        var answer = await AnswerAsync(
            "embed",
            new TinyModels().WithStates().WithPooled("pooler_output"),
            Shape + $"    pooling: {pooling}\n"
        );
        Assert.Equal(("last_hidden_state", pooling), (answer.Output, answer.Pooling));
        Assert.Equal(expected, answer.Read([1, 2, 3, 4, 5, 6], [1, 1, 0]));
    }

    [Fact]
    public async Task Pooling_that_nothing_says_is_the_mean_with_a_warning()
    {
        using var sample = Sample("embed", new TinyModels().WithStates(), Shape);
        Assert.Equal("mean", (await sample.Build.SourceAsync(sample.Stage)).Answer.Pooling);
        Assert.Contains(
            "nothing says how the states of last_hidden_state [1,32,4] are pooled: 'mean' is taken",
            Assert.Single(sample.Warnings)
        );
    }

    [Theory]
    [InlineData("", "model.onnx")]
    [InlineData("onnx", "onnx/model.onnx")]
    public async Task Files_of_sentence_transformers_beside_the_model_say_how_it_pools(string below, string file)
    {
        Directory.CreateDirectory(folder.File(below));
        Directory.CreateDirectory(folder.File("1_Pooling"));
        folder.Write(
            "modules.json",
            """[{"idx": 0, "type": "sentence_transformers.models.Transformer"}, {"idx": 1, "type": "sentence_transformers.models.Pooling"}, {"idx": 2, "type": "sentence_transformers.models.Normalize"}]"""
        );
        folder.Write(
            "1_Pooling/config.json",
            """{"word_embedding_dimension": 4, "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}"""
        );
        using var sample = new SampleBuild("embed", new TinyModels().WithStates().Save(folder.File(file)), Shape + Variants);

        var answer = (await sample.Build.SourceAsync(sample.Stage)).Answer;

        Assert.Equal(new Answer("last_hidden_state") { Pooling = "cls", Normalize = true }, answer);
        Assert.Equal([0.6f, 0.8f], answer.Read([3, 4, 7, 7], [1, 1]));
        Assert.Empty(sample.Warnings);
        Assert.Equal("mean", (await AnswerAsync("embed", new TinyModels().WithStates(), Shape + "    pooling: mean\n", file)).Pooling);
    }

    [Fact]
    public async Task Pooling_that_is_not_supported_is_named_and_so_is_a_module_behind_it()
    {
        Directory.CreateDirectory(folder.File("1_Pooling"));
        folder.Write("1_Pooling/config.json", """{"pooling_mode_max_tokens": true, "pooling_mode_mean_tokens": true}""");
        Assert.Contains(
            "asks for pooling by max_tokens and mean_tokens, which is not supported; say 'pooling:'",
            await RefusedAsync("embed", new TinyModels().WithStates(), Shape)
        );

        folder.Write("1_Pooling/config.json", """{"pooling_mode_lasttoken": true}""");
        folder.Write(
            "modules.json",
            """[{"type": "sentence_transformers.models.Pooling"}, {"type": "sentence_transformers.models.Dense"}]"""
        );
        using var sample = Sample("embed", new TinyModels().WithStates(), Shape);
        Assert.Equal("last", (await sample.Build.SourceAsync(sample.Stage)).Answer.Pooling);
        Assert.Contains("modules.json goes on with Dense", Assert.Single(sample.Warnings));
    }

    [Fact]
    public async Task Of_several_outputs_the_one_by_name_is_taken_and_the_others_are_left_out()
    {
        Assert.Contains(
            "the model has 2 outputs and none is called logits or scores or score: a [1,1], b [1,1]; say which is the score by 'output: "
                + "{name: a}'",
            await RefusedAsync("rerank", new TinyModels().WithLogits(1, "a").WithLogits(1, "b"), Shape)
        );
        using var sample = Sample("rerank", new TinyModels().WithLogits(1, "a").WithLogits(1, "b"), Shape + "    output: { name: b }\n");

        var source = await sample.Build.SourceAsync(sample.Stage);

        Assert.Equal("b", Assert.Single(OnnxModel.Load(source.Path).Graph.Outputs).Name);
        var prepared = await PrepareStage.RunAsync(sample.Build, sample.Build.Model.Variants[0], new InputShape(1, 32), sample.Stage);
        Assert.Equal("b", Assert.Single(OnnxModel.Load(prepared).Graph.Outputs).Name);
        Assert.Contains(sample.Notes, note => note.Contains("all but b are left out", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_model_without_an_attention_mask_is_built_and_the_lack_told()
    {
        using var sample = Sample("rerank", new TinyModels(masked: false).WithLogits(1), Shape);
        var report = await ValidateStage.RunAsync(sample.Build, sample.Build.Model.Variants[0], new InputShape(1, 32), sample.Stage);
        Assert.Equal(5, report.Queries.Count);
        Assert.Contains(sample.Warnings, warning => warning.Contains("takes no attention_mask", StringComparison.Ordinal));
    }

    [Fact]
    public async Task An_input_that_no_tokenizer_fills_is_named() =>
        Assert.Contains(
            "the model has the input position_ids int64 [batch,sequence], and a tokenizer gives input_ids, attention_mask and "
                + "token_type_ids alone",
            await RefusedAsync("rerank", new TinyModels().WithLogits(1).WithInput("position_ids"), Shape)
        );

    [Fact]
    public async Task Int32_inputs_give_the_same_scores()
    {
        using var narrow = Sample("rerank", new TinyModels(ids: ElementType.Int32).WithLogits(1), Shape);
        using var wide = Sample("rerank", new TinyModels().WithLogits(1), Shape, "wide.onnx");
        var (scores, expected) = (await ScoresAsync(narrow), await ScoresAsync(wide));
        Assert.Equal(expected, scores);
        Assert.Equal(await ScoresAsync(wide, variant: 1), await ScoresAsync(narrow, variant: 1));
    }

    [Fact]
    public void An_int32_input_gets_names_that_no_node_has_and_one_that_a_branch_reads_is_refused()
    {
        var g = new GraphBuilder();
        var ids = g.Input("ids", ElementType.Int32, 1, 2);
        var narrow = g.Build(g.Node("Neg", [ids]));
        narrow = narrow.With(narrow.Graph with { Nodes = [narrow.Graph.Nodes[0] with { Name = "ids_int32" }] });

        using var session = InferenceSessions.Open(SourceGraph.WithInt64Inputs(narrow));
        Assert.Equal(typeof(long), session.InputMetadata["ids"].ElementType);

        var read = new ModelPipeline.Onnx.Proto.NodeProto
        {
            OpType = "Neg",
            Input = { ids },
            Output = { "negated" },
        };
        var captured = g.Build(g.If(g.Constant(Tensor.Scalar(true)), read));
        Assert.StartsWith(
            "the int32 input ids is read within a branch of the If 'If_",
            Assert.Throws<PipelineException>(() => SourceGraph.WithInt64Inputs(captured)).Message,
            StringComparison.Ordinal
        );
    }

    [Theory]
    [InlineData("[[1, 64]]", 64)]
    [InlineData("[[1, 16], [1, 128]]", 128)]
    public async Task A_shape_beyond_the_position_table_names_both(string shapes, int tokens)
    {
        var error = await RefusedAsync("rerank", new TinyModels(positions: 32).WithLogits(1), $"    shapes: {shapes}\n");
        Assert.Contains(
            $"does not run at shape [1, {tokens}]: it has {tokens} tokens, and the position table 'embeddings.position_embeddings.weight' "
                + $"32 rows",
            error
        );
        await AnswerAsync("rerank", new TinyModels(positions: 32).WithLogits(1), Shape);
    }

    [Fact]
    public async Task A_vocabulary_larger_than_the_table_is_refused_and_a_smaller_one_warned_of()
    {
        Assert.Contains(
            "the vocabulary has 8000 tokens, and the embedding table 'embeddings.word.weight' 7999 rows",
            await RefusedAsync("rerank", new TinyModels(words: 7999).WithLogits(1), Shape)
        );
        using var sample = Sample("rerank", new TinyModels(words: 8700).WithLogits(1), Shape);
        await sample.Build.SourceAsync(sample.Stage);
        Assert.Contains(
            "the vocabulary has 8000 tokens, and the embedding table 'embeddings.word.weight' 8700 rows: check",
            Assert.Single(sample.Warnings)
        );
    }

    [Theory]
    [InlineData(float.NaN, "has 1 NaN among its 32,000 values, the first at index 5")]
    [InlineData(float.PositiveInfinity, "has 1 infinite among its 32,000 values, the first at index 5")]
    public async Task A_weight_that_is_no_number_is_named_with_its_initializer(float weight, string expected) =>
        Assert.Contains(
            "initializer 'embeddings.word.weight' [8000,4] " + expected,
            await RefusedAsync("rerank", new TinyModels(weight: weight).WithLogits(1), Shape)
        );

    [Fact]
    public async Task Minus_infinity_in_a_mask_is_no_fault()
    {
        var causal = Tensor.Of<float>([2, 2], [0, float.NegativeInfinity, 0, 0]);
        await AnswerAsync(
            "rerank",
            new TinyModels().WithLogits(1).WithConstant("causal", causal).WithConstant("lowest", Tensor.Scalar(float.NegativeInfinity)),
            Shape
        );
    }

    [Fact]
    public async Task All_that_is_wrong_is_told_at_once()
    {
        var error = await RefusedAsync("rerank", new TinyModels(weight: float.NaN).WithLogits(1).WithInput("position_ids"), Shape);
        Assert.Equal(2, error.Split('\n').Length);
    }

    [Fact]
    public async Task What_was_found_stands_in_prepare_json_and_on_the_console_of_every_run()
    {
        using var sample = Sample("rerank", new TinyModels().WithLogits(2), Shape + "    output: { label: 1 }\n");
        var found = (await sample.Build.SourceAsync(sample.Stage)).Inspection;
        var path = Path.Combine(sample.Build.Folder, "prepared", "inspect.json");
        Assert.Equal(found.Answer, ReportJson.Read<ModelInspection>(path).Answer);
        Assert.Contains("\"label\": 1", File.ReadAllText(path));
        Assert.Contains("sample: score: logits, label 1 of logits [1,2]", sample.Notes);

        sample.Notes.Clear();
        File.SetLastWriteTimeUtc(path, DateTime.UnixEpoch);
        await sample.Again(sample.Build.Model).SourceAsync(sample.Stage);
        Assert.Contains("sample: score: logits, label 1 of logits [1,2]", sample.Notes);
        Assert.Equal(DateTime.UnixEpoch, File.GetLastWriteTimeUtc(path));
    }

    private const string Variants =
        "    variants: { fp16: { backend: simulator, precision: fp16 }, cpu: { backend: onnx, precision: w8a8 } }\n";

    private SampleBuild Sample(string task, TinyModels model, string settings, string file = "model.onnx") =>
        new(task, model.Save(folder.File(file)), settings + Variants);

    private async Task<Answer> AnswerAsync(string task, TinyModels model, string settings, string file = "model.onnx")
    {
        using var sample = Sample(task, model, settings, file);
        return (await sample.Build.SourceAsync(sample.Stage)).Answer;
    }

    private async Task<string> RefusedAsync(string task, TinyModels model, string settings)
    {
        using var sample = Sample(task, model, settings);
        var error = await Assert.ThrowsAsync<PipelineException>(() => sample.Build.SourceAsync(sample.Stage));
        Assert.Equal(PipelineException.ConfigurationError, error.ExitCode);
        Assert.False(File.Exists(Path.Combine(sample.Build.Folder, "prepared", "inspect.json")));
        return error.Message;
    }

    private static async Task<IReadOnlyList<float>> ScoresAsync(SampleBuild sample, int variant = 0)
    {
        var report = await ValidateStage.RunAsync(sample.Build, sample.Build.Model.Variants[variant], new InputShape(1, 32), sample.Stage);
        return [.. report.Queries.SelectMany(query => variant == 0 ? query.ReferenceScores : query.Scores)];
    }
}
