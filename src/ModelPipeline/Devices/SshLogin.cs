using System.Net.Sockets;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using Renci.SshNet;
using Renci.SshNet.Common;

namespace ModelPipeline.Devices;

/// <summary>Logs in to a device whose host key is pinned, by fingerprint in models.yaml or by known_hosts. No other key is ever
/// accepted.</summary>
internal sealed class SshLogin(DeviceSpec spec, SshSettings settings, DeviceLimits limits)
{
    private readonly string host = spec.Host!;
    private readonly string user = spec.User ?? Environment.UserName;

    public string Address => $"{user}@{host}:{spec.Port}";

    private string Unanswered => $"{Address} does not answer within {limits.Connect.TotalSeconds:0} s: check that it is on and reachable.";

    /// <summary>What answered the log-in and no more.</summary>
    public PipelineException Silent(Exception cause) => new($"device '{spec.Name}': {Unanswered}", inner: cause);

    public Task<SshClient> ConnectAsync(CancellationToken cancellation) =>
        ConnectAsync(connection => new SshClient(connection), cancellation);

    public Task<SftpClient> ConnectSftpAsync(CancellationToken cancellation) =>
        ConnectAsync(connection => new SftpClient(connection) { OperationTimeout = limits.Answer }, cancellation);

    private async Task<T> ConnectAsync<T>(Func<ConnectionInfo, T> create, CancellationToken cancellation)
        where T : BaseClient
    {
        var connection = new ConnectionInfo(host, spec.Port, user, new PrivateKeyAuthenticationMethod(user, Key()))
        {
            Timeout = limits.Connect,
        };
        var trusted = Trust(connection);
        var client = create(connection);
        string? untrusted = null;
        client.HostKeyReceived += (_, offered) =>
        {
            offered.CanTrust = trusted(offered.HostKey);
            if (!offered.CanTrust)
                untrusted = Untrusted(offered);
        };
        try
        {
            await client.ConnectAsync(cancellation).WaitAsync(limits.Connect, cancellation).ConfigureAwait(false);
            return client;
        }
        catch (Exception e) when (e is SshException or SocketException or TimeoutException or InvalidOperationException)
        {
            client.Dispose();
            throw new PipelineException(
                $"device '{spec.Name}': "
                    + (
                        untrusted
                        ?? e switch
                        {
                            SshAuthenticationException =>
                                $"{Address} refuses this key: add its public half to ~/.ssh/authorized_keys there, or name another "
                                    + $"identity_file.",
                            TimeoutException or SshOperationTimeoutException => Unanswered,
                            SocketException =>
                                $"{Address} cannot be reached: {e.Message}. Check host and port, and that its SSH server runs.",
                            _ => $"{Address}: the connection failed: {e.Message.TrimEnd('.')}.",
                        }
                    ),
                inner: e
            );
        }
        catch
        {
            client.Dispose();
            throw;
        }
    }

    private IPrivateKeySource Key()
    {
        if (spec.IdentityFile is not { } file)
        {
            return SshAgentKeys.Read(
                settings.AgentSocket
                    ?? throw new PipelineException(
                        $"device '{spec.Name}': there is no key to log in with: name an identity_file in models.yaml, or start an SSH "
                            + $"agent (SSH_AUTH_SOCK is not set)."
                    )
            );
        }
        try
        {
            return new PrivateKeyFile(file);
        }
        catch (SshPassPhraseNullOrEmptyException e)
        {
            throw new PipelineException(
                $"device '{spec.Name}': the key '{file}' has a passphrase: add it to an SSH agent (ssh-add) and leave identity_file out.",
                inner: e
            );
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or SshException)
        {
            throw new PipelineException($"device '{spec.Name}': the key '{file}' cannot be read: {e.Message}", inner: e);
        }
    }

    private Func<byte[], bool> Trust(ConnectionInfo connection)
    {
        if (spec.HostKey is { } pinned)
            return key => KnownHosts.Fingerprint(key) == pinned.TrimEnd('=');
        var known = KnownHosts.Of(host, spec.Port, settings.KnownHosts);
        var types = known.Keys.Where(key => !key.Revoked).Select(key => key.Type).ToHashSet();
        if (types.Count == 0)
        {
            throw new PipelineException(
                $"device '{spec.Name}': the host key of {host} is not known: log in once with ssh -p {spec.Port} {host} and compare the "
                    + $"fingerprint, or write it as host_key (ssh-keygen -lf on the board)."
            );
        }
        // The server shows one key: let it be one that is known.
        foreach (
            var algorithm in connection
                .HostKeyAlgorithms.Keys.Where(name =>
                    !types.Contains(name.StartsWith("rsa-sha2-", StringComparison.Ordinal) ? "ssh-rsa" : name)
                )
                .ToList()
        )
            connection.HostKeyAlgorithms.Remove(algorithm);
        return known.Accept;
    }

    private string Untrusted(HostKeyEventArgs offered)
    {
        var expected = spec.HostKey is { } pinned
            ? $"models.yaml pins {pinned}"
            : $"{string.Join(" and ", settings.KnownHosts)} know another";
        return $"{host}:{spec.Port} shows the {offered.HostKeyName} key {KnownHosts.Fingerprint(offered.HostKey)}, but {expected}. "
            + "Either the board was set up anew or this is not the board: compare with ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub "
            + "on it.";
    }
}
