using Microsoft.ML.OnnxRuntime;
using ModelPipeline.Core;
using OrtType = Microsoft.ML.OnnxRuntime.Tensors.TensorElementType;

namespace ModelPipeline.Onnx;

/// <summary>
/// Random inputs of a transformer as a tokenizer would pad them: real tokens first, then padding. Rewrites are proved and graphs understood
/// by them.
/// Open axes become batch 1 and <see cref="OpenSequence"/> tokens.
/// </summary>
internal sealed class Probe
{
    private const int OpenSequence = 16;
    private const int DefaultVocabulary = 1000;
    private readonly Graph graph;
    private readonly long[] mask;
    private readonly ulong seed;

    private Probe(Graph graph, int batch, int sequence, long[] mask, ulong seed) =>
        (this.graph, Batch, Sequence, this.mask, this.seed) = (graph, batch, sequence, mask, seed);

    public int Batch { get; }

    public int Sequence { get; }

    public bool HasPadding => mask.Contains(0);

    /// <summary>Whether a position of [batch, sequence] holds a real token.</summary>
    public bool IsReal(int position) => mask[position] != 0;

    /// <summary>The input that tells real tokens from padding; null if there is none.</summary>
    public static string? MaskOf(Graph graph) =>
        graph.Inputs.FirstOrDefault(input => input.Name.Contains("mask", StringComparison.OrdinalIgnoreCase))?.Name;

    /// <summary>Without padding first, then with ever other lengths.</summary>
    public static IReadOnlyList<Probe> Of(Graph graph, int count)
    {
        var shape = graph.Inputs.FirstOrDefault(input => input.Shape.Length == 2)?.Shape;
        var (batch, sequence) = shape is null
            ? (1, OpenSequence)
            : ((int)(shape.Value[0].Value ?? 1), (int)(shape.Value[1].Value ?? OpenSequence));
        var random = new SplitMix64(17);
        return
        [
            .. Enumerable
                .Range(0, count)
                .Select(index =>
                {
                    var mask = new long[batch * sequence];
                    for (var row = 0; row < batch; row++)
                        mask.AsSpan(row * sequence, index == 0 ? sequence : random.Between(1, sequence)).Fill(1);
                    return new Probe(graph, batch, sequence, mask, (ulong)index + 1);
                }),
        ];
    }

    /// <summary>Values for a session of the graph, in its order; whoever runs them disposes them.</summary>
    public IReadOnlyList<OrtValue> Values() => [.. graph.Inputs.Select(Value)];

    private OrtValue Value(ValueInfo input)
    {
        long[] shape = [.. input.Shape.Select((dimension, axis) => dimension.Value ?? (axis == 0 ? Batch : Sequence))];
        var count = (int)Tensor.CountOf(shape);
        var random = new SplitMix64(seed);
        if (input.Type == ElementType.Float)
            return OrtValue.CreateTensorValueFromMemory(
                Enumerable.Range(0, count).Select(_ => ((float)random.Between(0, 2000) / 1000) - 1).ToArray(),
                shape
            );
        var numbers = Numbers(input.Name, count, random);
        if (input.Type == ElementType.Int32)
            return OrtValue.CreateTensorValueFromMemory(numbers.Select(number => (int)number).ToArray(), shape);
        if (input.Type == ElementType.Int64)
            return OrtValue.CreateTensorValueFromMemory(numbers, shape);
        var value = OrtValue.CreateAllocatedTensorValue(OrtAllocator.DefaultInstance, (OrtType)input.Type, shape);
        value.GetTensorMutableRawData().Clear();
        return value;
    }

    private long[] Numbers(string name, int count, SplitMix64 random)
    {
        if (name == MaskOf(graph))
            return count == mask.Length ? mask : [.. Enumerable.Repeat(1L, count)];
        if (name.Contains("type", StringComparison.OrdinalIgnoreCase))
            return new long[count];
        if (name.Contains("position", StringComparison.OrdinalIgnoreCase))
            return [.. Enumerable.Range(0, count).Select(position => (long)(position % Sequence))];
        var (padding, first, end) = Vocabulary(name);
        return
        [
            .. Enumerable
                .Range(0, count)
                .Select(position => position >= mask.Length || IsReal(position) ? random.Between(first, end - 1) : padding),
        ];
    }

    /// <summary>The id of padding, and the ids of real tokens, of which some are special in every vocabulary.</summary>
    private (long Padding, int First, int End) Vocabulary(string ids)
    {
        var uses = new UseDef(graph);
        var named = new HashSet<string> { ids };
        foreach (var node in graph.Nodes.Where(node => node.OpType is "Cast" or "Identity" or "Reshape" && named.Contains(node.Inputs[0])))
            named.Add(node.Output);
        var readers = named.SelectMany(uses.Consumers).ToList();
        var table = readers
            .Where(reader => reader.OpType == "Gather" && named.Contains(reader.Inputs[1]))
            .Select(reader => uses.Constant(reader.Inputs[0]))
            .FirstOrDefault(constant => constant?.Rank == 2);
        var end = (int)Math.Min(table?.Shape[0] ?? DefaultVocabulary, int.MaxValue);
        var compared = readers.Where(reader => reader.OpType == "Equal").Select(reader => uses.Constant(reader.Inputs[1])).FirstOrDefault();
        var padding = compared is { Type: ElementType.Int64, Count: 1 } ? compared.Span<long>()[0] : 0;
        var first = (int)Math.Min(Math.Max(5, padding + 1), Math.Max(0, end - 2));
        return (Math.Clamp(padding, 0, end - 1), first, Math.Max(end, first + 1));
    }
}
