using System.Numerics;
using System.Runtime.InteropServices;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Proto;

namespace ModelPipeline.Inspection;

/// <summary>Looks for weights that are no numbers.</summary>
internal static class WeightCheck
{
    /// <summary>Notes each constant with NaN or infinite elements but masks, in which minus infinity means what it says.</summary>
    public static void Run(Graph graph, InspectionNotes notes)
    {
        foreach (var (name, tensor) in Constants(graph))
        {
            if (Count(tensor) is { Any: true, IsMask: false } odd && (odd.NaN > 0 || tensor.Count > 1))
            {
                notes.Error(
                    $"initializer '{name}' [{string.Join(',', tensor.Shape)}] has {odd.Words} among its {tensor.Count:N0} values, the "
                        + $"first at index {odd.First}: the file is damaged, "
                        + "or its training diverged, or a conversion to fp16 overflowed; export the model again from sound weights"
                );
            }
        }
    }

    /// <summary>Those of the branches of an If, too, whichever of them runs.</summary>
    private static IEnumerable<(string Name, Tensor Value)> Constants(Graph graph)
    {
        var uses = new UseDef(graph);
        return graph
            .Initializers.Select(each => (each.Key, each.Value))
            .Concat(
                graph
                    .Nodes.Where(node => node.OpType == "Constant")
                    .Select(node => (node.Output, Value: uses.Constant(node.Output)!))
                    .Where(each => each.Value is not null)
            )
            .Concat(
                graph
                    .Nodes.SelectMany(node => node.Attributes)
                    .Where(attribute => attribute.G is not null)
                    .SelectMany(attribute => Constants(Branch(graph, attribute.G)))
            );
    }

    private static Graph Branch(Graph around, GraphProto branch)
    {
        var (nodes, initializers, _) = OnnxReader.ReadBranch(branch);
        return around with { Nodes = [.. nodes], Initializers = new OrderedDictionary<string, Tensor>(initializers) };
    }

    /// <summary>Elements that are not finite.</summary>
    /// <param name="IsMask">Nothing but zeros and minus infinities.</param>
    private readonly record struct Odd(long NaN, long Infinite, long First, bool IsMask)
    {
        public bool Any => NaN + Infinite > 0;

        public string Words =>
            string.Join(
                " and ",
                new (long Count, string Name)[] { (NaN, "NaN"), (Infinite, "infinite") }
                    .Where(kind => kind.Count > 0)
                    .Select(kind => $"{kind.Count:N0} {kind.Name}")
            );
    }

    private static Odd Count(Tensor tensor) =>
        tensor.Type switch
        {
            ElementType.Float => Count<uint>(tensor, 0x7F80_0000),
            ElementType.Double => Count<ulong>(tensor, 0x7FF0_0000_0000_0000),
            ElementType.Float16 => Count<ushort>(tensor, 0x7C00),
            ElementType.BFloat16 => Count<ushort>(tensor, 0x7F80),
            _ => default,
        };

    /// <summary>By IEEE 754: an exponent of ones is infinity, or NaN with any bit below it.</summary>
    private static Odd Count<T>(Tensor tensor, T exponent)
        where T : unmanaged, IBinaryInteger<T>
    {
        var bits = MemoryMarshal.Cast<byte, T>(tensor.Data.Span);
        var magnitude = (exponent - T.One) | exponent;
        var minusInfinity = exponent | ~magnitude;
        var (nan, infinite, first, isMask) = (0L, 0L, -1L, true);
        for (var i = 0; i < bits.Length; i++)
        {
            var value = bits[i];
            isMask = isMask && (value == T.Zero || value == minusInfinity);
            if ((value & exponent) != exponent)
                continue;
            first = first < 0 ? i : first;
            if ((value & magnitude) == exponent)
                infinite++;
            else
                nan++;
        }
        return new Odd(nan, infinite, first, isMask);
    }
}
