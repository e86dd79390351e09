using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Onnx;
using ModelPipeline.Rewrites;
using ModelPipeline.Toolkit;

namespace ModelPipeline.Benchmarks;

/// <summary>Whether rknn-toolkit2 makes the same bytes twice, in two folders: --model= takes one as large as those that are
/// released.</summary>
internal static class SameBytes
{
    private static readonly string[] Versions = ["2.3.2", "2.5.0"];

    /// <summary>What the flagship's int8 keeps in fp16.</summary>
    private static readonly string[] Kept = ["adds", "norms", "attention", "head"];

    private static readonly (string Name, Precision Precision, string[] Fp16)[] Builds =
    [
        ("fp16", Precision.Fp16, []),
        ("int8", Precision.W8A8, []),
        ("int8 with fp16 tensors", Precision.W8A8, Kept),
    ];

    private const int Samples = 10;

    public static IEnumerable<Row> Run(Arguments arguments)
    {
        if (string.IsNullOrEmpty(Environment.GetEnvironmentVariable(ToolkitEnvironment.PythonVariable)))
            throw new PipelineException($"Name Pythons that have rknn-toolkit2 in {ToolkitEnvironment.PythonVariable}.");
        var folder = Directory.CreateTempSubdirectory("modelpipeline-");
        try
        {
            var source = Pass.Families.Aggregate(
                PinShapes.Apply(OnnxModel.Load(arguments.Model), new InputShape(1, arguments.Sequence)),
                (model, pass) => pass.Apply(model).Model
            );
            var prepared = Path.Combine(folder.FullName, "model.onnx");
            source.Save(prepared);
            var calibration = Path.Combine(folder.FullName, "calibration");
            NpuEmulated
                .Rows([.. source.Graph.Inputs.Select(input => input.Name)], ModelInput.CalibrationPairs(arguments, Samples))
                .Write(calibration);
            foreach (var (version, (text, precision, fp16)) in Versions.SelectMany(version => Builds.Select(build => (version, build))))
            {
                var variant = new VariantSpec
                {
                    Name = "npu",
                    Backend = Backend.Rknn,
                    Precision = precision,
                    Toolkit = version,
                    Rewrites = [],
                    Fp16 = fp16,
                    Gates = [],
                };
                var (first, second) = (Build("first"), Build("second"));
                var differing = first.Zip(second).Count(pair => pair.First != pair.Second) + Math.Abs(first.Length - second.Length);
                yield return new Row($"{version} {text}, {first.Length / 1e6:0.0} MB: bytes that differ", differing, "", "0");

                byte[] Build(string name)
                {
                    var artifact = Path.Combine(folder.CreateSubdirectory(name).FullName, "model.rknn");
                    ToolkitConversion
                        .RunAsync(
                            new ToolkitRequest
                            {
                                Environment = ToolkitEnvironment
                                    .FindAsync(variant, folder.FullName, Environment.GetEnvironmentVariable, CancellationToken.None)
                                    .GetAwaiter()
                                    .GetResult(),
                                Source = prepared,
                                Artifact = artifact,
                                Variant = variant,
                                Dataset = Path.Combine(calibration, Calibration.CalibrationSet.DatasetFile),
                                CustomString = "made by a benchmark",
                            }
                        )
                        .GetAwaiter()
                        .GetResult();
                    return File.ReadAllBytes(artifact);
                }
            }
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
