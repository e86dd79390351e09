using System.Runtime.InteropServices;
using System.Text.RegularExpressions;

namespace ModelPipeline.Devices;

/// <summary>What an SSH device takes from this machine's environment.</summary>
internal sealed partial record SshSettings
{
    private static readonly string Home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);

    /// <summary>What to do when the agent for a platform is missing.</summary>
    public const string AgentHint = "install g++-aarch64-linux-gnu (Debian, Ubuntu) and build again; what boards run is cross-compiled";

    /// <summary>linux-x64 or linux-arm64.</summary>
    public static string ThisPlatform { get; } = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? "linux-arm64" : "linux-x64";

    /// <summary>Files of known host keys.</summary>
    public IReadOnlyList<string> KnownHosts { get; init; } = [Path.Combine(Home, ".ssh/known_hosts"), "/etc/ssh/ssh_known_hosts"];

    /// <summary>Socket of an SSH agent; null if there is none.</summary>
    public string? AgentSocket { get; init; } = Environment.GetEnvironmentVariable("SSH_AUTH_SOCK");

    /// <summary>Holds one folder a platform with the rknn-agent for it.</summary>
    public string Agents { get; init; } = Path.Combine(AppContext.BaseDirectory, "agents");

    /// <summary>Folder on the device, relative to the user's home or absolute. It is part of a command line: see
    /// <see cref="IsSafe"/>.</summary>
    public string RemoteFolder { get; init; } = Device.CacheFolder;

    /// <summary>Whether a path needs no quoting in any shell.</summary>
    public static bool IsSafe(string path) => SafePath().IsMatch(path);

    [GeneratedRegex("^[A-Za-z0-9._/][A-Za-z0-9._/-]*$")]
    private static partial Regex SafePath();
}
