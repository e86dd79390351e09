using System.Diagnostics;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Npu;

namespace ModelPipeline.Tests.Npu;

public sealed class ConversionJobTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task An_artifact_says_that_it_is_simulated_and_where_it_came_from()
    {
        var result = await ConversionJob.RunAsync(Request(folder.Write("m.onnx", OnnxBytes.Sum(4))), cancellation: Cancellation);

        Assert.True(result.Simulated);
        Assert.Equal(new FileInfo(folder.File("a.sim.onnx")).Length, result.Bytes);
        Assert.Equal([1L, 4L], Assert.Single(result.Inputs).Dims);
        Assert.Single(result.Log);
        using var model = NpuModel.Load(Backend.Simulator, result.Artifact);
        Assert.True(model.Simulated);
        Assert.Equal("sha256:12ab, ünïcode", model.CustomString);
        Assert.Contains("simulates rk3588, no NPU", model.SdkVersion);
        Assert.Equal([10f], model.Run([new long[] { 1, 2, 3, 4 }], Cancellation)[0]);
    }

    [Fact]
    public async Task Quantization_is_computed_exactly_as_the_graph_says()
    {
        // With these scales, 9 * 0.25 / 0.3 lies so close to 7.5 that integer kernels, which multiply by 0.25 / 0.3, round it the other
        // way.
        const float inputScale = 1,
            weightScale = 0.25f,
            outputScale = 0.3f;
        var weight = new sbyte[1, 255];
        for (var i = 0; i < 255; i++)
            weight[0, i] = (sbyte)(i - 127);
        var source = folder.Write("m.onnx", OnnxBytes.QuantizedLayer(weight, inputScale, weightScale, outputScale));

        var result = await ConversionJob.RunAsync(Request(source), cancellation: Cancellation);

        using var simulated = NpuModel.Load(Backend.Simulator, result.Artifact);
        using var fused = NpuModel.Load(Backend.Onnx, result.Artifact);
        var expected = weight
            .Cast<sbyte>()
            .Select(w => Math.Clamp(MathF.Round(w * weightScale / outputScale, MidpointRounding.ToEven), -128, 127) * outputScale);
        Assert.Equal(expected, simulated.Run([new long[] { 1 }], Cancellation)[0]);
        Assert.NotEqual(expected, fused.Run([new long[] { 1 }], Cancellation)[0]);
    }

    [Fact]
    public async Task Progress_starts_at_nothing_and_ends_at_all()
    {
        var progress = new Recorder();

        await ConversionJob.RunAsync(Request(folder.Write("m.onnx", OnnxBytes.Sum(4))), progress, Cancellation);

        Assert.Equal([0L, 1, 2, 3], progress.Reports.Select(report => report.Done));
        Assert.All(progress.Reports, report => Assert.Equal(("Convert a.sim.onnx", 3L), (report.Activity, report.Total)));
    }

    [Theory]
    [InlineData("none.onnx", "none.onnx")]
    [InlineData("garbage.onnx", "is not an ONNX model")]
    public async Task A_source_that_cannot_be_converted_is_named_and_nothing_is_left(string name, string reason)
    {
        folder.Write("garbage.onnx", [1, 2, 3]);

        var error = await Assert.ThrowsAsync<PipelineException>(() =>
            ConversionJob.RunAsync(Request(folder.File(name)), cancellation: Cancellation)
        );

        Assert.Contains(reason, error.Message);
        Assert.Equal(["garbage.onnx"], folder.Names());
    }

    [Fact]
    public async Task Dynamic_axes_are_refused_with_what_to_do()
    {
        var error = await Assert.ThrowsAsync<PipelineException>(() =>
            ConversionJob.RunAsync(Request(RepositoryFiles.Sample("tiny-reranker/model.onnx")), cancellation: Cancellation)
        );

        Assert.Contains("input 'input_ids' is [?,?]", error.Message);
        Assert.Contains("pin the model's shapes first", error.Message);
    }

    [Fact]
    public async Task An_artifact_must_be_named_as_simulated()
    {
        var request = Request(folder.Write("m.onnx", OnnxBytes.Sum(4))) with { Artifact = folder.File("a.rknn") };

        var error = await Assert.ThrowsAsync<PipelineException>(() => ConversionJob.RunAsync(request, cancellation: Cancellation));

        Assert.Contains("must end in .sim.onnx", error.Message);
    }

    [Fact]
    public async Task The_toolkit_is_not_started_without_naming_its_python()
    {
        var request = Request(folder.Write("m.onnx", OnnxBytes.Sum(4))) with { Backend = Backend.Rknn };

        var error = await Assert.ThrowsAsync<PipelineException>(() => ConversionJob.RunAsync(request, cancellation: Cancellation));

        Assert.Contains("job: 'python' is required", error.Message);
    }

    [Fact]
    public async Task Cancelling_ends_a_conversion_at_once_and_leaves_nothing()
    {
        var request = Request(folder.Write("slow.onnx", OnnxBytes.Slow(2000)));
        using var cancellation = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        var running = ConversionJob.RunAsync(
            request,
            new OnReport(report =>
            {
                if (report.Done == 1)
                    cancellation.CancelAfter(200);
            }),
            cancellation.Token
        );
        var clock = new Stopwatch();
        cancellation.Token.Register(clock.Start);

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);

        Assert.InRange(clock.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(10));
        Assert.Equal(["slow.onnx"], folder.Names());
    }

    private ConversionRequest Request(string source) =>
        new()
        {
            Backend = Backend.Simulator,
            Source = source,
            Artifact = folder.File("a.sim.onnx"),
            Target = "rk3588",
            CustomString = "sha256:12ab, ünïcode",
        };

    private sealed class Recorder : IProgress<StageProgress>
    {
        public List<StageProgress> Reports { get; } = [];

        public void Report(StageProgress value) => Reports.Add(value);
    }

    private sealed class OnReport(Action<StageProgress> report) : IProgress<StageProgress>
    {
        public void Report(StageProgress value) => report(value);
    }
}
