using Microsoft.ML.OnnxRuntime;
using ModelPipeline.Manifest;
using ModelPipeline.Npu;

namespace ModelPipeline.Tests.Npu;

public class OnnxRunTests
{
    [Fact]
    public void Inputs_and_outputs_are_those_of_the_file()
    {
        using var model = NpuModel.Load(Backend.Onnx, RepositoryFiles.Sample("tiny-reranker/model.onnx"));

        Assert.Equal(["input_ids", "attention_mask", "token_type_ids"], model.Inputs.Select(input => input.Name));
        Assert.All(
            model.Inputs,
            input => Assert.Equal(("int64", 2, -1L, -1L), (input.Type, input.Dims.Count, input.Dims[0], input.Dims[1]))
        );
        Assert.Equal("logits", Assert.Single(model.Outputs).Name);
        Assert.False(model.Simulated);
        Assert.StartsWith("ONNX Runtime 1.", model.SdkVersion);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(128)]
    public void Scores_equal_those_of_managed_ONNX_Runtime_at_the_length_of_the_input(int length)
    {
        long[] ids = [.. Enumerable.Range(0, length).Select(i => (long)(i * 37 % 8000))],
            mask = [.. Enumerable.Repeat(1L, length)],
            types = new long[length];
        using var model = NpuModel.Load(Backend.Onnx, RepositoryFiles.Sample("tiny-reranker/model.onnx"));
        using var reference = new InferenceSession(RepositoryFiles.Sample("tiny-reranker/model.onnx"));

        var scores = model.Run([ids, mask, types], TestContext.Current.CancellationToken);

        using var expected = reference.Run([
            .. new[] { ("input_ids", ids), ("attention_mask", mask), ("token_type_ids", types) }.Select(input =>
                NamedOnnxValue.CreateFromTensor(
                    input.Item1,
                    new Microsoft.ML.OnnxRuntime.Tensors.DenseTensor<long>(input.Item2, [1, length])
                )
            ),
        ]);
        Assert.Equal(expected.Single().AsEnumerable<float>(), Assert.Single(scores));
        Assert.True(model.LastRun > TimeSpan.Zero);
    }

    [Fact]
    public void The_shim_shares_the_ONNX_Runtime_library_of_the_process()
    {
        using var reference = new InferenceSession(RepositoryFiles.Sample("tiny-reranker/model.onnx"));
        using var model = NpuModel.Load(Backend.Onnx, RepositoryFiles.Sample("tiny-reranker/model.onnx"));

        var loaded = File.ReadLines("/proc/self/maps")
            .Where(line => line.Contains("libonnxruntime.so"))
            .Select(line => line[line.IndexOf('/')..])
            .Distinct();

        Assert.Single(loaded);
    }
}
