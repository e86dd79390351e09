using ModelPipeline.Onnx;

namespace ModelPipeline.Rewrites;

/// <summary>
/// Removes <c>Where(IsNaN(p), 0, p)</c> behind a Softmax, which torch writes for rows in which everything is masked: a passage has at least
/// one token.
/// It would keep the toolkit from fusing attention, and IsNaN runs on the CPU.
/// </summary>
internal static class NanGuard
{
    public static Rewritten Apply(OnnxModel model)
    {
        var uses = new UseDef(model.Graph);
        var guards = model
            .Graph.Nodes.Where(node => node is { OpType: "Where", Domain: "" } && IsGuard(node, uses))
            .ToDictionary(node => node.Output, node => node.Inputs[2]);
        if (guards.Count == 0)
            return Rewritten.Nothing(model, "no Softmax is guarded against NaN");
        var rewritten = model.With(
            model.Graph with
            {
                Nodes =
                [
                    .. model.Graph.Nodes.Select(node =>
                        node.Inputs.Any(guards.ContainsKey)
                            ? node with
                            {
                                Inputs = [.. node.Inputs.Select(input => guards.GetValueOrDefault(input, input))],
                            }
                            : node
                    ),
                ],
            }
        );
        return new Rewritten(
            DeadNodes.Apply(rewritten).Model,
            [.. guards.Values.Select(softmax => $"{softmax}: guard against NaN removed")]
        );
    }

    private static bool IsGuard(Node guard, UseDef uses) =>
        uses.Producer(guard.Inputs[0]) is { OpType: "IsNaN" } isNaN
        && isNaN.Inputs[0] == guard.Inputs[2]
        && uses.Constant(guard.Inputs[1])?.SingleFloat() is 0
        && uses.Producer(guard.Inputs[2]) is { OpType: "Softmax" }
        && !uses.IsOutput(guard.Output);
}
