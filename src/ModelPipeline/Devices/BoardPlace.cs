using System.Net;

namespace ModelPipeline.Devices;

/// <summary>Where a <see cref="LoopbackBoard"/> runs: on this machine, or in a part of it that a test cuts off.</summary>
internal sealed record BoardPlace
{
    /// <summary>More for the environment of the agent, by name.</summary>
    public IReadOnlyDictionary<string, string> Variables { get; init; } = new Dictionary<string, string>();

    /// <summary>Where its server listens.</summary>
    public IPAddress Address { get; init; } = IPAddress.Loopback;

    /// <summary>A program with its arguments that becomes the server, whose command line is added.</summary>
    public IReadOnlyList<string> Launcher { get; init; } = [];
}
