using System.Text.Json;

namespace ModelPipeline.Npu;

/// <summary>How the shim runs rknn-toolkit2's driver.</summary>
public sealed record ToolkitRun
{
    /// <summary>Absolute path of the Python interpreter that has the toolkit.</summary>
    public required string Python { get; init; }

    /// <summary>Absolute path of driver.py.</summary>
    public required string Driver { get; init; }

    /// <summary>What the driver is asked, but for source, artifact, target and custom string.</summary>
    public required JsonElement Settings { get; init; }

    /// <summary>File that gets all that the toolkit prints; kept whatever happens.</summary>
    public required string Log { get; init; }

    /// <inheritdoc cref="ToolkitLimits"/>
    public ToolkitLimits Limits { get; init; } = new();
}

/// <summary>What one run of the toolkit may take.</summary>
public sealed record ToolkitLimits
{
    /// <summary>Wall time.</summary>
    public TimeSpan Time { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Address space in MiB; 0 does not limit it. The toolkit's libraries reserve several times what they use.</summary>
    public int MemoryMb { get; init; } = 64 << 10;

    /// <summary>Leave the scratch folder beside the artifact, for looking at what the toolkit wrote.</summary>
    public bool KeepScratch { get; init; }
}
