using Google.Protobuf;
using ModelPipeline.Core;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Proto;
using Tensor = ModelPipeline.Onnx.Tensor;

namespace ModelPipeline.Tests.Onnx;

public sealed class OnnxFileTests
{
    private static readonly byte[] Small = SmallModel().ToBytes();

    private static OnnxModel SmallModel()
    {
        var g = new GraphBuilder();
        var sum = g.Node("Add", [g.Input("x", ElementType.Float, new Dimension(null, "n"), 2), g.Constant(Tensor.Vector(1f, 2), "w")]);
        var model = g.Build(new ValueInfo(g.Node("Relu", [sum]), ElementType.Float, [new Dimension(null, "n"), 2]));
        model.Header.OpsetImport.RemoveAt(1);
        return model;
    }

    private static byte[] Changed(Action<ModelProto> change)
    {
        var proto = ModelProto.Parser.ParseFrom(Small);
        change(proto);
        return proto.ToByteArray();
    }

    private static string Refusal(byte[] bytes) => Assert.Throws<PipelineException>(() => OnnxModel.Parse(bytes, "a.onnx")).Message;

    [Fact]
    public void The_sample_model_is_written_byte_for_byte_as_it_was_read()
    {
        var bytes = File.ReadAllBytes(TinyReranker.Path);

        var model = OnnxModel.Parse(bytes);

        Assert.Equal(bytes, model.ToBytes());
        using var folder = new TemporaryFolder();
        model.Save(folder.File("copy.onnx"));
        Assert.Equal(bytes, File.ReadAllBytes(folder.File("copy.onnx")));
        Assert.Equal(Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(bytes)), model.Digest());
        Assert.Equal((14, 7, "pytorch 2.13.0"), (model.Opset, model.IrVersion, model.Producer));
    }

    [Fact]
    public void A_prepared_model_is_read_as_it_was_written()
    {
        var bytes = TinyReranker.Prepared.ToBytes();

        Assert.Equal(bytes, OnnxModel.Parse(bytes).ToBytes());
    }

    [Fact]
    public void Reading_allocates_the_file_and_little_more_and_writing_almost_nothing()
    {
        var weights = Enumerable.Range(0, 6_000_000).Select(i => (float)i).ToArray();
        var g = new GraphBuilder();
        var model = g.Build(
            new ValueInfo(
                g.Node("Add", [g.Input("x", ElementType.Float, 1), g.Constant(Tensor.Vector(weights))]),
                ElementType.Float,
                [6_000_000]
            )
        );
        using var folder = new TemporaryFolder();
        var path = folder.File("large.onnx");

        var saving = Allocated(() => model.Save(path));
        OnnxModel? read = null;
        var loading = Allocated(() => read = OnnxModel.Load(path));

        Assert.Equal(weights, read!.Graph.Initializers.Single().Value.Span<float>().ToArray());
        Assert.True(loading < 1.05 * new FileInfo(path).Length, $"{loading:N0} bytes allocated");
        Assert.True(saving < 1 << 20, $"{saving:N0} bytes allocated");

        static long Allocated(Action action)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            action();
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }
    }

    [Fact]
    public void Data_in_typed_fields_are_read_as_raw_data_are()
    {
        TensorProto[] typed =
        [
            new()
            {
                DataType = (int)ElementType.Float,
                Dims = { 2 },
                FloatData = { 1.5f, -2 },
            },
            new()
            {
                DataType = (int)ElementType.Double,
                Dims = { 2 },
                DoubleData = { 1.5, -2 },
            },
            new()
            {
                DataType = (int)ElementType.Int64,
                Dims = { 2 },
                Int64Data = { long.MaxValue, -2 },
            },
            new()
            {
                DataType = (int)ElementType.UInt64,
                Dims = { 1 },
                Uint64Data = { ulong.MaxValue },
            },
            new()
            {
                DataType = (int)ElementType.UInt32,
                Dims = { 1 },
                Uint64Data = { uint.MaxValue },
            },
            new()
            {
                DataType = (int)ElementType.Int32,
                Dims = { 2 },
                Int32Data = { int.MinValue, 3 },
            },
            new()
            {
                DataType = (int)ElementType.Int8,
                Dims = { 2 },
                Int32Data = { -128, 127 },
            },
            new()
            {
                DataType = (int)ElementType.Float16,
                Dims = { 1 },
                Int32Data = { BitConverter.HalfToUInt16Bits((Half)0.5f) },
            },
            new()
            {
                DataType = (int)ElementType.Bool,
                Dims = { },
                Int32Data = { 1 },
            },
        ];
        Tensor[] expected =
        [
            Tensor.Vector(1.5f, -2),
            Tensor.Vector(1.5, -2),
            Tensor.Vector(long.MaxValue, -2),
            new(ElementType.UInt64, [1], BitConverter.GetBytes(ulong.MaxValue)),
            new(ElementType.UInt32, [1], BitConverter.GetBytes(uint.MaxValue)),
            Tensor.Vector(int.MinValue, 3),
            Tensor.Vector<sbyte>(-128, 127),
            Tensor.Vector((Half)0.5f),
            Tensor.Scalar(true),
        ];

        var model = OnnxModel.Parse(
            Changed(proto =>
            {
                foreach (var (index, tensor) in typed.Index())
                {
                    tensor.Name = $"t{index}";
                    proto.Graph.Initializer.Add(tensor);
                }
            })
        );

        Assert.Equal(expected, typed.Select(tensor => model.Graph.Initializers[tensor.Name]));
    }

    [Fact]
    public void What_a_file_is_not_is_said()
    {
        using var folder = new TemporaryFolder();
        Assert.Equal(
            $"{folder.File("none.onnx")}: no such file; an ONNX model was expected there",
            Assert.Throws<PipelineException>(() => OnnxModel.Load(folder.File("none.onnx"))).Message
        );
        Assert.Contains("cannot be read", Assert.Throws<PipelineException>(() => OnnxModel.Load(folder.Path)).Message);
        Assert.Contains("there is no graph in it", Refusal([]));
        Assert.Contains("not a usable ONNX model (46 bytes)", Refusal("version https://git-lfs.github.com/spec/v1\noid"u8.ToArray()));
        Assert.Contains("not a usable ONNX model", Refusal("<!DOCTYPE html><html>Not found</html>"u8.ToArray()));
        Assert.Contains("there are 2 graphs in it", Refusal([.. Small, .. Small]));
        Assert.All(
            Enumerable.Range(1, Small.Length - 1),
            length => Assert.StartsWith("a.onnx: not a usable ONNX model", Refusal(Small[..length]))
        );
    }

    [Fact]
    public void Files_over_2_GB_are_refused_unread()
    {
        using var folder = new TemporaryFolder();
        using (var file = File.Create(folder.File("large.onnx")))
            file.SetLength(OnnxModel.MaxBytes + 1);

        Assert.Contains(
            "ONNX files over 2 GB cannot be read",
            Assert.Throws<PipelineException>(() => OnnxModel.Load(folder.File("large.onnx"))).Message
        );
    }

    public static TheoryData<string, Action<ModelProto>> Refusals =>
        new()
        {
            {
                "'w' keeps its data in another file; save the model as one file",
                model =>
                {
                    model.Graph.Initializer[0].ClearRawData();
                    model.Graph.Initializer[0].DataLocation = TensorProto.Types.DataLocation.External;
                }
            },
            {
                "'w' keeps its data in another file",
                model => model.Graph.Initializer[0].ExternalData.Add(new StringStringEntryProto { Key = "location", Value = "/etc/passwd" })
            },
            { "opset 6 is not supported; opsets 7 to 25 are", model => model.OpsetImport[0].Version = 6 },
            { "opset 26 is not supported", model => model.OpsetImport[0].Version = 26 },
            { "opset 9223372036854775807 is not supported", model => model.OpsetImport[0].Version = long.MaxValue },
            { "imports no version of the standard operator set", model => model.OpsetImport.RemoveAt(0) },
            {
                "holds 1 local functions; export the model with them inlined",
                model => model.Functions.Add(new FunctionProto { Name = "f" })
            },
            { "sparse initializers are not supported", model => model.Graph.SparseInitializer.Add(new SparseTensorProto()) },
            {
                "node 'Relu_1' is control flow (Loop); export the model without it",
                model =>
                {
                    model.Graph.Node[1].OpType = "Loop";
                    model.Graph.Node[1].Attribute.Add(new AttributeProto { Name = "body", G = new GraphProto() });
                }
            },
            { "initializer 'c' stands there twice", model => Branch(model).Initializer.Add(Branch(model).Initializer[0].Clone()) },
            { "tensor 'c' [2] float needs 8 bytes, the file has 4", model => Branch(model).Initializer[0].Dims.Add(2) },
            {
                "'c' keeps its data in another file; save the model as one file",
                model => Branch(model).Initializer[0].DataLocation = TensorProto.Types.DataLocation.External
            },
            { "node 'inner' (Relu) writes nothing", model => Branch(model).Node.Add(new NodeProto { OpType = "Relu", Name = "inner" }) },
            { "initializer 'w' stands there twice", model => model.Graph.Initializer.Add(model.Graph.Initializer[0].Clone()) },
            { "an initializer has no name", model => model.Graph.Initializer[0].Name = "" },
            { "input 'x' has no name or stands there twice", model => model.Graph.Input.Add(model.Graph.Input[0].Clone()) },
            { "reads 'nowhere', which nothing before it writes", model => model.Graph.Node[0].Input[0] = "nowhere" },
            { "reads 'Relu_1', which nothing before it writes", model => model.Graph.Node[0].Input[0] = "Relu_1" },
            { "writes 'Add_0', which is written already", model => model.Graph.Node[1].Output[0] = "Add_0" },
            { "writes 'w', which is written already", model => model.Graph.Node[0].Output[0] = "w" },
            { "node 'Add_0' (Add) writes nothing", model => model.Graph.Node[0].Output.Clear() },
            { "nothing writes the graph output 'y'", model => model.Graph.Output[0].Name = "y" },
            { "output 'Relu_1' stands there twice", model => model.Graph.Output.Add(model.Graph.Output[0].Clone()) },
            { "the graph has no output", model => model.Graph.Output.Clear() },
            { "'w' has the element type 8, which is not supported", model => model.Graph.Initializer[0].DataType = 8 },
            { "'w' has the element type 22, which is not supported", model => model.Graph.Initializer[0].DataType = 22 },
            { "'x' has the element type 0, which is not supported", model => model.Graph.Input[0].Type.TensorType.ElemType = 0 },
            { "'x' has the dimension -2", model => model.Graph.Input[0].Type.TensorType.Shape.Dim[1].DimValue = -2 },
            { "'x' is not a tensor with a shape", model => model.Graph.Input[0].Type = new TypeProto() },
            { "'Relu_1' is not a tensor with a shape", model => model.Graph.Output[0].Type.TensorType.Shape = null },
            { "a negative dimension", model => model.Graph.Initializer[0].Dims[0] = -1 },
            { "tensor 'w' [3] float needs 12 bytes, the file has 8", model => model.Graph.Initializer[0].Dims[0] = 3 },
            { "overflow", model => model.Graph.Initializer[0].Dims.Add(long.MaxValue) },
            { "overflow", model => model.Graph.Initializer[0].Dims[0] = 1L << 61 },
            { "'w' has 40 dimensions; at most 32 make sense", model => model.Graph.Initializer[0].Dims.Add(Enumerable.Repeat(1L, 39)) },
            { "'w' holds its data twice, or in a field of another type", model => model.Graph.Initializer[0].FloatData.Add([1, 2]) },
            {
                "'w' holds its data twice, or in a field of another type",
                model =>
                {
                    model.Graph.Initializer[0].ClearRawData();
                    model.Graph.Initializer[0].DoubleData.Add(1);
                }
            },
            {
                "tensor 'c' has the element type 8",
                model =>
                    model
                        .Graph.Node[0]
                        .Attribute.Add(
                            new AttributeProto
                            {
                                Name = "value",
                                T = new TensorProto { Name = "c", DataType = 8 },
                            }
                        )
            },
        };

    /// <summary>The branch of the If that the last node becomes, with a constant.</summary>
    private static GraphProto Branch(ModelProto model)
    {
        var choice = model.Graph.Node[1];
        if (choice.OpType != "If")
        {
            var constant = OnnxWriter.ToProto(Tensor.Scalar(1f), "c");
            choice.OpType = "If";
            choice.Attribute.Add(
                new AttributeProto
                {
                    Name = "then_branch",
                    G = new GraphProto { Initializer = { constant } },
                }
            );
        }
        return choice.Attribute[0].G;
    }

    [Theory]
    [MemberData(nameof(Refusals), DisableDiscoveryEnumeration = true)]
    public void What_cannot_be_handled_is_refused_by_name(string expected, Action<ModelProto> change)
    {
        var message = Refusal(Changed(change));

        Assert.StartsWith("a.onnx: not a usable ONNX model", message);
        Assert.Contains(expected, message);
    }

    [Fact]
    public void Initializers_that_old_files_list_among_the_inputs_are_no_inputs()
    {
        var model = OnnxModel.Parse(Changed(proto => proto.Graph.Input.Add(new ValueInfoProto { Name = "w" })));

        Assert.Equal("x", Assert.Single(model.Graph.Inputs).Name);
    }

    [Fact]
    public void Constants_of_every_form_are_known()
    {
        var g = new GraphBuilder();
        string[] names =
        [
            g.Node("Constant", [], Attributes.Of("value", Tensor.Vector(1f, 2))),
            g.Node("Constant", [], Attributes.Of("value_float", 3f)),
            g.Node("Constant", [], Attributes.Of("value_int", 4L)),
            g.Node("Constant", [], Attributes.Of("value_ints", 5L, 6)),
            g.Node("Constant", [], new AttributeProto { Name = "value_string", S = ByteString.CopyFromUtf8("?") }),
        ];
        var uses = new UseDef(g.Build(names).Graph);

        Assert.Equal<Tensor?>(
            [Tensor.Vector(1f, 2), Tensor.Scalar(3f), Tensor.Scalar(4L), Tensor.Vector(5L, 6), null],
            names.Select(uses.Constant)
        );
    }

    [Theory]
    [InlineData("DynamicQuantizeLinear", "")]
    [InlineData("QuantizeLinear", "")]
    [InlineData("DequantizeLinear", "")]
    [InlineData("MatMulInteger", "")]
    [InlineData("QLinearMatMul", "")]
    [InlineData("QLinearAdd", "com.microsoft")]
    [InlineData("MatMulNBits", "com.microsoft")]
    public void Sources_that_are_quantized_already_are_refused_with_the_reason(string op, string domain)
    {
        var g = new GraphBuilder();
        var x = g.Input("x", ElementType.Float, 2);
        var model = g.Build(g.Nodes(op, [x], 1, domain)[0], g.Nodes(op, [x], 1, domain)[0]);

        var message = Assert.Throws<PipelineException>(() => Prequantized.Refuse(model, "model_quantized.onnx")).Message;

        Assert.StartsWith($"model_quantized.onnx: is quantized already (2 {op}); start from the fp32 file", message);
        Assert.Contains("rknn-toolkit2 stops at such operators", message);
    }

    [Fact]
    public void The_sample_model_is_not_quantized() => Prequantized.Refuse(TinyReranker.Source, "model.onnx");

    [Fact]
    public void Metadata_is_replaced_by_key_and_written()
    {
        var model = OnnxModel.Parse(Small).WithMetadata(("a", "1"), ("b", "2")).WithMetadata(("a", "3"));

        Assert.Equal([new("a", "3"), new("b", "2")], OnnxModel.Parse(model.ToBytes()).Metadata);
    }
}
