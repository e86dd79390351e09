using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Npu;
using ModelPipeline.Onnx;
using ModelPipeline.Rewrites;

namespace ModelPipeline.Toolkit;

/// <summary>One .rknn file to be made.</summary>
public sealed record ToolkitRequest
{
    public required ToolkitEnvironment Environment { get; init; }

    /// <summary>Prepared ONNX file.</summary>
    public required string Source { get; init; }

    /// <summary>File to write, whole or not at all.</summary>
    public required string Artifact { get; init; }

    /// <summary>File that keeps all that the toolkit prints, whatever happens; null is the artifact's name with <c>.log</c>.</summary>
    public string? Log { get; init; }

    /// <summary>Precision, algorithm, method, target, optimization level, version of the toolkit and hybrid plan.</summary>
    public required VariantSpec Variant { get; init; }

    /// <summary>File that lists the calibration samples; required for w8a8.</summary>
    public string? Dataset { get; init; }

    /// <summary>What int8 tensors are to cover instead of what calibration saw, by values of the source.</summary>
    public IReadOnlyDictionary<string, ClippedRange> Ranges { get; init; } = new Dictionary<string, ClippedRange>();

    /// <summary>Provenance that the runtime can tell later.</summary>
    public string CustomString { get; init; } = "";

    /// <summary>Sequence lengths of a file with several shapes, ascending; empty takes the source's own shape.</summary>
    public IReadOnlyList<InputShape> Shapes { get; init; } = [];

    /// <summary>What to run in the toolkit's simulator when the file is built.</summary>
    public IReadOnlyList<SimulatorRun> Simulate { get; init; } = [];

    /// <summary>Folder in which the first of the toolkit's two steps is kept for later builds; null keeps none.</summary>
    public string? FirstSteps { get; init; }

    /// <summary>Compare every layer with fp32 on the first calibration sample.</summary>
    public bool Analyse { get; init; }

    /// <inheritdoc cref="ToolkitLimits"/>
    public ToolkitLimits Limits { get; init; } = new();
}

/// <param name="Dataset">File that lists the samples.</param>
/// <param name="Outputs">File to write: the first output of each sample, float32 in little endian, one after the other.</param>
public sealed record SimulatorRun(string Dataset, string Outputs);

/// <summary>What the toolkit made and said.</summary>
/// <param name="File">The checked artifact.</param>
/// <param name="Compile">From its log.</param>
/// <param name="Hybrid">Tensors that stayed in fp16, in the toolkit's names.</param>
/// <param name="Analysis">If it was asked for.</param>
public sealed record ToolkitArtifact(RknnFile File, CompileReport Compile, IReadOnlyList<string> Hybrid, ErrorAnalysis? Analysis);

/// <summary>Builds .rknn files with rknn-toolkit2 through the shim.</summary>
public static partial class ToolkitConversion
{
    private const int MaxLogBytes = 64 << 20;

    /// <summary>Builds and checks one file. Cancelling ends the toolkit within a second and leaves no artifact.</summary>
    /// <exception cref="PipelineException">
    /// The toolkit is missing or failed, a name of the hybrid plan is not in its graph, its file is not what was asked, or its compile
    /// report has no end.
    /// </exception>
    public static async Task<ToolkitArtifact> RunAsync(
        ToolkitRequest request,
        IProgress<StageProgress>? progress = null,
        CancellationToken cancellation = default
    )
    {
        var model = OnnxModel.Load(request.Source);
        var graph = model.Graph;
        var settings = SettingsOf(request, graph);
        var log = request.Log ?? request.Artifact + ".log";
        var temporary = AtomicFile.TemporaryName(request.Artifact);
        var scratch = $"{temporary[..^AtomicFile.TemporarySuffix.Length]}-step1{AtomicFile.TemporarySuffix}";
        try
        {
            var plan = Fp16Plan.OfModel(model).Union(request.Variant.Fp16).ToList();
            IReadOnlyList<string> float16 = [];
            ToolkitOutcome said;
            if (request.Variant.Precision == Precision.W8A8 && plan.Count + request.Ranges.Count > 0)
            {
                var first = await FirstStep
                    .GetAsync(
                        request.FirstSteps ?? scratch,
                        FirstStep.KeyOf(settings, request, cancellation),
                        async folder => (await ConvertAsync(settings with { Keep = folder }).ConfigureAwait(false)).Tensors ?? [],
                        cancellation
                    )
                    .ConfigureAwait(false);
                float16 = HybridPlan.Resolve(plan, graph, first.Tensors);
                said = await ConvertAsync(
                        settings with
                        {
                            Step1 = Path.GetFullPath(first.Folder),
                            Float16 = float16,
                            Ranges = HybridPlan.Resolve(request.Ranges, graph, first.Tensors),
                        }
                    )
                    .ConfigureAwait(false);
            }
            else
                said = await ConvertAsync(settings).ConfigureAwait(false);
            var file = RknnFile.Read(temporary);
            file.Require(
                request.Artifact,
                request.Variant.Target,
                request.Variant.Toolkit,
                TensorsOf(request, graph.Inputs),
                TensorsOf(request, graph.Outputs)
            );
            var compile = CompileReport.Parse(ReadLog(log));
            if (!compile.Complete)
                throw new PipelineException(
                    $"{request.Artifact}: rknn-toolkit2 built it, and its compile report has {compile.Missing}. Nothing can be judged by "
                        + $"such a report; build again, and see the log {log}."
                );
            File.Move(temporary, request.Artifact, overwrite: true);
            return new ToolkitArtifact(file, compile, float16, said.ErrorAnalysis is { } table ? ErrorAnalysis.Parse(table) : null);
        }
        finally
        {
            File.Delete(temporary);
            AtomicFile.DeleteFolder(scratch);
        }

        async Task<ToolkitOutcome> ConvertAsync(ToolkitSettings ask)
        {
            try
            {
                var result = await ConversionJob
                    .RunAsync(
                        new ConversionRequest
                        {
                            Backend = Backend.Rknn,
                            Source = request.Source,
                            Artifact = temporary,
                            Target = request.Variant.Target,
                            CustomString = request.CustomString,
                            Activity = $"quantize {request.Variant.Name}",
                            Toolkit = new ToolkitRun
                            {
                                Python = request.Environment.Python,
                                Driver = request.Environment.Driver,
                                Settings = JsonSerializer.SerializeToElement(ask, ToolkitJson.Default.ToolkitSettings),
                                Log = log,
                                Limits = request.Limits,
                            },
                        },
                        progress,
                        cancellation
                    )
                    .ConfigureAwait(false);
                return result.Toolkit?.Deserialize(ToolkitJson.Default.ToolkitOutcome) ?? new ToolkitOutcome();
            }
            catch (PipelineException failure) when (Reported().Match(failure.Message) is { Success: true } report)
            {
                var explained = ToolkitFailure.Of(report.Groups["stage"].Value, report.Groups["message"].Value, ReadLog(log));
                throw new PipelineException(explained.Text(request.Artifact, log), failure.ExitCode, failure);
            }
        }
    }

    private static ToolkitSettings SettingsOf(ToolkitRequest request, Graph graph)
    {
        var variant = request.Variant;
        if (variant.Precision == Precision.W8A8 && request.Dataset is null)
            throw new PipelineException($"variant '{variant.Name}': w8a8 needs a calibration set.", PipelineException.ConfigurationError);
        if (variant.Precision == Precision.Fp16 && (variant.Fp16.Count > 0 || variant.AutoHybrid is not null))
            throw new PipelineException(
                $"variant '{variant.Name}': 'fp16' and auto_hybrid choose what a w8a8 variant keeps in fp16; the precision fp16 keeps all.",
                PipelineException.ConfigurationError
            );
        return new ToolkitSettings
        {
            Toolkit = variant.Toolkit,
            Precision = variant.Precision == Precision.W8A8 ? "w8a8" : "fp16",
            Algorithm = variant.Algorithm switch
            {
                QuantizationAlgorithm.KlDivergence => "kl_divergence",
                QuantizationAlgorithm.Mmse => "mmse",
                QuantizationAlgorithm.Normal => "normal",
            },
            Method = variant.Method == QuantizationMethod.Layer ? "layer" : "channel",
            OptimizationLevel = variant.OptimizationLevel,
            SingleCore = variant.SingleCore,
            Inputs =
            [
                .. graph.Inputs.Select(input => new ToolkitInput(
                    input.Name,
                    request.Shapes.Count > 0
                        ? [.. request.Shapes.Select(shape => new long[] { shape.Batch, shape.Sequence })]
                        :
                        [
                            [.. Fixed(input)],
                        ]
                )),
            ],
            Dataset = request.Dataset is { } dataset ? Path.GetFullPath(dataset) : null,
            AutoHybrid = variant.AutoHybrid is { } auto ? new ToolkitThresholds(auto.Cosine, auto.Distance) : null,
            Simulate = [.. request.Simulate.Select(run => new SimulatorRun(Path.GetFullPath(run.Dataset), Path.GetFullPath(run.Outputs)))],
            Analyse = request.Analyse,
        };
    }

    /// <summary>What the file is to tell of its tensors. Of one for several shapes, only names are known beforehand.</summary>
    private static IReadOnlyList<TensorShape> TensorsOf(ToolkitRequest request, IEnumerable<ValueInfo> values) =>
        [.. values.Select(value => new TensorShape(value.Name, request.Shapes.Count > 0 ? [] : [.. Fixed(value)]))];

    private static IEnumerable<long> Fixed(ValueInfo value) =>
        value.Shape.Select(dimension =>
            dimension.Value
            ?? throw new PipelineException(
                $"{value}: the toolkit needs fixed shapes: declare 'shapes' for the model in models.yaml, so that prepare pins them."
            )
        );

    /// <summary>The end of the log, which has the report and the reasons for failures.</summary>
    private static string ReadLog(string path)
    {
        if (!File.Exists(path))
            return "";
        using var file = File.OpenRead(path);
        var bytes = new byte[Math.Min(file.Length, MaxLogBytes)];
        file.Seek(-bytes.Length, SeekOrigin.End);
        return Encoding.UTF8.GetString(bytes, 0, file.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false));
    }

    [GeneratedRegex(@"\A(?<stage>(?!job:)\w+): (?<message>.*)\z", RegexOptions.Singleline)]
    private static partial Regex Reported();
}
