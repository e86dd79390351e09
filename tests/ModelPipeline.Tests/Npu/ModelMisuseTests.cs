using System.Diagnostics;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Npu;

namespace ModelPipeline.Tests.Npu;

public sealed class ModelMisuseTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_file_that_no_conversion_marked_is_refused_by_the_simulator()
    {
        var error = Assert.Throws<PipelineException>(() =>
            NpuModel.Load(Backend.Simulator, RepositoryFiles.Sample("tiny-reranker/model.onnx"))
        );

        Assert.Contains("is not a simulated artifact", error.Message);
        Assert.Contains("convert the model first", error.Message);
    }

    [Fact]
    public void A_missing_file_is_named()
    {
        var error = Assert.Throws<PipelineException>(() => NpuModel.Load(Backend.Onnx, folder.File("none.onnx")));

        Assert.Equal($"model '{folder.File("none.onnx")}' does not exist or is no file", error.Message);
    }

    [Fact]
    public void A_file_that_is_cut_short_is_named()
    {
        var whole = File.ReadAllBytes(RepositoryFiles.Sample("tiny-reranker/model.onnx"));

        var error = Assert.Throws<PipelineException>(() =>
            NpuModel.Load(Backend.Onnx, folder.Write("cut.onnx", whole[..(whole.Length / 2)]))
        );

        Assert.Contains("cut.onnx' is not an ONNX model", error.Message);
    }

    [Fact]
    public void A_missing_ONNX_Runtime_library_is_named()
    {
        var error = Assert.Throws<PipelineException>(() =>
            NpuModel.Load(
                Backend.Onnx,
                RepositoryFiles.Sample("tiny-reranker/model.onnx"),
                new NpuOptions { OnnxRuntimeLibrary = folder.File("libonnxruntime.so") }
            )
        );

        Assert.Contains(folder.File("libonnxruntime.so"), error.Message);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(5)]
    public void An_input_of_the_wrong_length_is_refused_with_both_lengths(int length)
    {
        using var model = NpuModel.Load(Backend.Onnx, folder.Write("m.onnx", OnnxBytes.Sum(4)));

        var error = Assert.Throws<PipelineException>(() => model.Run([new long[length]], Cancellation));

        Assert.Contains($"input 'ids' is [1,4] and got {length} elements", error.Message);
    }

    [Fact]
    public void A_missing_input_is_refused()
    {
        using var model = NpuModel.Load(Backend.Onnx, RepositoryFiles.Sample("tiny-reranker/model.onnx"));

        var error = Assert.Throws<PipelineException>(() => model.Run([new long[4]], Cancellation));

        Assert.Contains("has 3 inputs and got 1", error.Message);
    }

    [Fact]
    public void A_disposed_model_does_not_run()
    {
        var model = NpuModel.Load(Backend.Onnx, folder.Write("m.onnx", OnnxBytes.Sum(4)));
        model.Dispose();
        model.Dispose();

        Assert.Throws<ObjectDisposedException>(() => model.Run([new long[4]], Cancellation));
    }

    [Fact]
    public void A_run_is_cancelled_at_once_and_the_next_one_runs()
    {
        using var model = NpuModel.Load(Backend.Onnx, folder.Write("slow.onnx", OnnxBytes.Slow(500)));
        var ids = new long[512];
        using var cancellation = new CancellationTokenSource();
        var clock = Stopwatch.StartNew();
        cancellation.CancelAfter(100);

        Assert.ThrowsAny<OperationCanceledException>(() => model.Run([ids], cancellation.Token));

        Assert.InRange(clock.ElapsedMilliseconds, 90, 10_000);
        Assert.Equal(512 * 512, model.Run([ids], Cancellation)[0].Length);
    }

    [Fact]
    public void Threads_may_share_a_model()
    {
        using var model = NpuModel.Load(Backend.Onnx, folder.Write("m.onnx", OnnxBytes.Sum(4)));

        var wrong = Enumerable.Range(0, 400).AsParallel().Count(i => model.Run([new long[] { i, 1, 1, 1 }], Cancellation)[0][0] != i + 3);

        Assert.Equal(0, wrong);
    }
}
