using System.Diagnostics;
using Google.Protobuf;
using ModelPipeline.Core;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Checking;
using ModelPipeline.Onnx.Proto;
using Tensor = ModelPipeline.Onnx.Tensor;

namespace ModelPipeline.Tests.Onnx;

public sealed class OnnxFuzzTests
{
    private const int Mutations = 10_000,
        OfTheWholeFile = 200;

    /// <summary>Bytes that reading may allocate beside the file itself and its size once more.</summary>
    private const long Constant = 33 << 20;

    private static readonly long[] WildNumbers =
    [
        0,
        1,
        -1,
        127,
        128,
        int.MaxValue,
        int.MinValue,
        1L << 32,
        1L << 40,
        1L << 61,
        long.MaxValue,
        long.MinValue,
    ];

    [Fact]
    public void Ten_thousand_mutated_files_end_in_a_model_or_a_clear_error_in_bounded_time_and_memory()
    {
        var random = new Random(20_240_607);
        var whole = File.ReadAllBytes(TinyReranker.Path);
        byte[][] seeds = [Stripped(), TypedData(), Quantized()];
        int models = 0,
            refused = 0;
        for (var i = 0; i < Mutations; i++)
        {
            var mutated = Mutated(
                i < OfTheWholeFile ? whole : seeds[i % seeds.Length],
                random,
                structured: i >= OfTheWholeFile && i % 3 == 0
            );
            var before = GC.GetAllocatedBytesForCurrentThread();
            var clock = Stopwatch.GetTimestamp();
            OnnxModel? model = null;
            try
            {
                model = OnnxModel.Parse(mutated);
                models++;
            }
            catch (PipelineException)
            {
                refused++;
            }
            // The file's own bytes were allocated by the mutation.
            var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.True(allocated <= mutated.Length + Constant, $"mutation {i} of {mutated.Length:N0} bytes allocated {allocated:N0}");
            Assert.True(Stopwatch.GetElapsedTime(clock) < TimeSpan.FromSeconds(5), $"mutation {i} took {Stopwatch.GetElapsedTime(clock)}");
            // What reads well need not be sound, but neither the checker nor, where that finds nothing, a pass may stumble over it.
            if (model is not null && OnnxChecker.Check(model).Findings.Count == 0)
                TinyReranker.Apply(model, "dead-nodes", "share-initializers", "mask");
        }
        // A run that refuses or accepts everything would show nothing.
        Assert.True(models > Mutations / 20 && refused > Mutations / 20, $"{models} models, {refused} refused");
    }

    public static TheoryData<string, byte[]> Bombs =>
        new()
        {
            { "empty nodes", Graph(Repeated([0x0A, 0x00], 2_000_000)) },
            { "empty inputs of a node", Graph(Field(1, Repeated([0x0A, 0x00], 2_000_000))) },
            { "empty attributes", Graph(Field(1, Field(5, Repeated([0x2A, 0x00], 2_000_000)))) },
            { "one-byte integers", Graph(Field(1, Field(5, Field(8, new byte[4_000_000])))) },
            { "one-byte elements", Graph(Field(5, Field(7, new byte[4_000_000]))) },
            { "unpacked floats", Graph(Field(1, Field(5, Repeated([0x3D, 0, 0, 0, 0], 1_000_000)))) },
            { "a name of megabytes", Graph(Field(2, [.. Enumerable.Repeat((byte)'a', 8_000_000)])) },
            { "messages in messages", Nested(10_000) },
        };

    [Theory]
    [MemberData(nameof(Bombs), DisableDiscoveryEnumeration = true)]
    public void A_small_file_that_asks_for_much_memory_is_refused_before_it_gets_it(string name, byte[] bytes)
    {
        var before = GC.GetAllocatedBytesForCurrentThread();

        Assert.Throws<PipelineException>(() => OnnxModel.Parse(bytes, name));

        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(allocated <= bytes.Length + Constant, $"{allocated:N0} bytes allocated for {bytes.Length:N0}");
    }

    private static byte[] Mutated(byte[] seed, Random random, bool structured)
    {
        if (structured)
        {
            var proto = ModelProto.Parser.ParseFrom(seed);
            for (var i = random.Next(1, 4); i > 0; i--)
                Change(proto, random);
            return proto.ToByteArray();
        }
        var bytes = (byte[])seed.Clone();
        switch (random.Next(4))
        {
            case 0: // bits
                for (var i = random.Next(1, 8); i > 0; i--)
                    bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
                return bytes;
            case 1: // the end is missing
                return bytes[..random.Next(bytes.Length)];
            case 2: // a length or number becomes wild: ten bytes of a varint
                random.NextBytes(bytes.AsSpan(random.Next(bytes.Length - 10), random.Next(1, 10)));
                return bytes;
            default: // a piece is moved
                var (from, to, length) = (
                    random.Next(bytes.Length / 2),
                    random.Next(bytes.Length / 2),
                    random.Next(1, Math.Min(200, bytes.Length / 2))
                );
                seed.AsSpan(from, length).CopyTo(bytes.AsSpan(to));
                return bytes;
        }
    }

    /// <summary>Valid protobuf that says something else: wild dimensions, types, names and locations.</summary>
    private static void Change(ModelProto proto, Random random)
    {
        var graph = proto.Graph;
        var tensor = graph.Initializer[random.Next(graph.Initializer.Count)];
        var node = graph.Node[random.Next(graph.Node.Count)];
        var wild = WildNumbers[random.Next(WildNumbers.Length)];
        var names = node.Input.Concat(node.Output).Append("").Append("nowhere").ToList();
        switch (random.Next(12))
        {
            case 0 when tensor.Dims.Count > 0:
                tensor.Dims[random.Next(tensor.Dims.Count)] = wild;
                break;
            case 1:
                tensor.Dims.Add(wild);
                break;
            case 2:
                tensor.DataType = (int)wild;
                break;
            case 3:
                tensor.RawData = ByteString.CopyFrom(new byte[random.Next(64)]);
                break;
            case 4:
                tensor.Name = graph.Initializer[random.Next(graph.Initializer.Count)].Name;
                break;
            case 5:
                tensor.DataLocation = (TensorProto.Types.DataLocation)(random.Next(3));
                break;
            case 6 when node.Input.Count > 0:
                node.Input[random.Next(node.Input.Count)] = names[random.Next(names.Count)];
                break;
            case 7 when node.Output.Count > 0:
                node.Output[0] = names[random.Next(names.Count)];
                break;
            case 8:
                graph.Node.Add(node.Clone());
                break;
            case 9 when graph.Input.Count > 0 && graph.Input[0].Type?.TensorType?.Shape is { Dim.Count: > 0 } shape:
                shape.Dim[0].DimValue = wild;
                break;
            case 10:
                proto.OpsetImport[0].Version = wild;
                break;
            default:
                node.Attribute.Add(
                    new AttributeProto
                    {
                        Name = "value",
                        T = new TensorProto { DataType = random.Next(12), Dims = { wild } },
                    }
                );
                break;
        }
    }

    /// <summary>The sample model's graph with small weights: nothing but structure.</summary>
    private static byte[] Stripped()
    {
        var graph = TinyReranker.Source.Graph;
        var nodes = graph.Nodes.Take(60).ToList();
        var read = nodes.SelectMany(node => node.Inputs).ToHashSet();
        return TinyReranker
            .Source.With(
                graph with
                {
                    Nodes = [.. nodes],
                    Outputs = [new ValueInfo(nodes[^1].Output, ElementType.Float, [1, 128])],
                    Initializers = new(
                        graph
                            .Initializers.Where(entry => read.Contains(entry.Key))
                            .Select(entry => KeyValuePair.Create(entry.Key, Tensor.Of<float>([2, 2], [1, 2, 3, 4])))
                    ),
                }
            )
            .ToBytes();
    }

    private static byte[] TypedData()
    {
        var g = new GraphBuilder();
        var proto = ModelProto.Parser.ParseFrom(
            g.Build(
                    new ValueInfo(
                        g.Node("Add", [g.Input("x", ElementType.Float, 2), g.Constant(Tensor.Vector(1f, 2))]),
                        ElementType.Float,
                        [2]
                    )
                )
                .ToBytes()
        );
        proto.Graph.Initializer.Add(
            new TensorProto
            {
                Name = "i",
                DataType = (int)ElementType.Int64,
                Dims = { 3 },
                Int64Data = { 1, -2, long.MaxValue },
            }
        );
        proto.Graph.Initializer.Add(
            new TensorProto
            {
                Name = "f",
                DataType = (int)ElementType.Float,
                Dims = { 2 },
                FloatData = { 1, -2 },
            }
        );
        proto.Graph.Initializer.Add(
            new TensorProto
            {
                Name = "b",
                DataType = (int)ElementType.UInt8,
                Dims = { 2, 1 },
                Int32Data = { 1, 255 },
            }
        );
        return proto.ToByteArray();
    }

    private static byte[] Quantized()
    {
        var g = new GraphBuilder();
        var x = g.Input("x", ElementType.Float, new Dimension(null, "batch"), 4);
        var quantized = g.Nodes("DynamicQuantizeLinear", [x], 3, "");
        var product = g.Node("MatMulInteger", [quantized[0], g.Constant(Tensor.Of<sbyte>([4, 2], [1, 2, 3, 4, 5, 6, 7, 8])), quantized[2]]);
        var constant = g.Node("Constant", [], Attributes.Of("value", Tensor.Vector(0.5f, 0.25f)));
        return g.Build(
                new ValueInfo(
                    g.Node("Mul", [g.Node("Cast", [product], Attributes.Of("to", 1L)), constant]),
                    ElementType.Float,
                    [new Dimension(null, "batch"), 2]
                )
            )
            .ToBytes();
    }

    private static byte[] Graph(byte[] content) => Field(7, content);

    private static byte[] Nested(int depth)
    {
        int[] Fields = [6, 5, 1];
        byte[] message = [];
        // Graph, node, attribute, graph ...: small lengths first, so that each level stays cheap to build.
        for (var i = 0; i < depth; i++)
            message = Field(Fields[i % Fields.Length], message);
        return Graph(message);
    }

    private static byte[] Repeated(byte[] field, int times) => [.. Enumerable.Repeat(field, times).SelectMany(bytes => bytes)];

    private static byte[] Field(int number, byte[] content)
    {
        using var stream = new MemoryStream();
        using var output = new CodedOutputStream(stream);
        output.WriteTag(number, WireFormat.WireType.LengthDelimited);
        output.WriteBytes(ByteString.CopyFrom(content));
        output.Flush();
        return stream.ToArray();
    }
}
