using ModelPipeline.Metrics;
using ModelPipeline.Onnx;
using ModelPipeline.Quantization;
using ModelPipeline.Rewrites;

namespace ModelPipeline.Benchmarks;

/// <summary>What the steps to an int8 that ranks on the NPU give int8 on the CPU, whose activations get a scale of their own in each
/// run.</summary>
internal static class CpuSteps
{
    private const int Samples = 32;

    private static readonly string[][] Recipes =
    [
        [],
        ["norm-copy"],
        ["hidden-split"],
        ["balance"],
        ["outlier-split", "norm-copy"],
        ["hidden-split", "norm-copy"],
        ["balance", "hidden-split", "outlier-split", "norm-copy"],
    ];

    public static IEnumerable<Row> Run(Arguments arguments)
    {
        var source = OnnxModel.Load(arguments.Model);
        var inputs = ModelInput.Pairs(arguments);
        var names = source.Graph.Inputs.Select(input => input.Name).ToList();
        var samples = NpuEmulated.Rows(names, ModelInput.CalibrationPairs(arguments, Samples)).Samples;
        var settings = new RunSettings(Threads: 1);
        using var fp32 = InferenceSessions.Open(source, settings);
        var reference = ModelOutputs.Scores(fp32, inputs);
        foreach (var recipe in Recipes)
        {
            var model = Pass.Sequence(recipe).Aggregate(source, (before, pass) => pass.Apply(before, samples).Model);
            var quantization = CpuQuantizer.Quantize(model, CpuQuantizationSettings.Of(model));
            using var int8 = InferenceSessions.Open(quantization.Model, settings);
            var scores = ModelOutputs.Scores(int8, inputs);
            var runs = PairedRuns.Measure(
                i => ModelOutputs.Of(fp32, inputs[i % inputs.Count]),
                i => ModelOutputs.Of(int8, inputs[i % inputs.Count]),
                rounds: 30
            );
            var name = recipe.Length == 0 ? "as it is" : string.Join('+', recipe);
            yield return new($"CPU int8, {name}: Kendall tau, mean over queries", ModelOutputs.MeanTau(inputs, reference, scores), "");
            yield return new($"CPU int8, {name}: residual", RecipeAgreement.Residual(inputs, reference, scores), "");
            yield return new($"CPU int8, {name}: Spearman, all pairs", RankCorrelation.Spearman<float>(reference, scores), "");
            yield return new($"CPU int8, {name}: file", quantization.Model.ToBytes().Length / 1e6, "MB");
            yield return new($"CPU int8, {name}: ratio to fp32", runs.Ratio, "");
        }
    }
}
