using Microsoft.ML.OnnxRuntime;
using ModelPipeline.Calibration;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Onnx;
using ModelPipeline.Rewrites;
using ModelPipeline.Stages;

namespace ModelPipeline.Benchmarks;

/// <summary>The w8a8 model that predicts rknn-toolkit2: what it costs to make, and what it says of the ways to build int8.</summary>
internal static class NpuEmulated
{
    private const int Samples = 100;
    private static readonly RunSettings AsWritten = new(Threads: 1, FuseQdq: false);
    private static readonly StageContext Quiet = new(new Progress<StageProgress>(), _ => { }, _ => { }, CancellationToken.None);

    /// <summary>A way to build int8, and what the toolkit reached with it on a 12-layer reranker (tau) and on a 6-layer embedder (mean
    /// cosine), where it was measured.</summary>
    private sealed record Recipe(
        string Name,
        string[] Rewrites,
        QuantizationAlgorithm Algorithm,
        string RerankerTarget,
        string EmbedderTarget = ""
    );

    private static readonly Recipe[] Recipes =
    [
        new("mask untouched", ["fold-shapes"], QuantizationAlgorithm.Normal, "lowest (toolkit 0.24)", "0.394 +- 0.03"),
        new("mask -30", ["fold-shapes", "mask"], QuantizationAlgorithm.Normal, "second (0.736)", "0.913 +- 0.03"),
        new("mask -30, kl_divergence", ["fold-shapes", "mask"], QuantizationAlgorithm.KlDivergence, "third (0.846)", "0.942 +- 0.03"),
        new(
            "mask -30, outlier split and its fp16",
            ["fold-shapes", "mask", "outlier-split"],
            QuantizationAlgorithm.Normal,
            "highest (0.893 to 0.908)"
        ),
    ];

    public static IEnumerable<Row> Run(Arguments arguments)
    {
        var source = OnnxModel.Load(arguments.Model);
        using var fp32 = InferenceSessions.Open(arguments.Model, new RunSettings(Threads: 1));
        var embeds = ModelOutputs.Embeds(fp32);
        var inputs = embeds ? ModelInput.Passages(arguments) : ModelInput.Pairs(arguments);
        var calibration = Rows(
            fp32.InputNames,
            embeds ? ModelInput.CalibrationPassages(arguments, Samples) : ModelInput.CalibrationPairs(arguments, Samples)
        );
        var pinned = PinShapes.Apply(source, new InputShape(1, arguments.Sequence));
        IEnumerable<Row> figures = embeds
            ? OfEmbedder(pinned, inputs, calibration, fp32)
            : OfReranker(pinned, inputs, calibration, fp32).Concat(RecipeAgreement.Run(arguments));
        foreach (var row in Cost(pinned, inputs, calibration).Concat(figures))
            yield return row;
    }

    public static CalibrationSet Rows(IReadOnlyList<string> names, IReadOnlyList<ModelInput> inputs) =>
        new(names, [.. inputs.Select(input => (IReadOnlyList<long[]>)[.. names.Select(name => input.Tokens[name])])]);

    public static OnnxModel Build(
        OnnxModel pinned,
        IEnumerable<string> rewrites,
        QuantizationAlgorithm algorithm,
        CalibrationSet calibration
    )
    {
        var prepared = Prepared(pinned, rewrites, calibration);
        var variant = new VariantSpec
        {
            Name = "int8",
            Backend = Backend.Simulator,
            Precision = Precision.W8A8,
            Algorithm = algorithm,
            Rewrites = [.. rewrites],
            Gates = [],
        };
        return QuantizeStage.Emulate(prepared, variant, calibration, Quiet).Model;
    }

    private static OnnxModel Prepared(OnnxModel pinned, IEnumerable<string> rewrites, CalibrationSet calibration) =>
        rewrites.Aggregate(pinned, (model, name) => Pass.Named(name).Apply(model, calibration.Samples).Model);

    /// <summary>Ranges of 100 samples and the emulated model, from a prepared one; with fp32 inferences before and after each as the
    /// unit.</summary>
    private static IEnumerable<Row> Cost(OnnxModel pinned, IReadOnlyList<ModelInput> inputs, CalibrationSet calibration)
    {
        var prepared = Prepared(pinned, Recipes[1].Rewrites, calibration);
        using var session = InferenceSessions.Open(pinned, new RunSettings(Threads: 1));
        var (units, builds) = (new List<double>(), new List<double>());
        for (var round = 0; round < 3; round++)
        {
            units.AddRange(inputs.Take(10).Select(input => PairedRuns.Milliseconds(() => ModelOutputs.Of(session, input))));
            builds.Add(PairedRuns.Milliseconds(() => Build(prepared, [], QuantizationAlgorithm.Normal, calibration).ToBytes()));
        }
        var unit = PairedRuns.Median([.. units]);
        return
        [
            new("emulation: calibrate 100 samples and build (median of 3)", PairedRuns.Median([.. builds]), "ms"),
            new("emulation: the same", PairedRuns.Median([.. builds]) / unit, "U", "<= 125"),
        ];
    }

    private static IEnumerable<Row> OfReranker(
        OnnxModel pinned,
        IReadOnlyList<ModelInput> inputs,
        CalibrationSet calibration,
        InferenceSession fp32
    )
    {
        var reference = ModelOutputs.Scores(fp32, inputs);
        foreach (var recipe in Recipes)
        {
            using var session = InferenceSessions.Open(Build(pinned, recipe.Rewrites, recipe.Algorithm, calibration), AsWritten);
            var scores = ModelOutputs.Scores(session, inputs);
            yield return new(
                $"emulation, {recipe.Name}: Kendall tau, all pairs",
                ModelOutputs.Tau(reference, scores),
                "",
                recipe.RerankerTarget
            );
            yield return new($"emulation, {recipe.Name}: distinct scores", scores.Distinct().Count(), "");
        }
    }

    private static IEnumerable<Row> OfEmbedder(
        OnnxModel pinned,
        IReadOnlyList<ModelInput> inputs,
        CalibrationSet calibration,
        InferenceSession fp32
    )
    {
        var reference = ModelOutputs.Embeddings(fp32, inputs);
        foreach (var recipe in Recipes)
        {
            using var session = InferenceSessions.Open(Build(pinned, recipe.Rewrites, recipe.Algorithm, calibration), AsWritten);
            var (mean, min) = ModelOutputs.Cosines(inputs, reference, ModelOutputs.Embeddings(session, inputs));
            yield return new($"emulation, {recipe.Name}: cosine, mean", mean, "", recipe.EmbedderTarget);
            yield return new($"emulation, {recipe.Name}: cosine, smallest", min, "");
        }
    }
}
