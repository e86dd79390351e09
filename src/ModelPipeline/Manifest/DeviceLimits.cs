namespace ModelPipeline.Manifest;

/// <summary>How long to wait for a device before giving up.</summary>
public sealed record DeviceLimits
{
    /// <summary>For a connection, its log-in, and the agent's first answer.</summary>
    public TimeSpan Connect { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>For loading a model.</summary>
    public TimeSpan Load { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>For the next passage of a run, for the next piece of an upload to be taken, and for any other answer.</summary>
    public TimeSpan Answer { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>For another pipeline to leave the board.</summary>
    public TimeSpan Busy { get; init; } = TimeSpan.FromMinutes(1);
}
