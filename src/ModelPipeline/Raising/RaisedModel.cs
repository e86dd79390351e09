using ModelPipeline.Core;
using ModelPipeline.Onnx;
using ModelPipeline.Rewrites;

namespace ModelPipeline.Raising;

/// <summary>One step of raising, and what it did to the outputs.</summary>
/// <param name="Name">Of the step.</param>
/// <param name="NodesBefore">Nodes it was given.</param>
/// <param name="NodesAfter">Nodes it left.</param>
/// <param name="Matches">What it found; never empty.</param>
/// <param name="Shift">Largest change of any output on random inputs; null if the model cannot be run here as it was before the
/// step.</param>
public sealed record RaisingStep(string Name, int NodesBefore, int NodesAfter, IReadOnlyList<string> Matches, double? Shift);

/// <summary>
/// A source as everything behind it wants it: fp32, standard operators only, opset 13 to 19, weights that stand as constants. Each step is
/// proved on random inputs.
/// </summary>
/// <param name="Model">The source itself if no step found anything.</param>
/// <param name="Steps">Those that found something, in their order.</param>
internal sealed record RaisedModel(OnnxModel Model, IReadOnlyList<RaisingStep> Steps)
{
    /// <summary>What a step may move outputs by, as a share of their size, or absolutely if they are smaller than 1: rounding of float sums
    /// in another order.</summary>
    public const double LargestShift = 2e-5;

    private static readonly IReadOnlyList<(string Name, Func<OnnxModel, Rewritten> Apply, bool KeepsOutputs)> AllSteps =
    [
        ("names", DistinctNames.Apply, true),
        // Half floats round at each operator, which is what raising takes away.
        ("float", FloatPrecision.Apply, false),
        ("constants", ConstantFolding.Apply, true),
        ("fused", FusedNodes.Apply, true),
        ("opset", OperatorSet.Apply, true),
        ("constants", ConstantFolding.Apply, true),
    ];

    /// <exception cref="PipelineException">The source is quantized, holds what cannot be raised, or a step moved its outputs.</exception>
    public static RaisedModel Of(OnnxModel source, string name, CancellationToken cancellation)
    {
        Prequantized.Refuse(source, name);
        var (model, steps) = (source, new List<RaisingStep>());
        var proof = new Lazy<RandomProof>(() => new RandomProof(source));
        foreach (var step in AllSteps)
        {
            cancellation.ThrowIfCancellationRequested();
            Rewritten rewritten;
            try
            {
                rewritten = step.Apply(model);
            }
            catch (PipelineException e) when (!e.Message.StartsWith(name, StringComparison.Ordinal))
            {
                throw new PipelineException($"{name}: {e.Message}", inner: e);
            }
            if (rewritten.Matches.Count == 0)
                continue;
            var shift = proof.Value.Shift(rewritten.Model, cancellation);
            if (step.KeepsOutputs && !(shift is null or <= LargestShift))
                throw new PipelineException(
                    $"{name}: saying it in standard operators ({string.Join("; ", rewritten.Matches)}) moves its outputs by "
                        + $"{shift:0.######} (allowed: {LargestShift}); export the model in fp32 at opset {OperatorSet.Lowest} to "
                        + $"{OperatorSet.Highest} without optimizing it"
                );
            steps.Add(new RaisingStep(step.Name, model.Graph.Nodes.Length, rewritten.Model.Graph.Nodes.Length, rewritten.Matches, shift));
            model = rewritten.Model;
        }
        return new RaisedModel(model, steps);
    }
}
