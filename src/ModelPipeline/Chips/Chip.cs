using ModelPipeline.Core;

namespace ModelPipeline.Chips;

/// <summary>A Rockchip platform that artifacts are built for. <see cref="All"/> is the whole list: a line more is a chip more.</summary>
/// <param name="Name">As in models.yaml and as rknn-toolkit2 calls its target_platform.</param>
/// <param name="Cores">Of its NPU, 1 to 3; a mask gives a context some of them.</param>
/// <param name="Float">Its NPU computes fp16; without it w8a8 alone.</param>
public sealed record Chip(string Name, int Cores, bool Float = true)
{
    /// <summary>In the order of models.schema.json.</summary>
    public static IReadOnlyList<Chip> All { get; } =
    [
        new("rk3562", Cores: 1),
        new("rk3566", Cores: 1),
        new("rk3568", Cores: 1),
        new("rk3576", Cores: 2),
        new("rk3588", Cores: 3),
        new("rv1103", Cores: 1, Float: false),
        new("rv1106", Cores: 1, Float: false),
        new("rv1126b", Cores: 1),
        new("rk2118", Cores: 1),
    ];

    /// <summary>The chip of that name.</summary>
    /// <exception cref="PipelineException">There is none; the message lists what there is.</exception>
    public static Chip Named(string name) =>
        All.FirstOrDefault(chip => chip.Name == name)
        ?? throw new PipelineException(
            $"Unknown chip '{name}'. Use one of {string.Join(", ", All.Select(chip => chip.Name))}.",
            PipelineException.ConfigurationError
        );
}
