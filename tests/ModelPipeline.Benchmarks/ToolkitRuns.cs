using System.Runtime.InteropServices;
using ModelPipeline.Calibration;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Onnx;
using ModelPipeline.Rewrites;
using ModelPipeline.Toolkit;

namespace ModelPipeline.Benchmarks;

/// <summary>Builds of the real toolkit, and what its simulator says of some texts.</summary>
internal sealed class ToolkitRuns : IDisposable
{
    private readonly DirectoryInfo scratch = Directory.CreateTempSubdirectory("modelpipeline-");
    private readonly CalibrationSet calibration;

    public ToolkitRuns(CalibrationSet calibration, CalibrationSet texts)
    {
        this.calibration = calibration;
        calibration.Write(Calibration);
        texts.Write(Texts);
    }

    private string Calibration => Path.Combine(scratch.FullName, "calibration");
    private string Texts => Path.Combine(scratch.FullName, "texts");

    /// <summary>Null where no Python of <c>MODELPIPELINE_TOOLKIT_PYTHON</c> has that version.</summary>
    public static ToolkitEnvironment? Environment(string toolkit)
    {
        var variant = new VariantSpec
        {
            Name = "int8",
            Backend = Backend.Rknn,
            Toolkit = toolkit,
            Precision = Precision.W8A8,
            Rewrites = [],
            Gates = [],
        };
        try
        {
            return ToolkitEnvironment
                .FindAsync(variant, Path.GetTempPath(), System.Environment.GetEnvironmentVariable)
                .GetAwaiter()
                .GetResult();
        }
        catch (PipelineException)
        {
            return null;
        }
    }

    /// <summary>The first output of each text.</summary>
    public float[] Of(ToolkitEnvironment environment, OnnxModel prepared, VariantSpec variant)
    {
        var source = Path.Combine(scratch.FullName, "model.onnx");
        prepared.Save(source);
        var outputs = Path.Combine(scratch.FullName, "outputs");
        ToolkitConversion
            .RunAsync(
                new ToolkitRequest
                {
                    Environment = environment,
                    Source = source,
                    Artifact = Path.Combine(scratch.FullName, "model.rknn"),
                    Variant = variant,
                    Dataset = Path.Combine(Calibration, CalibrationSet.DatasetFile),
                    Ranges =
                        variant.Clip == RangeClip.None
                            ? new Dictionary<string, ClippedRange>()
                            : RangeClips.Find(prepared, calibration.Samples, variant.Clip == RangeClip.OutputError),
                    FirstSteps = Path.Combine(scratch.FullName, "step1"),
                    Simulate = [new SimulatorRun(Path.Combine(Texts, CalibrationSet.DatasetFile), outputs)],
                }
            )
            .GetAwaiter()
            .GetResult();
        return MemoryMarshal.Cast<byte, float>(File.ReadAllBytes(outputs)).ToArray();
    }

    public void Dispose() => scratch.Delete(recursive: true);
}
