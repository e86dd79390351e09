using ModelPipeline.Core;

namespace ModelPipeline.Artifacts;

/// <summary>Why an artifact could not be restored. The number is the MSBuild code: 1001 is MP1001.</summary>
public enum ArtifactFault
{
    /// <summary>What was asked for is incomplete or malformed.</summary>
    Request = 1001,

    /// <summary>The release is not there or cannot be reached.</summary>
    Unreachable = 1002,

    /// <summary>Offline, and not in the cache.</summary>
    Offline = 1003,

    /// <summary>SHA256SUMS or manifest.json is malformed, of another release, or not the pinned one.</summary>
    Malformed = 1004,

    /// <summary>A file of the release cannot be had as SHA256SUMS and manifest.json have it: missing, cut short or altered.</summary>
    File = 1005,

    /// <summary>The release has no such variant for this platform.</summary>
    NoSuchVariant = 1006,

    /// <summary>Two artifacts put different files into one place.</summary>
    Collision = 1007,

    /// <summary>The cache or the output cannot be written.</summary>
    Storage = 1008,
}

/// <summary>A failure to restore an artifact from a release.</summary>
public sealed class ArtifactException(ArtifactFault fault, string message, Exception? inner = null)
    : PipelineException(message, inner: inner)
{
    public ArtifactFault Fault { get; } = fault;

    /// <summary>MP1001 and so on.</summary>
    public string Code => $"MP{(int)Fault}";

    /// <summary>Runs <paramref name="work"/> and gives its <see cref="PipelineException"/> this fault.</summary>
    internal static T Because<T>(ArtifactFault fault, Func<T> work)
    {
        try
        {
            return work();
        }
        catch (PipelineException e) when (e is not ArtifactException)
        {
            throw new ArtifactException(fault, e.Message, e);
        }
    }

    /// <inheritdoc cref="Because{T}(ArtifactFault, Func{T})"/>
    internal static async Task<T> Because<T>(ArtifactFault fault, Func<Task<T>> work)
    {
        try
        {
            return await work().ConfigureAwait(false);
        }
        catch (PipelineException e) when (e is not ArtifactException)
        {
            throw new ArtifactException(fault, e.Message, e);
        }
    }
}
