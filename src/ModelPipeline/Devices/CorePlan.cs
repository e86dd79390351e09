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

    public static IReadOnlyList<CorePlan> All { get; } = [Sequence, JointCores, ThreeContexts];

    /// <summary>Plans of a platform: those of three cores on the RK3588, else one context.</summary>
    /// <param name="target">As in models.yaml.</param>
    public static IReadOnlyList<CorePlan> Of(string target) => target == "rk3588" ? All : [Sequence];

    public override string ToString() => Name;
}
