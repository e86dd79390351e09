using System.Text;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using Renci.SshNet;
using Renci.SshNet.Common;

namespace ModelPipeline.Devices;

/// <summary>One connection to a device, with the agent at the other end of one exec channel.</summary>
internal sealed class SshLink : IDisposable
{
    private const int KeptErrors = 4096;
    private static readonly TimeSpan DeathLimit = TimeSpan.FromSeconds(2);

    private readonly SshClient client;
    private readonly SshCommand command;
    private readonly StringBuilder errors = new();

    private SshLink(SshClient client, string commandLine, string device)
    {
        this.client = client;
        command = client.CreateCommand(commandLine);
        Ended = command.ExecuteAsync(CancellationToken.None);
        Channel = new AgentChannel(device, command.OutputStream, command.CreateInputStream());
        new Thread(ReadErrors) { IsBackground = true, Name = $"errors of {device}" }.Start();
    }

    public AgentChannel Channel { get; }

    /// <summary>When the agent has ended.</summary>
    public Task Ended { get; }

    /// <summary>What the agent and the vendor's library said last.</summary>
    public string Errors
    {
        get
        {
            lock (errors)
                return PrintableText.Of(errors.ToString().Trim());
        }
    }

    /// <summary>How the agent ended while the connection stands, as "of SIGSEGV" or "with exit code 1"; null if the connection is what
    /// ended.</summary>
    public async Task<string?> DeathAsync()
    {
        try
        {
            // The server tells it right after the end of the agent's output.
            await Ended.WaitAsync(DeathLimit).ConfigureAwait(false);
        }
        catch (Exception e)
            when (e is TimeoutException or SshException or IOException or ObjectDisposedException or OperationCanceledException)
        {
            return null;
        }
        return command switch
        {
            { ExitSignal: { Length: > 0 } signal } => $"of SIG{PrintableText.Of(signal)}",
            { ExitStatus: { } code } => $"with exit code {code}",
            _ => null,
        };
    }

    /// <summary>Logs in, puts the agent there if it is not, and starts it.</summary>
    public static async Task<SshLink> StartAsync(
        SshLogin login,
        SshSettings settings,
        string device,
        DeviceLimits limits,
        CancellationToken cancellation
    )
    {
        if (!SshSettings.IsSafe(settings.RemoteFolder))
            throw new ArgumentException($"'{settings.RemoteFolder}' cannot stand in a command line.", nameof(settings));
        var client = await login.ConnectAsync(cancellation).ConfigureAwait(false);
        try
        {
            client.KeepAliveInterval = TimeSpan.FromSeconds(5);
            var platform = await PlatformAsync(client, device, cancellation).WaitAsync(limits.Connect, cancellation).ConfigureAwait(false);
            var agent = Path.Combine(settings.Agents, platform, "rknn-agent");
            if (!File.Exists(agent))
                throw new PipelineException(
                    $"device '{device}' is a {platform} machine, and '{agent}' is missing: {SshSettings.AgentHint}."
                );
            var remote = $"{settings.RemoteFolder}/rknn-agent-{FileDigest.Of(agent, cancellation).Sha256}";
            using (var sftp = await login.ConnectSftpAsync(cancellation).ConfigureAwait(false))
                await Task.Run(() => Install(sftp, agent, settings.RemoteFolder, remote, device), cancellation)
                    .WaitAsync(cancellation)
                    .ConfigureAwait(false);
            var program = remote.StartsWith('/') ? remote : "./" + remote;
            // exec: the agent ends with its parent, and that must be the connection, not a shell.
            return new SshLink(client, $"exec {program} {settings.RemoteFolder}", device);
        }
        catch (Exception e) when (e is TimeoutException or SshOperationTimeoutException)
        {
            client.Dispose();
            throw login.Silent(e);
        }
        catch (Exception e) when (e is SshException or ObjectDisposedException)
        {
            client.Dispose();
            throw new LinkLostException(e.Message, e);
        }
        catch
        {
            client.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        // Closing the connection is what ends the agent, whatever it does: its input ends.
        client.Dispose();
        command.Dispose();
        Channel.Dispose();
    }

    private static async Task<string> PlatformAsync(SshClient client, string device, CancellationToken cancellation)
    {
        using var uname = client.CreateCommand("uname -m");
        await uname.ExecuteAsync(cancellation).ConfigureAwait(false);
        return uname.Result.Trim() switch
        {
            "aarch64" => "linux-arm64",
            "x86_64" => "linux-x64",
            var other => throw new PipelineException(
                $"device '{device}': 'uname -m' says '{PrintableText.Of(other[..Math.Min(other.Length, 64)])}'; an aarch64 or x86_64 "
                    + $"Linux whose login shell prints nothing of its own is needed."
            ),
        };
    }

    private static void Install(SftpClient sftp, string agent, string folder, string remote, string device)
    {
        try
        {
            for (var slash = folder.IndexOf('/', 1); ; slash = folder.IndexOf('/', slash + 1))
            {
                var part = slash < 0 ? folder : folder[..slash];
                if (!sftp.Exists(part))
                    sftp.CreateDirectory(part);
                if (slash < 0)
                    break;
            }
            var expected = remote[^64..];
            if (sftp.Exists(remote) && Digest(sftp, remote) == expected)
                return;
            var temporary = $"{remote}.{Guid.NewGuid():N}{AtomicFile.TemporarySuffix}";
            try
            {
                using (var file = File.OpenRead(agent))
                    sftp.UploadFile(file, temporary);
                if (Digest(sftp, temporary) is var found && found != expected)
                    throw new PipelineException(
                        $"device '{device}': the upload of the agent was damaged: its sha256 there is {found}, not {expected}. Check the "
                            + $"device's disk."
                    );
                sftp.ChangePermissions(temporary, 700);
                sftp.RenameFile(temporary, remote, isPosix: true);
            }
            catch
            {
                if (sftp.IsConnected && sftp.Exists(temporary))
                    sftp.DeleteFile(temporary);
                throw;
            }
        }
        catch (SftpException e)
        {
            throw new PipelineException(
                $"device '{device}': the agent cannot be put into '{folder}' there: {e.Message}. Check its permissions and the free space.",
                inner: e
            );
        }
    }

    private static string Digest(SftpClient sftp, string path)
    {
        using var stream = sftp.OpenRead(path);
        return FileDigest.Copy(stream, Stream.Null).Sha256;
    }

    private void ReadErrors()
    {
        var block = new byte[1024];
        try
        {
            int read;
            while ((read = command.ExtendedOutputStream.Read(block)) > 0)
            {
                lock (errors)
                {
                    errors.Append(Encoding.UTF8.GetString(block, 0, read));
                    if (errors.Length > KeptErrors)
                        errors.Remove(0, errors.Length - KeptErrors);
                }
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or SshException)
        {
            // The link ended; what was read stays.
        }
    }
}
