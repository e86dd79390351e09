namespace ModelPipeline.Devices;

/// <summary>What a device of kind local takes from its environment, as the agent does.</summary>
internal sealed record LocalSettings
{
    /// <summary>The file whose holder has the NPU. Agents on this board lock the same.</summary>
    public string Lock { get; init; } = Environment.GetEnvironmentVariable("MODELPIPELINE_LOCK") ?? "/tmp/modelpipeline-npu.lock";

    /// <summary>Stands in front of /proc and /sys.</summary>
    public string Root { get; init; } = Environment.GetEnvironmentVariable("MODELPIPELINE_ROOT") ?? "";
}
