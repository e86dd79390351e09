using System.Numerics;
using ModelPipeline.Chips;
using ModelPipeline.Npu;

namespace ModelPipeline.Devices;

/// <summary>How the passages of a request share the NPU: one context an entry, each taking the next passage when it is free.</summary>
/// <param name="Name">As reports show it.</param>
/// <param name="Contexts">Cores of each context.</param>
public sealed record CorePlan(string Name, IReadOnlyList<NpuCores> Contexts)
{
    /// <summary>One context wherever the driver puts it, passage after passage.</summary>
    public static CorePlan Sequence { get; } = new("sequence", [NpuCores.Auto]);

    /// <summary>One context whose layers are split over three cores.</summary>
    public static CorePlan JointCores { get; } = new("cores_0_1_2", [NpuCores.Core012]);

    /// <summary>Three contexts of the same weights, a core each.</summary>
    public static CorePlan ThreeContexts { get; } = new("three_contexts", [NpuCores.Core0, NpuCores.Core1, NpuCores.Core2]);

    public static IReadOnlyList<CorePlan> OfThreeCores { get; } = [Sequence, JointCores, ThreeContexts];

    private static readonly CorePlan[] OfTwoCores =
    [
        Sequence,
        new("cores_0_1", [NpuCores.Core01]),
        new("two_contexts", [NpuCores.Core0, NpuCores.Core1]),
    ];

    /// <summary>Plans of a chip: in sequence and, where it has several cores, all of them for one context, or a context each.</summary>
    public static IReadOnlyList<CorePlan> Of(Chip chip) =>
        chip.Cores switch
        {
            1 => [Sequence],
            2 => OfTwoCores,
            3 => OfThreeCores,
            var cores => throw new ArgumentOutOfRangeException(nameof(chip), cores, "A core plan is known for 1 to 3 cores."),
        };

    /// <summary>The plan of that name, of any chip.</summary>
    public static CorePlan Named(string name) => OfThreeCores.Concat(OfTwoCores).First(plan => plan.Name == name);

    /// <summary>Cores that share each context; 1 where the driver chooses.</summary>
    public int CoresEach => Math.Max(1, BitOperations.PopCount((uint)Contexts[0]));

    public override string ToString() => Name;
}
