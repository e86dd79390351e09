using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Patterns;

namespace ModelPipeline.Rewrites;

/// <summary>
/// Gives attention masks a number that int8 can hold. exp(-30) is 1e-13, so fp32 scores stay; a scale that has to cover -10000 leaves
/// nothing for the attention scores themselves. A mask is found by what it does: computed from attention_mask alone, it adds a large
/// negative number to what a Softmax reads wherever a token is padding, or puts one in its place. Where a constant is all that is wrong, it
/// is replaced (<see cref="MaskConstants"/>); any other form becomes <c>scores + (1 - attention_mask) * value</c>, plus a constant for what
/// is the same for every input (a window, a bias by position). The value is -30 where the fp32 outputs allow it, else -100.
/// </summary>
internal static class AttentionMask
{
    private static readonly float[] Values = [-30, -100];

    /// <summary>Operators of a mask that the toolkit fuses and int8 serves once its constant is small.</summary>
    private static readonly HashSet<string> Plain = ["Unsqueeze", "Squeeze", "Reshape", "Identity", "Cast", "Sub", "Mul"];

    public static Rewritten Apply(OnnxModel model, IReadOnlyList<IReadOnlyList<long[]>> samples)
    {
        var found = Find(model);
        var proof = new Lazy<Proof>(() => new Proof(model, samples));
        foreach (var value in Values)
        {
            var rewritten = With(value, model, found);
            if (rewritten.Matches.Count == 0)
                return rewritten with { Skipped = "no mask beyond -100 reaches a Softmax" };
            if (value == Values[^1] || proof.Value.Shift(rewritten.Model) <= Proof.Exact)
                return rewritten;
        }
        throw new InvalidOperationException("the last value is always taken");
    }

    /// <summary>What was found in a graph.</summary>
    /// <param name="Canonical">Masks to write anew.</param>
    /// <param name="Unknown">Places where the mask reaches a Softmax by a way that is not understood.</param>
    private sealed record Found(IReadOnlyList<(MaskSite Site, MaskMeaning Meaning)> Canonical, IReadOnlyList<string> Unknown);

    private static Found Find(OnnxModel model)
    {
        if (Probe.MaskOf(model.Graph) is not { } mask)
            return new([], []);
        var matches = PatternMatches.Of(model.Graph);
        var sites = MaskSites.Of(matches, mask);
        var meanings = MaskMeaning.Of(model, sites.Sites);
        var replaced = MaskConstants.Apply(model, Values[0]).Model;
        var after = MaskMeaning.Of(replaced, [.. sites.Sites.Select(site => Same(site, replaced.Graph))]);
        var isDynamic = model.Graph.Inputs.Any(input => input.Shape.Any(dimension => dimension.Value is null));
        List<(MaskSite, MaskMeaning)> canonical = [];
        List<string> unknown = [];
        foreach (var (site, meaning, then) in sites.Sites.Zip(meanings, after))
        {
            if (meaning.Kind == MaskKind.Unknown || (meaning.Kind == MaskKind.Large && !CanChange(site, matches)))
                unknown.Add($"{site.Node.Output} ({site.Node.OpType})");
            else if (
                meaning.Kind == MaskKind.Large
                && !(isDynamic && meaning.HasWindow)
                && !(IsPlain(site, sites, matches) && then.Kind == MaskKind.Small)
            )
                canonical.Add((site, meaning));
        }
        return new(canonical, unknown);
    }

    /// <summary>The site in a graph where constants were replaced.</summary>
    private static MaskSite Same(MaskSite site, Graph graph) =>
        site with
        {
            Node = graph.Nodes.First(node => node.Output == site.Node.Output),
        };

    private static bool CanChange(MaskSite site, PatternMatches matches) => MaskConstants.EndsInSoftmax(site.Node.Output, matches.Uses);

    private static bool IsPlain(MaskSite site, MaskSites sites, PatternMatches matches)
    {
        if (site.Node.OpType != "Add" || site.Factor != 1)
            return false;
        var pending = new Stack<string>([site.Node.Inputs[1 - site.ScoresIndex]]);
        while (pending.TryPop(out var value))
        {
            if (matches.Uses.Producer(value) is not { } node)
                continue;
            if (!Plain.Contains(node.OpType) || (node.OpType == "Cast" && node.Int("to", 0) == (long)ElementType.Bool))
                return false;
            foreach (var input in node.Inputs.Where(sites.IsOfMask))
                pending.Push(input);
        }
        return true;
    }

    private static Rewritten With(float value, OnnxModel model, Found found)
    {
        var canonical = CanonicalMask.Write(model, found.Canonical, value);
        var constants = MaskConstants.Apply(canonical.Model, value);
        List<string> matches = [.. canonical.Matches, .. constants.Matches];
        var rewritten = matches.Count == 0 ? model : DeadNodes.Apply(constants.Model).Model;
        return new Rewritten(rewritten, matches)
        {
            Warnings =
            [
                .. found.Unknown.Select(place =>
                    $"a Softmax reads the attention mask at {place} in a way that the rewrite 'mask' does not understand; if its numbers "
                    + $"are large, int8 loses the attention scores"
                ),
            ],
        };
    }
}
