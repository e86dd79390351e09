using ModelPipeline.Manifest;
using ModelPipeline.Rewrites;

namespace ModelPipeline.Searching;

/// <summary>The recipes that Search goes through: where it starts, and what is one step from another.</summary>
/// <param name="Written">The variant as models.yaml has it.</param>
/// <param name="Spec">Strengths and settings that may be tried.</param>
internal sealed record RecipeSpace(Int8Recipe Written, SearchSpec Spec)
{
    /// <summary>Steps on top of what a family of models needs anyway, in the order in which they are exact and make sense.</summary>
    private static readonly string[] Steps = ["balance", Pass.HiddenSplitName, "outlier-split", "norm-copy"];

    private static readonly string[] Classes = [.. Float16Class.All.Select(each => each.Name), "head"];

    /// <summary>Every step, every class in fp16, ranges by the error of products.</summary>
    public Int8Recipe Whole =>
        Written with
        {
            Rewrites = Ordered([.. Others, "balance", Pass.HiddenSplit(Spec.Channels[0]), "outlier-split", "norm-copy"]),
            Fp16 = [.. Classes, .. Written.Fp16.Except(Classes)],
            Clip = RangeClip.OutputError,
            Algorithm = Spec.Algorithms[0],
            Method = Spec.Methods[0],
        };

    /// <summary>Where the search starts, the most promising first.</summary>
    public IReadOnlyList<Int8Recipe> Starts =>
        [.. new[] { Whole, Written, Written with { Rewrites = Ordered([.. Others, "outlier-split"]), Fp16 = Whole.Fp16 } }.Distinct()];

    /// <summary>All that differ from a recipe in one step, strength, class or setting.</summary>
    public IReadOnlyList<Int8Recipe> Neighbours(Int8Recipe recipe)
    {
        var neighbours = new List<Int8Recipe>();
        foreach (var step in Steps)
        {
            var without = recipe.Rewrites.Where(rewrite => Pass.StepOf(rewrite) != step).ToList();
            if (without.Count < recipe.Rewrites.Count)
                neighbours.Add(recipe with { Rewrites = without });
            foreach (var strength in step == Pass.HiddenSplitName ? Spec.Channels.Select(Pass.HiddenSplit) : [step])
                neighbours.Add(recipe with { Rewrites = Ordered([.. without, strength]) });
        }
        foreach (var each in Classes)
            neighbours.Add(
                recipe with
                {
                    Fp16 = recipe.Fp16.Contains(each)
                        ? [.. recipe.Fp16.Where(name => name != each)]
                        : [.. Classes.Where(name => name == each || recipe.Fp16.Contains(name)), .. recipe.Fp16.Except(Classes)],
                }
            );
        neighbours.AddRange(Enum.GetValues<RangeClip>().Select(clip => recipe with { Clip = clip }));
        neighbours.AddRange(Spec.Algorithms.Select(algorithm => recipe with { Algorithm = algorithm }));
        neighbours.AddRange(Spec.Methods.Select(method => recipe with { Method = method }));
        return [.. neighbours.Distinct().Where(other => other != recipe)];
    }

    /// <summary>Rewrites of the variant that are none of the steps.</summary>
    private IEnumerable<string> Others => Written.Rewrites.Where(rewrite => !Steps.Contains(Pass.StepOf(rewrite)));

    /// <summary>The steps behind all others, in their order.</summary>
    private static List<string> Ordered(IReadOnlyList<string> rewrites) =>
        [.. rewrites.OrderBy(rewrite => Array.IndexOf(Steps, Pass.StepOf(rewrite)))];
}
