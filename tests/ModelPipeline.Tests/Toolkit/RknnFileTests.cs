using System.Buffers.Binary;
using CsCheck;
using ModelPipeline.Core;
using ModelPipeline.Npu;

namespace ModelPipeline.Tests.Toolkit;

public sealed class RknnFileTests : IDisposable
{
    private static readonly TensorShape[] Inputs =
    [
        new("input_ids", [1, 128]),
        new("attention_mask", [1, 128]),
        new("token_type_ids", [1, 128]),
    ];
    private static readonly TensorShape[] Outputs = [new("logits", [1, 1])];

    private readonly TemporaryFolder folder = new();

    [Theory]
    [InlineData("tiny-fp16.rknn", false, 4_395_840)]
    [InlineData("tiny-int8.rknn", true, 2_731_136)]
    public void A_real_file_tells_platform_compiler_and_tensors(string name, bool int8Scores, long payload)
    {
        var file = RknnFile.Read(Recordings.File(name));

        Assert.Equal((6, payload, "2.3.2"), (file.FormatVersion, file.PayloadBytes, file.Compiler));
        Assert.Equal(["rk3588"], file.Platforms);
        Assert.Equal(int8Scores, Assert.Single(file.Outputs).IsInt8);
        file.Require(name, "rk3588", "2.3.2", Inputs, Outputs);
    }

    [Fact]
    public void What_differs_from_the_manifest_is_named()
    {
        var file = RknnFile.Read(Recordings.File("tiny-int8.rknn"));

        Assert.Contains("built for rk3588, not for rk3576", Refusal("rk3576", "2.3.2", Inputs));
        Assert.Contains("toolkit 2.3.2 wrote it, where models.yaml asks for 2.5.0", Refusal("rk3588", "2.5.0", Inputs));
        Assert.Contains(
            "inputs are input_ids [1,128], attention_mask [1,128], token_type_ids [1,128]; expected input_ids [1,512]",
            Refusal("rk3588", "2.3.2", [new("input_ids", [1, 512])])
        );

        string Refusal(string platform, string toolkit, TensorShape[] inputs) =>
            Assert.Throws<PipelineException>(() => file.Require("a.rknn", platform, toolkit, inputs, Outputs)).Message;
    }

    [Theory]
    [InlineData(0)]
    [InlineData(63)]
    [InlineData(64)]
    [InlineData(71)]
    [InlineData(1_000_000)]
    [InlineData(2_731_200)]
    [InlineData(2_731_207)]
    [InlineData(2_731_300)]
    [InlineData(2_732_810)]
    public void A_file_cut_at_any_place_is_refused_by_name(int length)
    {
        var path = folder.Write("cut.rknn", File.ReadAllBytes(Recordings.File("tiny-int8.rknn"))[..length]);

        Assert.StartsWith(
            $"{path}: not the .rknn file that was expected",
            Assert.Throws<PipelineException>(() => RknnFile.Read(path)).Message
        );
    }

    [Theory]
    [InlineData(16, ulong.MaxValue, "announces a payload of 18446744073709551615 bytes")]
    [InlineData(16, long.MaxValue, "announces a payload of")]
    [InlineData(16, 2_731_137, "by its own account")]
    [InlineData(64 + 2_731_136, ulong.MaxValue, "description has 18446744073709551615 bytes by its own account")]
    [InlineData(64 + 2_731_136, 1L << 40, "by its own account")]
    public void Lengths_that_lie_are_refused_before_anything_is_allocated(int offset, ulong value, string reason)
    {
        var bytes = File.ReadAllBytes(Recordings.File("tiny-int8.rknn"));
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(offset), value);
        var path = folder.Write("lie.rknn", bytes);
        var before = GC.GetAllocatedBytesForCurrentThread();

        var refusal = Assert.Throws<PipelineException>(() => RknnFile.Read(path));

        Assert.Contains(reason, refusal.Message);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
    }

    [Fact]
    public void A_file_of_another_kind_is_called_so()
    {
        var path = folder.Write("model.rknn", File.ReadAllBytes(RepositoryFiles.Sample("tiny-reranker/model.onnx")));

        Assert.Contains("a file of another kind", Assert.Throws<PipelineException>(() => RknnFile.Read(path)).Message);
    }

    [Fact]
    public void A_damaged_description_is_refused_and_never_crashes()
    {
        var bytes = File.ReadAllBytes(Recordings.File("tiny-int8.rknn"));
        var start = 72 + 2_731_136;
        // The payload is opaque, so a small one stands for it.
        byte[] small = [.. bytes[..64], .. bytes[(start - 8)..]];
        BinaryPrimitives.WriteUInt64LittleEndian(small.AsSpan(16), 0);

        Gen.Select(Gen.Int[72, small.Length - 1], Gen.Byte)
            .Sample(
                (position, value) =>
                {
                    var damaged = (byte[])small.Clone();
                    damaged[position] = value;
                    var path = folder.Write("damaged.rknn", damaged);
                    try
                    {
                        Assert.Equal(3, RknnFile.Read(path).Inputs.Count);
                    }
                    catch (PipelineException refusal)
                    {
                        Assert.StartsWith(path, refusal.Message);
                    }
                },
                iter: 500,
                threads: 1
            );
    }

    public void Dispose() => folder.Dispose();
}
