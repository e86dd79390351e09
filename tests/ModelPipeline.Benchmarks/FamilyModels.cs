using System.Globalization;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Text.Json;
using ModelPipeline.Calibration;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Patterns;
using ModelPipeline.Quantization;
using ModelPipeline.Rewrites;
using ModelPipeline.Stages;
using ModelPipeline.Toolkit;

namespace ModelPipeline.Benchmarks;

/// <summary>Small random models of every encoder family: what each kind of build keeps of the export's fp32 outputs, by the emulation and,
/// where it is set up, by rknn-toolkit2 itself, beside what the toolkit reached with the same rewrites made by hand.</summary>
internal static class FamilyModels
{
    /// <summary>Both are recorded in the fixtures; the emulation follows the first.</summary>
    private static readonly IReadOnlyList<string> Toolkits = ["2.3.2", "2.5.0"];

    /// <summary>Of the recorded figure, which another machine's last bits move a little.</summary>
    private const double Allowance = 0.03;

    private static readonly RunSettings AsWritten = new(Threads: 1, FuseQdq: false);

    /// <summary>The int8 variant of pipeline/templates/models-entry.yaml.</summary>
    private static readonly VariantSpec Proposed = Variant(Precision.W8A8) with
    {
        Rewrites = [Pass.FamiliesName, "balance", "hidden-split", "outlier-split", "norm-copy"],
        Fp16 = ["adds", "norms", "attention", "head"],
    };

    private static readonly StageContext Quiet = new(new Progress<StageProgress>(), _ => { }, _ => { }, CancellationToken.None);

    public static IEnumerable<Row> Run(Arguments arguments)
    {
        var reference = arguments.Reference ?? throw new PipelineException("Name the folder of fixtures/families: --reference=FOLDER.");
        var folder = Path.Combine(reference, "fixtures", "families");
        if (!Directory.Exists(folder))
            throw new PipelineException($"{folder}: there is no such folder; --reference=FOLDER has fixtures/families in it.");
        var files = Directory.EnumerateFiles(folder, "*.onnx", SearchOption.AllDirectories).Order(StringComparer.Ordinal);
        return files.SelectMany(file => Of(new Fixture(folder, file)));
    }

    private static IEnumerable<Row> Of(Fixture fixture)
    {
        var exported = PinShapes.Outputs(PinShapes.Apply(OnnxModel.Load(fixture.Path), new InputShape(1, 64)));
        var samples = fixture.Samples(exported, "inputs");
        var calibration = new CalibrationSet(
            [.. exported.Graph.Inputs.Select(input => input.Name)],
            fixture.Samples(exported, "calibration")
        );
        var prepared = Pass.Families.Aggregate(exported, (model, pass) => pass.Apply(model, calibration.Samples).Model);
        var whole = Outputs(exported, samples);

        yield return new($"{fixture.Name}: largest change by rewrites, fp32", Largest(whole, Outputs(prepared, samples)), "", "<= 0.0001");
        var fused = PatternMatches.Of(prepared.Graph).Attentions.Count(FusedOperators.IsFused);
        yield return new($"{fixture.Name}: attentions that can be fused", fused, "", "2");
        foreach (var (name, precision, target) in fixture.Builds(Toolkits[0]))
        {
            var built = QuantizeStage.Emulate(prepared, Variant(precision), calibration, Quiet).Model;
            yield return new(
                $"{fixture.Name}: emulation {name}, {fixture.Figure}",
                fixture.Agreement(whole, Outputs(built, samples, AsWritten), samples, exported),
                "",
                Target(name, target)
            );
        }
        var finest = Pass.Sequence(Proposed.Rewrites).Aggregate(exported, (model, pass) => pass.Apply(model, calibration.Samples).Model);
        yield return new(
            $"{fixture.Name}: emulation int8 as New proposes it, {fixture.Figure}",
            fixture.Agreement(
                whole,
                Outputs(QuantizeStage.Emulate(finest, Proposed, calibration, Quiet).Model, samples, AsWritten),
                samples,
                exported
            ),
            ""
        );
        var cpu = CpuQuantizer.Quantize(exported, new CpuQuantizationSettings()).Model;
        yield return new(
            $"{fixture.Name}: cpu-int8, {fixture.Figure}",
            fixture.Agreement(whole, Outputs(cpu, samples), samples, exported),
            ""
        );
        var subject = new Subject(prepared, samples, calibration, whole);
        foreach (var row in Toolkits.SelectMany(version => InToolkit(version, fixture, subject)))
            yield return row;
    }

    /// <summary>A prepared model, and the outputs that the export gives for its samples.</summary>
    private sealed record Subject(
        OnnxModel Prepared,
        IReadOnlyList<IReadOnlyList<long[]>> Samples,
        CalibrationSet Calibration,
        IReadOnlyList<float[]> Whole
    );

    /// <summary>Builds and simulates with the real one; nothing where there is none.</summary>
    private static IEnumerable<Row> InToolkit(string version, Fixture fixture, Subject subject)
    {
        var environment = Environment(version);
        if (environment is null)
            yield break;
        var scratch = Directory.CreateTempSubdirectory("modelpipeline-");
        try
        {
            var source = Path.Combine(scratch.FullName, "model.onnx");
            subject.Prepared.Save(source);
            var inputs = Path.Combine(scratch.FullName, "inputs");
            new CalibrationSet(subject.Calibration.Inputs, subject.Samples).Write(inputs);
            var calibration = Path.Combine(scratch.FullName, "calibration");
            subject.Calibration.Write(calibration);
            foreach (var (name, precision, target) in fixture.Builds(version))
            {
                var outputs = Path.Combine(scratch.FullName, $"{name}.outputs");
                var made = ToolkitConversion
                    .RunAsync(
                        new ToolkitRequest
                        {
                            Environment = environment,
                            Source = source,
                            Artifact = Path.Combine(scratch.FullName, $"{name}.rknn"),
                            Variant = Variant(precision) with { Toolkit = version },
                            Dataset = Path.Combine(calibration, CalibrationSet.DatasetFile),
                            Simulate = [new SimulatorRun(Path.Combine(inputs, CalibrationSet.DatasetFile), outputs)],
                        }
                    )
                    .GetAwaiter()
                    .GetResult();
                var values = MemoryMarshal.Cast<byte, float>(File.ReadAllBytes(outputs)).ToArray();
                float[][] rows = [.. values.Chunk(subject.Whole[0].Length)];
                yield return new(
                    $"{fixture.Name}: toolkit {version} {name}, {fixture.Figure}",
                    fixture.Agreement(subject.Whole, rows, subject.Samples, subject.Prepared),
                    "",
                    Target(name, target)
                );
                yield return new($"{fixture.Name}: toolkit {version} {name}, attentions fused", made.Compile.FusedAttentions, "", "2");
            }
        }
        finally
        {
            scratch.Delete(recursive: true);
        }
    }

    private static ToolkitEnvironment? Environment(string version)
    {
        try
        {
            return ToolkitEnvironment
                .FindAsync(
                    Variant(Precision.Fp16) with
                    {
                        Toolkit = version,
                    },
                    Path.GetTempPath(),
                    System.Environment.GetEnvironmentVariable
                )
                .GetAwaiter()
                .GetResult();
        }
        catch (PipelineException)
        {
            return null;
        }
    }

    private static string Target(string name, double target) =>
        (double.IsNaN(target), name) switch
        {
            (true, _) => "",
            (false, "fp16") => string.Create(CultureInfo.InvariantCulture, $">= {target}"),
            (false, _) => string.Create(CultureInfo.InvariantCulture, $">= {target - Allowance:0.000} (toolkit {target:0.000})"),
        };

    private static VariantSpec Variant(Precision precision) =>
        new()
        {
            Name = precision == Precision.Fp16 ? "fp16" : "int8",
            Backend = Backend.Rknn,
            Precision = precision,
            Toolkit = Toolkits[0],
            Rewrites = [Pass.FamiliesName],
            Gates = [],
        };

    private static List<float[]> Outputs(OnnxModel model, IReadOnlyList<IReadOnlyList<long[]>> samples, RunSettings settings = default)
    {
        using var session = InferenceSessions.Open(model, settings);
        return
        [
            .. samples.Select(sample =>
            {
                using var outputs = session.Run(sample, [model.Graph.Outputs[0].Name]);
                return outputs[0].GetTensorDataAsSpan<float>().ToArray();
            }),
        ];
    }

    private static double Largest(IReadOnlyList<float[]> a, IReadOnlyList<float[]> b) =>
        a.Zip(b).Where(pair => pair.First.Length == 1).Select(pair => Math.Abs(pair.First[0] - pair.Second[0])).DefaultIfEmpty().Max();

    /// <summary>A model of the fixtures, with what is recorded of it.</summary>
    private sealed class Fixture(string folder, string path)
    {
        private readonly JsonElement json = JsonDocument.Parse(File.ReadAllText(System.IO.Path.ChangeExtension(path, ".json"))).RootElement;

        public string Path => path;

        public string Name => System.IO.Path.GetFileNameWithoutExtension(path);

        private bool IsScored => json.GetProperty("output").GetString() == "logits";

        /// <summary>What is compared: scores by their correlation, states by the cosine over real tokens.</summary>
        public string Figure => IsScored ? "correlation" : "cosine";

        /// <summary>By precision, with what each must reach in this version of the toolkit.</summary>
        public IReadOnlyList<(string Name, Precision Precision, double Target)> Builds(string version) =>
            [("fp16", Precision.Fp16, 0.999), ("int8", Precision.W8A8, Recorded(version, "int8"))];

        public IReadOnlyList<IReadOnlyList<long[]>> Samples(OnnxModel model, string file) =>
            [
                .. JsonDocument
                    .Parse(File.ReadAllText(System.IO.Path.Combine(folder, file + ".json")))
                    .RootElement.GetProperty("samples")
                    .EnumerateArray()
                    .Select(sample =>
                        (IReadOnlyList<long[]>)
                            [
                                .. model.Graph.Inputs.Select(input =>
                                    sample.GetProperty(input.Name).EnumerateArray().Select(number => number.GetInt64()).ToArray()
                                ),
                            ]
                    ),
            ];

        /// <summary>What the toolkit's simulator reached with the rewrites made by hand; NaN where other outputs are recorded.</summary>
        private double Recorded(string version, string precision)
        {
            var rewritten = json.GetProperty("rewritten");
            if (!IsScored || !rewritten.TryGetProperty(version, out var run))
                return double.NaN;
            float[] whole = Scores(rewritten.GetProperty("fp32")),
                built = Scores(run.GetProperty(precision));
            return Correlation(whole, built);

            static float[] Scores(JsonElement list) => [.. list.EnumerateArray().Select(score => score.GetSingle())];
        }

        public double Agreement(
            IReadOnlyList<float[]> whole,
            IReadOnlyList<float[]> built,
            IReadOnlyList<IReadOnlyList<long[]>> samples,
            OnnxModel model
        )
        {
            if (whole[0].Length == 1)
                return Correlation([.. whole.Select(row => row[0])], [.. built.Select(row => row[0])]);
            var mask = model.Graph.Inputs.Select(input => input.Name).ToList().IndexOf("attention_mask");
            var areStates = model.Graph.Outputs[0].Shape.Length == 3;
            return whole
                .Zip(built, samples)
                .Average(each =>
                {
                    var tokens = each.Third[mask];
                    var real = areStates ? (int)tokens.Sum() * (each.First.Length / tokens.Length) : each.First.Length;
                    return TensorPrimitives.CosineSimilarity<float>(each.First.AsSpan(0, real), each.Second.AsSpan(0, real));
                });
        }

        private static double Correlation(float[] a, float[] b) =>
            MathNet.Numerics.Statistics.Correlation.Pearson(a.Select(value => (double)value), b.Select(value => (double)value));
    }
}
