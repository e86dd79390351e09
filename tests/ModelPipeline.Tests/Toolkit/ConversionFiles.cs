using ModelPipeline.Calibration;
using ModelPipeline.Manifest;
using ModelPipeline.Onnx;
using ModelPipeline.Rewrites;
using ModelPipeline.Toolkit;

namespace ModelPipeline.Tests.Toolkit;

/// <summary>The prepared tiny reranker and a small calibration set on disk, for all conversions of a test class.</summary>
public sealed class ConversionFiles : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public ConversionFiles()
    {
        var model = OnnxModel.Load(RepositoryFiles.Sample("tiny-reranker/model.onnx"));
        new[] { "fold-shapes", "mask" }
            .Aggregate(PinShapes.Apply(model, new(1, 128)), (prepared, pass) => Pass.Named(pass).Apply(prepared).Model)
            .Save(Prepared);
        long[] Row(long value) => [.. Enumerable.Repeat(value, 128)];
        new CalibrationSet(
            ["input_ids", "attention_mask", "token_type_ids"],
            [
                [Row(101), Row(1), Row(0)],
                [Row(102), Row(1), Row(0)],
            ]
        ).Write(folder.File("calibration set"));
    }

    public string Prepared => folder.File("model.onnx");

    public string Dataset => folder.File("calibration set/calibration_dataset.txt");

    internal ToolkitRequest Request(RecordedToolkit toolkit, TemporaryFolder output, Precision precision = Precision.W8A8) =>
        new()
        {
            Environment = toolkit.Driver,
            Source = Prepared,
            Artifact = output.File($"tiny-{precision}.rknn"),
            Variant = new VariantSpec
            {
                Name = "npu",
                Backend = Backend.Rknn,
                Precision = precision,
                Rewrites = [],
                Gates = [],
            },
            Dataset = Dataset,
        };

    public void Dispose() => folder.Dispose();
}
