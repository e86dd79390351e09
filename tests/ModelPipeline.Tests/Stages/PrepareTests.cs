using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Onnx;
using ModelPipeline.Rewrites;
using ModelPipeline.Stages;
using ModelPipeline.Tests.Onnx;
using Tensor = ModelPipeline.Onnx.Tensor;

namespace ModelPipeline.Tests.Stages;

public sealed class PrepareTests
{
    private static readonly InputShape Shape = new(1, TinyReranker.Sequence);

    [Fact]
    public void A_rewrite_that_moves_scores_is_left_out_and_warned_of()
    {
        var (model, report, warnings) = Prepare(ShiftBias(0.01f), Pass.Named("mask"));

        Assert.Equal([false, true], report.Passes.Select(pass => pass.Applied));
        Assert.InRange(report.Passes[0].ScoreShift!.Value, 0.0005, 0.01);
        Assert.Matches(
            $"rewrite shift moves fp32 outputs by 0.0.* of their size \\(allowed: {Proof.Exact}\\); left out",
            Assert.Single(warnings)
        );
        // As if it had never been asked for.
        Assert.Equal(Prepare(Pass.Named("mask")).Model.ToBytes(), model.ToBytes());
    }

    [Fact]
    public void A_rewrite_whose_graph_does_not_run_is_left_out_and_the_reason_told()
    {
        var broken = new Pass(
            "broken",
            (model, _) =>
                new(
                    model.With(model.Graph with { Nodes = [.. model.Graph.Nodes.Select(node => node with { Name = "same" })] }),
                    ["all nodes"]
                )
                {
                    Skipped = "nothing else",
                }
        );

        var (model, report, warnings) = Prepare(broken, Pass.Named("mask"));

        Assert.Equal([(false, null), (true, 0.0)], report.Passes.Select(pass => (pass.Applied, pass.ScoreShift)));
        Assert.Contains("ONNX Runtime refuses the model", report.Passes[0].Skipped);
        Assert.Equal($"rewrite broken is left out: {report.Passes[0].Skipped}", Assert.Single(warnings));
        Assert.Equal(Prepare(Pass.Named("mask")).Model.ToBytes(), model.ToBytes());
        Assert.Contains("\"applied\": false", ReportJson.Text(report));
    }

    [Theory]
    [InlineData("size")]
    [InlineData("type")]
    [InlineData("no number")]
    public void Outputs_that_cannot_be_compared_have_moved_without_bound(string change)
    {
        var model = Of(g => g.FloatInput(1, 4));

        var shift = new Proof(model, []).Shift(
            Of(g =>
            {
                var x = g.FloatInput(1, 4);
                return change switch
                {
                    "size" => g.Node("Concat", [x, x], Attributes.Of("axis", 1L)),
                    "type" => g.Node("Cast", [x], Attributes.Of("to", (long)ElementType.Int64)),
                    _ => g.Node("Mul", [x, g.Scalar(float.NaN)]),
                };
            }),
            out var failure
        );

        Assert.Equal(double.PositiveInfinity, shift);
        Assert.Equal(
            change == "no number"
                ? "finite numbers of an output became infinite or NaN, or the reverse"
                : "outputs have another type or size",
            failure
        );

        static OnnxModel Of(Func<GraphBuilder, string> value)
        {
            var g = new GraphBuilder();
            return g.Build(g.Identity("y", value(g)));
        }
    }

    [Fact]
    public void A_rewrite_within_the_limit_is_applied_and_its_shift_reported()
    {
        var (model, report, warnings) = Prepare(ShiftBias(0.00001f));

        Assert.Empty(warnings);
        Assert.True(Assert.Single(report.Passes).Applied);
        Assert.InRange(report.Passes[0].ScoreShift!.Value, 0, Proof.Exact);
        Assert.NotEqual(Prepare().Model.ToBytes(), model.ToBytes());
    }

    [Fact]
    public void A_rewrite_that_finds_nothing_is_reported_without_a_shift()
    {
        var (_, report, _) = Prepare(Pass.Named("mask"), Pass.Named("mask"));

        Assert.NotEmpty(report.Passes[0].Matches);
        Assert.Equal((0, null), (report.Passes[1].Matches.Count, report.Passes[1].ScoreShift));
    }

    [Fact]
    public async Task The_report_beside_the_model_gives_opset_shapes_and_passes()
    {
        using var sample = new SampleBuild(
            "rerank",
            TinyReranker.Path,
            """
                shapes: [[1, 32], [2, 16]]
                rewrites: [fold-shapes]
                variants: { fp16: { backend: simulator, precision: fp16 } }
            """
        );
        var variant = sample.Build.Model.Variants[0];

        var model = OnnxModel.Load(await PrepareStage.RunAsync(sample.Build, variant, new InputShape(1, 32), sample.Stage));

        var report = ReportJson.Read<PreparationReport>(
            Path.Combine(sample.Build.PreparedFolder(new InputShape(1, 32), variant), "prepare.json")
        );
        Assert.Equal(14, report.Opset);
        Assert.Equal(["input_ids int64 [1,32]", "attention_mask int64 [1,32]", "token_type_ids int64 [1,32]"], report.Inputs);
        Assert.Equal(["logits float [1,1]"], report.Outputs);
        Assert.Equal(
            ("fold-shapes", TinyReranker.Source.Graph.Nodes.Length, model.Graph.Nodes.Length),
            (report.Passes[0].Name, report.Passes[0].NodesBefore, report.Passes[0].NodesAfter)
        );
        Assert.Empty(sample.Warnings);
    }

    [Fact]
    public async Task A_file_for_all_shapes_is_prepared_once_with_open_axes_and_the_mask_rewritten()
    {
        using var sample = new SampleBuild(
            "rerank",
            TinyReranker.Path,
            """
                shapes: [[1, 16], [1, 32]]
                rewrites: [fold-shapes, mask]
                variants: { all: { backend: rknn, precision: fp16, toolkit: 2.5.0 } }
            """
        );
        var variant = sample.Build.Model.Variants[0];

        var first = await PrepareStage.RunAsync(sample.Build, variant, new InputShape(1, 16), sample.Stage);
        Assert.Equal(first, await PrepareStage.RunAsync(sample.Build, variant, new InputShape(1, 32), sample.Stage));

        var report = ReportJson.Read<PreparationReport>(Path.Combine(Path.GetDirectoryName(first)!, "prepare.json"));
        Assert.All(OnnxModel.Load(first).Graph.Inputs, input => Assert.Null(input.Shape[1].Value));
        Assert.Equal([("fold-shapes", 0), ("mask", 1)], report.Passes.Select(pass => (pass.Name, pass.Matches.Count)));
        Assert.Equal(sample.Build.Artifact(variant, new InputShape(1, 16)), sample.Build.Artifact(variant, new InputShape(1, 32)));
    }

    /// <summary>A rewrite that adds to every score.</summary>
    private static Pass ShiftBias(float shift) =>
        new(
            "shift",
            (model, _) =>
            {
                const string Bias = "classifier.bias";
                var bias = Tensor.Vector(model.Graph.Initializers[Bias].Span<float>()[0] + shift);
                return new Rewritten(
                    model.With(model.Graph with { Initializers = model.Graph.InitializersWith([KeyValuePair.Create(Bias, bias)]) }),
                    [Bias]
                );
            }
        );

    private static (OnnxModel Model, PreparationReport Report, List<string> Warnings) Prepare(params Pass[] passes)
    {
        List<string> warnings = [];
        var context = new StageContext(new Progress<StageProgress>(), _ => { }, warnings.Add, TestContext.Current.CancellationToken);
        IReadOnlyList<IReadOnlyList<long[]>> samples =
        [
            .. TinyReranker.Pairs.Take(2).Select(pair => TinyReranker.Inputs(pair.Query, pair.Passage)),
        ];
        var (model, report) = PrepareStage.Prepare(PinShapes.Apply(TinyReranker.Source, Shape), Shape, passes, samples, context);
        return (model, report, warnings);
    }
}
