using ModelPipeline.Manifest;
using ModelPipeline.Rewrites;

namespace ModelPipeline.Searching;

/// <summary>The recipes that Search goes through: where it starts, and what is one step from another.</summary>
/// <param name="Written">The variant as models.yaml has it.</param>
/// <param name="Spec">Strengths and settings that may be tried.</param>
/// <param name="StepsAlone">Only rewrites make a difference: on the CPU, where activations get ranges of their own in each run, and what no
/// step keeps in fp32 is int8.</param>
internal sealed record RecipeSpace(Int8Recipe Written, SearchSpec Spec, bool StepsAlone = false)
{
    private static readonly string[] Steps = [.. Pass.Steps];

    private static readonly string[] Classes = [.. Float16Class.All.Select(each => each.Name), "head"];

    /// <summary>Every step, every class in fp16, ranges by the error of products.</summary>
    public Int8Recipe Whole =>
        (
            StepsAlone
                ? Written
                : Written with
                {
                    Fp16 = [.. Classes, .. Written.Fp16.Except(Classes)],
                    Clip = RangeClip.OutputError,
                    Algorithm = Spec.Algorithms[0],
                    Method = Spec.Methods[0],
                }
        ) with
        {
            Rewrites = [.. Others, .. Steps.Select(step => step == Pass.HiddenSplitName ? Pass.HiddenSplit(Spec.Channels[0]) : step)],
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
        if (!StepsAlone)
            neighbours.AddRange(Settings(recipe));
        return [.. neighbours.Distinct().Where(other => other != recipe)];
    }

    /// <summary>All that differ from a recipe in what is no rewrite.</summary>
    private IEnumerable<Int8Recipe> Settings(Int8Recipe recipe) =>
        [
            .. Classes.Select(each =>
                recipe with
                {
                    Fp16 = recipe.Fp16.Contains(each)
                        ? [.. recipe.Fp16.Where(name => name != each)]
                        : [.. Classes.Where(name => name == each || recipe.Fp16.Contains(name)), .. recipe.Fp16.Except(Classes)],
                }
            ),
            .. Enum.GetValues<RangeClip>().Select(clip => recipe with { Clip = clip }),
            .. Spec.Algorithms.Select(algorithm => recipe with { Algorithm = algorithm }),
            .. Spec.Methods.Select(method => recipe with { Method = method }),
        ];

    /// <summary>Rewrites of the variant that are none of the steps.</summary>
    private IEnumerable<string> Others => Written.Rewrites.Where(rewrite => !Pass.IsStep(rewrite));

    /// <summary>The steps behind all others, in their order.</summary>
    private static List<string> Ordered(IEnumerable<string> rewrites) =>
        [.. rewrites.OrderBy(rewrite => Array.IndexOf(Steps, Pass.StepOf(rewrite)))];
}
