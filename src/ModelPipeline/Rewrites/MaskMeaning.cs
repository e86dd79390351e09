using System.Collections.Immutable;
using ModelPipeline.Onnx;

namespace ModelPipeline.Rewrites;

/// <summary>What a mask does to attention scores.</summary>
internal enum MaskKind
{
    /// <summary>Something beyond a large negative number at padding.</summary>
    Unknown,

    /// <summary>Switches padding off by a number beyond <see cref="MaskMeaning.Threshold"/>.</summary>
    Large,

    /// <summary>Switches padding off, or leaves the scores, by numbers that int8 can hold.</summary>
    Small,
}

/// <summary>A mask's meaning, found by evaluating it for several attention masks.</summary>
/// <param name="Kind">What it does.</param>
/// <param name="Shape">Of what is added to the scores; [1] if it is unknown.</param>
/// <param name="Window">What is added where no token is padding: 0, or minus infinity outside a window, or a bias.</param>
internal sealed record MaskMeaning(MaskKind Kind, ImmutableArray<long> Shape, float[] Window)
{
    /// <summary>Less than this is meant as minus infinity.</summary>
    public const float Threshold = -250;
    private const int Probes = 4;

    private static MaskMeaning Unknown { get; } = new(MaskKind.Unknown, [1], []);

    public bool HasWindow => Window.Any(value => value != 0);

    /// <summary>One for each site, in their order.</summary>
    public static IReadOnlyList<MaskMeaning> Of(OnnxModel model, IReadOnlyList<MaskSite> sites)
    {
        if (sites.Count == 0)
            return [];
        var (probed, names) = Probed(model, sites);
        using var session = InferenceSessions.Open(probed, new RunSettings(Threads: 1, Optimize: false));
        var probes = Probe.Of(probed.Graph, Probes);
        List<(ImmutableArray<long> Shape, float[] Values)[]> runs = [];
        foreach (var probe in probes)
        {
            using var values = session.Run(probe.Values(), [.. names]);
            runs.Add([.. values.Select(Numbers)]);
        }
        return [.. sites.Select((site, index) => Judge([.. runs.Select(run => run[index])], probes, site.Factor))];
    }

    /// <summary>The model with what each site makes of scores of 0 as its outputs.</summary>
    private static (OnnxModel Model, IReadOnlyList<string> Names) Probed(OnnxModel model, IReadOnlyList<MaskSite> sites)
    {
        var graph = model.Graph;
        var zero = graph.Unused("mask_zero");
        List<Node> probes =
        [
            .. sites.Select(
                (site, index) =>
                    site.Node with
                    {
                        Name = "",
                        Inputs = site.Node.Inputs.SetItem(site.ScoresIndex, zero),
                        Outputs = [graph.Unused($"mask_probe_{index}")],
                    }
            ),
        ];
        var names = probes.Select(node => node.Output).ToList();
        var probed = graph with
        {
            Nodes = [.. graph.Nodes, .. probes],
            Initializers = graph.InitializersWith([KeyValuePair.Create(zero, Zero(graph))]),
            Outputs = [.. names.Select(name => new ValueInfo(name, ElementType.Undefined, []))],
        };
        return (DeadNodes.Apply(model.With(probed)).Model, names);
    }

    /// <summary>Of the type that the graph computes in.</summary>
    private static Tensor Zero(Graph graph) =>
        graph.Initializers.Values.Any(tensor => tensor.Type == ElementType.Float16) ? Tensor.Scalar((Half)0) : Tensor.Scalar(0f);

    private static (ImmutableArray<long> Shape, float[] Values) Numbers(Microsoft.ML.OnnxRuntime.OrtValue value)
    {
        var info = value.GetTensorTypeAndShape();
        ImmutableArray<long> shape = [.. info.Shape];
        return (ElementType)info.ElementDataType switch
        {
            ElementType.Float => (shape, value.GetTensorDataAsSpan<float>().ToArray()),
            ElementType.Float16 => (
                shape,
                value.GetTensorDataAsSpan<Microsoft.ML.OnnxRuntime.Float16>().ToArray().Select(number => (float)number).ToArray()
            ),
            ElementType.Double => (shape, value.GetTensorDataAsSpan<double>().ToArray().Select(number => (float)number).ToArray()),
            _ => (shape, []),
        };
    }

    private static MaskMeaning Judge((ImmutableArray<long> Shape, float[] Values)[] runs, IReadOnlyList<Probe> probes, float factor)
    {
        var (shape, open) = runs[0];
        var (batch, sequence) = (probes[0].Batch, probes[0].Sequence);
        if (
            shape.Length < 2
            || shape[^1] != sequence
            || shape[^2] != 1 && shape[^2] != sequence
            || runs.Any(run => !run.Shape.SequenceEqual(shape))
            || shape.SkipLast(2).Aggregate(1L, (a, b) => a * b) is var planes && shape[0] != batch && batch > 1
        )
            return Unknown;
        var (rows, large) = ((int)shape[^2], false);
        for (var run = 1; run < runs.Length; run++)
        {
            for (var i = 0; i < open.Length; i++)
            {
                var (plane, row, column) = (i / sequence / rows, i / sequence % rows, i % sequence);
                var of = (int)(plane / (planes / batch)) * sequence;
                if (rows > 1 && !probes[run].IsReal(of + row))
                    continue;
                var value = runs[run].Values[i] * factor;
                if (probes[run].IsReal(of + column) ? !Same(value, open[i] * factor) : !(value < -1))
                    return Unknown;
                large |= value < Threshold;
            }
        }
        return new(large || open.Any(value => value * factor < Threshold) ? MaskKind.Large : MaskKind.Small, shape, open);
    }

    private static bool Same(float value, float other) =>
        value.Equals(other) || MathF.Abs(value - other) < 1e-6f || (value < Threshold && other < Threshold);
}
