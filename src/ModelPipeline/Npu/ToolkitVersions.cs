using ModelPipeline.Core;

namespace ModelPipeline.Npu;

/// <summary>What a board needs for files of one version of rknn-toolkit2.</summary>
/// <param name="Runtime">Oldest librknnrt.</param>
/// <param name="Driver">Oldest rknpu driver of the kernel.</param>
public sealed record ToolkitNeeds(Version Runtime, Version Driver);

/// <summary>
/// The table of versions, rknn/versions.json: for each toolkit that can be provisioned the vendor's runtime of the same version, which
/// older ones do not replace although they load such files without a word, and the driver that the vendor recommends with it.
/// </summary>
public static class ToolkitVersions
{
    private static readonly Lazy<IReadOnlyDictionary<string, ToolkitNeeds>> Table = new(() =>
        ReportJson.Read<IReadOnlyDictionary<string, ToolkitNeeds>>(Path.Combine(AppContext.BaseDirectory, "rknn", "versions.json"))
    );

    /// <summary>By version of the toolkit.</summary>
    public static IReadOnlyDictionary<string, ToolkitNeeds> All => Table.Value;

    /// <summary>What files of this toolkit need; null for one that is not in the table.</summary>
    public static ToolkitNeeds? Of(string toolkit) => All.GetValueOrDefault(toolkit);
}
