using ModelPipeline.Onnx;

namespace ModelPipeline.Rewrites;

/// <summary>Brings a model of opset 20 and later to 19, the newest that the toolkit loads. Of what is new since then, exports use Gelu,
/// which is written out.</summary>
internal static class LowerOpset
{
    private const int Newest = 19;

    /// <summary>Operators that are new, or mean something else, since opset 20.</summary>
    private static readonly HashSet<string> New =
    [
        "AffineGrid",
        "Attention",
        "BitCast",
        "CumProd",
        "GridSample",
        "GroupNormalization",
        "ImageDecoder",
        "RegexFullMatch",
        "RMSNormalization",
        "RotaryEmbedding",
        "StringConcat",
        "StringSplit",
        "Swish",
        "TensorScatter",
    ];

    public static Rewritten Apply(OnnxModel model)
    {
        if (model.Opset <= Newest)
            return Rewritten.Nothing(model, $"opset {model.Opset} is one that the toolkit loads");
        var nodes = model.Graph.Nodes.Where(node => node.Domain.Length == 0).ToList();
        if (nodes.FirstOrDefault(node => New.Contains(node.OpType) || (node.OpType == "Gelu" && IsTanh(node))) is { } other)
            return Rewritten.Nothing(model, $"{other.OpType} ({other.Name}) has no form before opset 20 here") with
            {
                Warnings =
                [
                    $"opset {model.Opset}: the toolkit loads at most {Newest}, and {other.OpType} ({other.Name}) cannot be written in it: "
                        + $"export the model at opset {Newest} or lower",
                ],
            };
        var constants = new Dictionary<string, Tensor>();
        var graph = model.Graph with
        {
            Nodes =
            [
                .. model.Graph.Nodes.SelectMany(node =>
                    node is { OpType: "Gelu", Domain: "" } ? ErfGelu.Write(node.Inputs[0], node.Output, model.Graph, constants) : [node]
                ),
            ],
        };
        graph = graph with { Initializers = graph.InitializersWith(constants) };
        return new Rewritten(
            model.WithOpset(Newest, model.IrVersion).With(graph),
            [$"opset {model.Opset} -> {Newest}, {nodes.Count(node => node.OpType == "Gelu")} Gelu written out"]
        );
    }

    private static bool IsTanh(Node gelu) => gelu.Attribute("approximate")?.S.ToStringUtf8() is "tanh";
}
