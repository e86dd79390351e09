using System.Globalization;
using System.Text.Json;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Onnx;
using ModelPipeline.Rewrites;
using ModelPipeline.Stages;

namespace ModelPipeline.Benchmarks;

/// <summary>What the emulation and rknn-toolkit2 make of a 12-layer reranker by more and more of the recipe: that the one may stand for the
/// other when recipes are compared.</summary>
internal static class RecipeAgreement
{
    private const string Toolkit = "2.3.2";
    private const int Samples = 100;
    private static readonly RunSettings AsWritten = new(Threads: 1, FuseQdq: false);
    private static readonly StageContext Quiet = new(new Progress<StageProgress>(), _ => { }, _ => { }, CancellationToken.None);
    private static readonly string[] Whole = ["adds", "norms", "attention", "head"];

    /// <param name="ByHand">What the toolkit reached on 25 queries of 10, where it was measured: Kendall's tau, and what is left of fp32's
    /// scores within queries after the best gain.</param>
    private sealed record Build(string Name, string[] Steps, string[] Fp16, RangeClip Clip, (double Tau, double Residual)? ByHand = null);

    private static readonly Build[] Builds =
    [
        new("mask", [], [], RangeClip.None),
        new("outlier split", ["outlier-split"], [], RangeClip.None),
        new("outlier split, sums fp16", ["outlier-split"], ["adds"], RangeClip.None, (0.884, 0.327)),
        new("outlier split, all fp16", ["outlier-split"], Whole, RangeClip.None, (0.906, 0.314)),
        new("and norm copies, balance", ["balance", "outlier-split", "norm-copy"], Whole, RangeClip.None, (0.939, 0.260)),
        new("and hidden split", ["balance", "hidden-split", "outlier-split", "norm-copy"], Whole, RangeClip.None, (0.950, 0.159)),
        new("and ranges, but attention int8", Recipe, ["adds", "norms", "head"], RangeClip.OutputError, (0.947, 0.154)),
        new("all but balance", ["hidden-split", "outlier-split", "norm-copy"], Whole, RangeClip.OutputError, (0.965, 0.135)),
        new("the whole recipe", Recipe, Whole, RangeClip.OutputError, (0.972, 0.104)),
    ];

    private static string[] Recipe => ["balance", "hidden-split", "outlier-split", "norm-copy"];

    public static IEnumerable<Row> Run(Arguments arguments)
    {
        var pinned = PinShapes.Apply(OnnxModel.Load(arguments.Model), new InputShape(1, arguments.Sequence));
        var inputs = ModelInput.Pairs(arguments);
        var names = pinned.Graph.Inputs.Select(input => input.Name).ToList();
        var calibration = NpuEmulated.Rows(names, ModelInput.CalibrationPairs(arguments, Samples));
        var texts = NpuEmulated.Rows(names, inputs);
        using var fp32 = InferenceSessions.Open(arguments.Model, new RunSettings(Threads: 1));
        var reference = ModelOutputs.Scores(fp32, inputs);
        var environment = ToolkitRuns.Environment(Toolkit);
        using var runs = new ToolkitRuns(calibration, texts);
        foreach (var build in Builds)
        {
            var prepared = Pass.Sequence([Pass.FamiliesName, .. build.Steps])
                .Aggregate(pinned, (model, pass) => pass.Apply(model, calibration.Samples).Model);
            var variant = Variant(build);
            using var session = InferenceSessions.Open(QuantizeStage.Emulate(prepared, variant, calibration, Quiet).Model, AsWritten);
            var emulated = ModelOutputs.Scores(session, inputs);
            var byHand = build.ByHand;
            yield return Figure(build, "emulation, tau", ModelOutputs.MeanTau(inputs, reference, emulated), byHand?.Tau);
            yield return Figure(build, "emulation, residual", Residual(inputs, reference, emulated), byHand?.Residual);
            if (environment is not null)
            {
                var built = runs.Of(environment, prepared, variant);
                yield return Figure(build, $"toolkit {Toolkit}, tau", ModelOutputs.MeanTau(inputs, reference, built), byHand?.Tau);
                yield return Figure(build, $"toolkit {Toolkit}, residual", Residual(inputs, reference, built), byHand?.Residual);
                yield return Figure(build, "emulation to toolkit, Spearman", RankCorrelation.Spearman<float>(emulated, built));
                yield return Figure(build, "emulation to toolkit, residual", Residual(inputs, built, emulated));
            }
            if (build == Builds[^1] && Recorded(arguments) is { } recorded && recorded.Length == emulated.Length)
                yield return new(
                    $"{build.Name}: emulation to recorded scores of the toolkit, Spearman",
                    RankCorrelation.Spearman<float>(emulated, recorded),
                    "",
                    ">= 0.995"
                );
        }
    }

    private static Row Figure(Build build, string what, double value, double? byHand = null) =>
        new(
            $"{build.Name}: {what}",
            value,
            "",
            byHand is { } figure ? string.Create(CultureInfo.InvariantCulture, $"by hand {figure:0.000}") : ""
        );

    /// <summary>Standard deviation of what is left of the reference within queries after the best gain, in its unit.</summary>
    internal static double Residual(IReadOnlyList<ModelInput> inputs, float[] reference, float[] scores)
    {
        var centred = inputs
            .Index()
            .GroupBy(input => input.Item.Group)
            .SelectMany(query =>
            {
                var (x, y) = (query.Average(each => (double)scores[each.Index]), query.Average(each => (double)reference[each.Index]));
                return query.Select(each => (X: scores[each.Index] - x, Y: reference[each.Index] - y));
            })
            .ToList();
        var gain = centred.Sum(each => each.X * each.Y) / centred.Sum(each => each.X * each.X);
        return Math.Sqrt(centred.Average(each => Math.Pow(each.Y - (gain * each.X), 2)));
    }

    /// <summary>The scores of <c>--reference</c>, of the first 25 queries of data/debian.</summary>
    private static float[]? Recorded(Arguments arguments)
    {
        if (arguments.Reference is not { } folder)
            return null;
        var path = Path.Combine(folder, "fixtures", "rknn", "l12-recipe-dev-scores.json");
        return
        [
            .. JsonDocument
                .Parse(File.ReadAllText(path))
                .RootElement.GetProperty("scores")
                .EnumerateArray()
                .Select(each => each.GetSingle()),
        ];
    }

    private static VariantSpec Variant(Build build) =>
        new()
        {
            Name = "int8",
            Backend = Backend.Rknn,
            Precision = Precision.W8A8,
            Toolkit = Toolkit,
            Rewrites = [Pass.FamiliesName, .. build.Steps],
            Fp16 = build.Fp16,
            Clip = build.Clip,
            SingleCore = true,
            Gates = [],
        };
}
