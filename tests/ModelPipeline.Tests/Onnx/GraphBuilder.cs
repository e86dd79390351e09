using Microsoft.ML.OnnxRuntime;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Proto;
using Tensor = ModelPipeline.Onnx.Tensor;

namespace ModelPipeline.Tests.Onnx;

/// <summary>Writes small graphs node by node; every method that adds a value returns its name.</summary>
internal sealed class GraphBuilder(int opset = 17, int irVersion = 8)
{
    private readonly List<ValueInfo> _inputs = [];
    private readonly List<Node> _nodes = [];
    private readonly OrderedDictionary<string, Tensor> _initializers = [];

    public string Input(string name, ElementType type, params Dimension[] shape)
    {
        _inputs.Add(new ValueInfo(name, type, [.. shape]));
        return name;
    }

    public string FloatInput(params Dimension[] shape) => Input($"x{_inputs.Count}", ElementType.Float, shape);

    public string Constant(Tensor value, string? name = null)
    {
        name ??= $"constant_{_initializers.Count}";
        _initializers[name] = value;
        return name;
    }

    public string Scalar(float value) => Constant(Tensor.Scalar(value));

    public string Node(string op, string[] inputs, params AttributeProto[] attributes) => Nodes(op, inputs, 1, "", attributes)[0];

    public string[] Nodes(string op, string[] inputs, int outputs, string domain, params AttributeProto[] attributes)
    {
        string[] names = [.. Enumerable.Range(0, outputs).Select(i => $"{op}_{_nodes.Count}{(i == 0 ? "" : $"_{i}")}")];
        _nodes.Add(new Node(op, $"{op}_{_nodes.Count}", [.. inputs], [.. names]) { Attributes = [.. attributes], Domain = domain });
        return names;
    }

    /// <summary>An If without a name, whose branches are alike: nodes that may read values around them; the last writes the
    /// result.</summary>
    public string If(string condition, params NodeProto[] branch)
    {
        var content = new GraphProto { Name = "branch", Output = { new ValueInfoProto { Name = branch[^1].Output[0] } } };
        content.Node.AddRange(branch);
        var name = $"If_{_nodes.Count}";
        _nodes.Add(
            new Node("If", "", [condition], [name])
            {
                Attributes = [Branch("then_branch", content), Branch("else_branch", content)],
                Captured = [.. branch.SelectMany(node => node.Input).Except(branch.SelectMany(node => node.Output))],
            }
        );
        return name;
    }

    private static AttributeProto Branch(string name, GraphProto content) =>
        new()
        {
            Name = name,
            G = content,
            Type = AttributeProto.Types.AttributeType.Graph,
        };

    /// <summary>Gives a value a name of its own.</summary>
    public string Identity(string name, string value)
    {
        _nodes.Add(new Node("Identity", name, [value], [name]));
        return name;
    }

    /// <summary>Outputs are written without type or shape; runtimes infer them.</summary>
    public OnnxModel Build(params string[] outputs) => Build([.. outputs.Select(name => new ValueInfo(name, ElementType.Undefined, []))]);

    public OnnxModel Build(params ValueInfo[] outputs) =>
        new()
        {
            Graph = new Graph
            {
                Name = "test",
                Inputs = [.. _inputs],
                Outputs = [.. outputs],
                Nodes = [.. _nodes],
                Initializers = _initializers,
            },
            Opset = opset,
            Header = new ModelProto
            {
                IrVersion = irVersion,
                OpsetImport =
                {
                    new OperatorSetIdProto { Domain = "", Version = opset },
                    new OperatorSetIdProto { Domain = "com.microsoft", Version = 1 },
                },
            },
        };

    /// <summary>Runs a model without optimization and returns one output as float.</summary>
    public static float[] Run(OnnxModel model, string output, params OrtValue[] inputs)
    {
        using var session = InferenceSessions.Open(model, new RunSettings(Threads: 1, Optimize: false));
        using var outputs = session.Run(inputs, [output]);
        return outputs[0].GetTensorTypeAndShape().ElementDataType == Microsoft.ML.OnnxRuntime.Tensors.TensorElementType.Float16
            ? [.. outputs[0].GetTensorDataAsSpan<Float16>().ToArray().Select(value => (float)value)]
            : outputs[0].GetTensorDataAsSpan<float>().ToArray();
    }
}
