namespace ModelPipeline.Tests.Devices;

/// <summary>OpenSSH's programs.</summary>
internal static class OpenSsh
{
    public static string NewKey(string path)
    {
        Programs.Run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path);
        return path;
    }
}
