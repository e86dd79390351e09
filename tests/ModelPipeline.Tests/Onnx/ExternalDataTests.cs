using ModelPipeline.Core;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Proto;

namespace ModelPipeline.Tests.Onnx;

/// <summary>Models whose weights are in files beside them.</summary>
public sealed class ExternalDataTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void What_is_saved_with_its_weights_beside_it_is_read_as_the_same_model()
    {
        var path = folder.File("model.onnx");
        TinyReranker.Source.Save(path, mostInline: 0);

        Assert.Equal(["model.onnx.data"], OnnxModel.ExternalFiles(path));
        Assert.InRange(new FileInfo(path).Length, 1, 500_000);
        Assert.Equal(TinyReranker.Source.Digest(), OnnxModel.Load(path).Digest());
        Assert.Equal(TinyReranker.Scores(TinyReranker.Source, 3), TinyReranker.Scores(OnnxModel.Load(path), 3));
        using var session = InferenceSessions.Open(path);
        Assert.Equal(TinyReranker.Source.Graph.Inputs.Select(input => input.Name), session.InputNames);

        OnnxModel.Load(path).Save(path);
        Assert.Empty(OnnxModel.ExternalFiles(path));
        Assert.Equal(["model.onnx"], Directory.EnumerateFiles(folder.Path).Select(Path.GetFileName));
        Assert.Equal(TinyReranker.Source.Digest(), OnnxModel.Load(path).Digest());
    }

    /// <summary>A tensor beyond the first 2 GB of a file that takes no room on the disk.</summary>
    [Fact]
    public void Data_beyond_two_gigabytes_are_reached_without_reading_what_is_before()
    {
        const long Offset = 3L << 30;
        using (var sparse = new FileStream(folder.File("w.data"), FileMode.Create))
        {
            sparse.Position = Offset;
            sparse.Write(BitConverter.GetBytes(2.5f));
            sparse.Write(BitConverter.GetBytes(-1f));
        }
        var path = Model(("location", "w.data"), ("offset", Offset.ToString()), ("length", "8"));
        var before = GC.GetTotalAllocatedBytes();
        Assert.Equal([2.5f, -1f], OnnxModel.Load(path).Graph.Initializers["w"].Span<float>().ToArray());
        Assert.InRange(GC.GetTotalAllocatedBytes() - before, 0, 16 << 20);
    }

    [Theory]
    [InlineData("../w.data", "keeps its data in '../w.data', which leads out of the model's folder")]
    [InlineData("/etc/passwd", "which leads out of the model's folder")]
    [InlineData("a/../../w.data", "which leads out of the model's folder")]
    [InlineData("c:w.data", "which leads out of the model's folder")]
    [InlineData("a\\w.data", "which leads out of the model's folder")]
    [InlineData("w.data", "keeps its data in 'w.data', and there is no such file beside the model; put it there")]
    public void A_location_elsewhere_or_a_missing_file_is_told(string location, string message)
    {
        var path = Model(("location", location));
        Assert.Contains(message, Assert.Throws<PipelineException>(() => OnnxModel.Load(path)).Message);
    }

    [Theory]
    [InlineData("4", "8", "is bytes 4 to 12 of 'w.data', which has 8: the file is cut")]
    [InlineData("0", "4", "needs 8 bytes, and declares 4 in 'w.data'")]
    [InlineData("-1", "8", "external offset '-1' is no number of bytes")]
    public void Data_that_do_not_fit_are_told(string offset, string length, string message)
    {
        folder.Write("w.data", new byte[8]);
        var path = Model(("location", "w.data"), ("offset", offset), ("length", length));
        Assert.Contains(message, Assert.Throws<PipelineException>(() => OnnxModel.Load(path)).Message);
    }

    private string Model(params (string Key, string Value)[] external)
    {
        var g = new GraphBuilder();
        var proto = OnnxWriter.ToProto(
            g.Build(new ValueInfo(g.Node("Add", [g.FloatInput(2), g.Constant(Tensor.Vector(1f, 2f), "w")]), ElementType.Float, [2]))
        );
        proto.Graph.Initializer[0].ClearRawData();
        proto.Graph.Initializer[0].DataLocation = TensorProto.Types.DataLocation.External;
        proto
            .Graph.Initializer[0]
            .ExternalData.AddRange(external.Select(entry => new StringStringEntryProto { Key = entry.Key, Value = entry.Value }));
        return folder.Write("model.onnx", Google.Protobuf.MessageExtensions.ToByteArray(proto));
    }
}
