using System.Globalization;
using Google.Protobuf;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Checking;
using ModelPipeline.Rewrites;

namespace ModelPipeline.Raising;

/// <summary>
/// Weights stand as initializers: what is computed from constants alone (behind Transpose, Cast, Reshape, Concat, sums of adapters and the
/// like) is computed once, by ONNX Runtime; Constant nodes give their values up; Identity, casts to the same type and Dropout, which change
/// nothing, go.
/// </summary>
internal static class ConstantFolding
{
    private static readonly HashSet<string> NeverFolded = [.. FoldShapes.Random, "Dropout", "If"];

    /// <summary>A result may take so many times the bytes of what it was computed from, or <see cref="SmallBytes"/>.</summary>
    private const int LargestGrowth = 2;
    private const long SmallBytes = 64 << 10;

    public static Rewritten Apply(OnnxModel model)
    {
        var (plain, dropped) = WithoutNothings(model);
        var (folded, constants, bytes) = Folded(plain);
        List<string> matches = [];
        if (dropped > 0)
            matches.Add($"{dropped} Identity, Cast and Dropout nodes that change nothing dropped");
        if (constants > 0)
            matches.Add($"{constants} constants ({bytes / 1e6:0.###} MB) computed: no longer behind other nodes");
        return matches.Count == 0 ? Rewritten.Nothing(model) : new Rewritten(DeadNodes.Apply(folded).Model, matches);
    }

    private static (OnnxModel Model, int Dropped) WithoutNothings(OnnxModel model)
    {
        var graph = model.Graph;
        var types = ValueTypes.Of(graph);
        var uses = new UseDef(graph);
        var captured = graph.Nodes.SelectMany(node => node.Captured).ToHashSet();
        var same = new Dictionary<string, string>();
        var nodes = new List<Node>();
        foreach (var node in graph.Nodes)
        {
            var read = node.Inputs.Any(same.ContainsKey)
                ? node with
                {
                    Inputs = [.. node.Inputs.Select(input => same.GetValueOrDefault(input, input))],
                }
                : node;
            if (ChangesNothing(node) && !uses.IsOutput(node.Output) && !captured.Contains(node.Output))
                same[node.Output] = read.Inputs[0];
            else
                nodes.Add(read);
        }
        return same.Count == 0 ? (model, 0) : (model.With(graph with { Nodes = [.. nodes] }), same.Count);

        bool ChangesNothing(Node node) =>
            node.Domain.Length == 0
            && node.OpType switch
            {
                "Identity" => true,
                "Cast" => types.GetValueOrDefault(node.Inputs[0]) is var type
                    && type != ElementType.Undefined
                    && (long)type == node.Int("to", 0),
                "Dropout" => node.Outputs.Skip(1).All(mask => mask.Length == 0 || (uses.Consumers(mask).Count == 0 && !uses.IsOutput(mask)))
                    && (
                        node.Inputs.Length < 3
                        || node.Inputs[2].Length == 0
                        || uses.Constant(node.Inputs[2]) is { Type: ElementType.Bool } training && training.Data.Span[0] == 0
                    ),
                _ => false,
            };
    }

    private static (OnnxModel Model, int Constants, long Bytes) Folded(OnnxModel model)
    {
        var graph = model.Graph;
        var uses = new UseDef(graph);
        var origins = new Dictionary<string, IReadOnlySet<string>> { [""] = new HashSet<string>() };
        foreach (var name in graph.Initializers.Keys)
            origins[name] = new HashSet<string> { name };
        var (cone, same) = (new List<Node>(), new Dictionary<string, string>());
        var computed = new Dictionary<string, Node>();
        foreach (var node in graph.Nodes.Where(node => !NeverFolded.Contains(node.OpType) && node.Inputs.All(origins.ContainsKey)))
        {
            var read = node with { Inputs = [.. node.Inputs.Select(input => same.GetValueOrDefault(input, input))] };
            var origin = read.Inputs.SelectMany(input => origins[input]).ToHashSet();
            foreach (var output in node.Outputs)
                origins[output] = origin;
            if (computed.TryAdd(Meaning(read), read))
                cone.Add(read);
            else
                foreach (var (output, first) in node.Outputs.Zip(computed[Meaning(read)].Outputs))
                    same[output] = first;
        }
        var inCone = cone.Concat(graph.Nodes.Where(node => node.Outputs.Any(same.ContainsKey)))
            .SelectMany(node => node.Outputs)
            .Where(output => output.Length > 0)
            .ToHashSet();
        var types = ValueTypes.Of(graph);
        var wanted = graph
            .Nodes.Where(node => !inCone.Contains(node.Output))
            .SelectMany(node => node.Inputs)
            .Where(inCone.Contains)
            .Where(value =>
                types.GetValueOrDefault(value) == ElementType.Float
                && !(uses.Producer(value) is { OpType: "Constant" } && uses.Constant(value) is { Count: 1 })
            )
            .ToHashSet();
        if (wanted.Count == 0)
            return (model, 0, 0);
        var values = Evaluate(model, cone, [.. wanted.Select(value => same.GetValueOrDefault(value, value)).Distinct()]);
        var constants = values
            .Where(value =>
                value.Value.Data.Length
                    <= Math.Max(SmallBytes, LargestGrowth * origins[value.Key].Sum(name => (long)graph.Initializers[name].Data.Length))
                || uses.Producer(value.Key)?.OpType == "Constant"
            )
            .ToDictionary();
        var replaced = wanted
            .Where(value => constants.ContainsKey(same.GetValueOrDefault(value, value)))
            .ToDictionary(value => value, value => same.GetValueOrDefault(value, value));
        if (replaced.Count == 0)
            return (model, 0, 0);
        var kept = graph with
        {
            Nodes =
            [
                .. graph
                    .Nodes.Where(node => !node.Outputs.Any(constants.ContainsKey))
                    .Select(node =>
                        inCone.Contains(node.Output)
                            ? node
                            : node with
                            {
                                Inputs = [.. node.Inputs.Select(input => replaced.GetValueOrDefault(input, input))],
                            }
                    ),
            ],
            Initializers = graph.InitializersWith(constants),
        };
        return (model.With(kept), constants.Count, constants.Values.Sum(value => (long)value.Data.Length));
    }

    /// <summary>Equal for nodes that compute the same.</summary>
    private static string Meaning(Node node) =>
        string.Join(
            '|',
            [
                node.Domain,
                node.OpType,
                .. node.Inputs,
                node.Outputs.Length.ToString(CultureInfo.InvariantCulture),
                .. node
                    .Attributes.OrderBy(attribute => attribute.Name, StringComparer.Ordinal)
                    .Select(attribute => attribute.ToByteString().ToBase64()),
            ]
        );

    private static Dictionary<string, Tensor> Evaluate(OnnxModel model, IReadOnlyList<Node> cone, IReadOnlyList<string> wanted)
    {
        var graph = model.Graph with
        {
            Inputs = [],
            Nodes = [.. cone],
            Outputs = [.. wanted.Select(name => new ValueInfo(name, ElementType.Undefined, []))],
        };
        using var session = InferenceSessions.Open(DeadNodes.Apply(model.With(graph)).Model, new RunSettings(Optimize: false));
        using var outputs = session.Run(new List<Microsoft.ML.OnnxRuntime.OrtValue>(), wanted);
        return wanted
            .Zip(outputs)
            .ToDictionary(
                pair => pair.First,
                pair =>
                {
                    var info = pair.Second.GetTensorTypeAndShape();
                    return new Tensor(
                        (ElementType)info.ElementDataType,
                        [.. info.Shape],
                        pair.Second.GetTensorDataAsSpan<byte>().ToArray()
                    );
                }
            );
    }
}
