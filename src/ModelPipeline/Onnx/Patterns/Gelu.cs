namespace ModelPipeline.Onnx.Patterns;

/// <summary>How a GELU is written.</summary>
internal enum GeluForm
{
    /// <summary>One operator.</summary>
    Operator,

    /// <summary>x (1 + erf(x / sqrt 2)) / 2</summary>
    Erf,

    /// <summary>x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2</summary>
    Tanh,
}

/// <summary>A GELU, its factors x, 1 + erf and 1/2 in any order.</summary>
/// <param name="Form">How it is written.</param>
/// <param name="Nodes">All of it; the last one writes <see cref="Output"/>.</param>
/// <param name="Input">x</param>
internal sealed record Gelu(GeluForm Form, IReadOnlyList<Node> Nodes, string Input)
{
    public string Output => Nodes[^1].Output;

    /// <summary>The GELU of which a node is the operator, the error function or the hyperbolic tangent; null for any other node.</summary>
    public static Gelu? Of(Node node, UseDef uses)
    {
        if (node.OpType is "Gelu" or "FastGelu" && node.Inputs.Length == 1)
            return new(GeluForm.Operator, [node], node.Inputs[0]);
        List<Node> nodes = [];
        var x = node switch
        {
            { OpType: "Erf", Domain: "" } => OfErf(node, uses, nodes),
            { OpType: "Tanh", Domain: "" } => OfTanh(node, uses, nodes),
            _ => null,
        };
        if (x is null || uses.OnlyConsumer(node.Output) is not { OpType: "Add" } plusOne || uses.Scalar(plusOne) is not (1, _))
            return null;
        nodes.AddRange([node, plusOne]);
        return Multiplied(x, plusOne, uses, nodes) ? new(node.OpType == "Erf" ? GeluForm.Erf : GeluForm.Tanh, nodes, x) : null;
    }

    private static string? OfErf(Node erf, UseDef uses, List<Node> nodes)
    {
        if (
            uses.Producer(erf.Inputs[0]) is not { OpType: "Div" or "Mul" } argument
            || uses.Scalar(argument) is not var (factor, x)
            || MathF.Abs(factor - (argument.OpType == "Div" ? MathF.Sqrt(2) : MathF.Sqrt(0.5f))) > 1e-3f
        )
            return null;
        nodes.Add(argument);
        return x;
    }

    private static string? OfTanh(Node tanh, UseDef uses, List<Node> nodes)
    {
        if (
            uses.Producer(tanh.Inputs[0]) is not { OpType: "Mul" } argument
            || uses.Scalar(argument) is not { Number: > 0.797f and < 0.799f, Value: var sum }
            || uses.Producer(sum) is not { OpType: "Add" } bent
        )
            return null;
        foreach (var (x, term) in new[] { (bent.Inputs[0], bent.Inputs[1]), (bent.Inputs[1], bent.Inputs[0]) })
        {
            if (
                uses.Producer(term) is { OpType: "Mul" } small
                && uses.Scalar(small) is { Number: > 0.0447f and < 0.0448f, Value: var power }
                && uses.Producer(power) is { OpType: "Pow" or "Mul" } cube
                && cube.Inputs.Contains(x)
            )
            {
                if (cube.OpType == "Mul" && uses.Producer(uses.Other(cube, x)!) is { OpType: "Mul" } square)
                    nodes.Add(square);
                nodes.AddRange([cube, small, bent, argument]);
                return x;
            }
        }
        return null;
    }

    /// <summary>Follows the products behind 1 + erf until they hold x and one half.</summary>
    private static bool Multiplied(string x, Node plusOne, UseDef uses, List<Node> nodes)
    {
        var (withX, withHalf, value) = (false, false, plusOne.Output);
        while (!(withX && withHalf))
        {
            if (uses.OnlyConsumer(value) is not { OpType: "Mul" } product || uses.Other(product, value) is not { } factor)
                return false;
            if (factor == x && !withX)
                withX = true;
            else if (uses.Constant(factor)?.SingleFloat() is 0.5f && !withHalf)
                withHalf = true;
            else if (
                !withX
                && !withHalf
                && uses.Producer(factor) is { OpType: "Mul" } halved
                && uses.Scalar(halved) is (0.5f, var whole)
                && whole == x
                && uses.OnlyConsumer(factor) == product
            )
            {
                nodes.Add(halved);
                (withX, withHalf) = (true, true);
            }
            else
                return false;
            nodes.Add(product);
            value = product.Output;
        }
        return true;
    }
}
