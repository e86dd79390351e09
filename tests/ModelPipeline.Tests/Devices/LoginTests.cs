using System.Diagnostics;
using System.Net.Sockets;
using ModelPipeline.Core;
using ModelPipeline.Devices;

namespace ModelPipeline.Tests.Devices;

/// <summary>Keys of both sides, from where OpenSSH keeps them.</summary>
public sealed class LoginTests(BoardArtifact artifact) : BoardTests(artifact)
{
    private string HostKey => File.ReadAllText(Path.Combine(RemoteFolder, "../host_key.pub")).Trim();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_host_key_in_known_hosts_is_accepted_in_clear_and_hashed(bool hashed)
    {
        var known = Folder.Write("known_hosts", $"# boards\n[127.0.0.1]:{Board.Spec.Port} {HostKey}\n");
        if (hashed)
            Programs.Run("ssh-keygen", "-q", "-H", "-f", known);

        await using var device = await ConnectAsync(
            spec: spec => spec with { HostKey = null },
            settings: settings => settings with { KnownHosts = [known] }
        );

        Assert.Equal(hashed, (await File.ReadAllTextAsync(known, Cancellation)).Contains("|1|"));
    }

    [Fact]
    public async Task A_host_that_known_hosts_has_with_another_key_or_not_at_all_is_refused()
    {
        var other = await File.ReadAllTextAsync(OpenSsh.NewKey(Folder.File("other")) + ".pub", Cancellation);
        var changed = Folder.Write("changed", $"[127.0.0.1]:{Board.Spec.Port} {other}");
        var revoked = Folder.Write("revoked", $"[127.0.0.1]:{Board.Spec.Port} {HostKey}\n@revoked * {HostKey}\n");
        var empty = Folder.Write("empty", $"[127.0.0.1]:1 {HostKey}\n");

        Assert.Contains("know another", (await RefusedAsync(changed)).Message);
        Assert.Contains("know another", (await RefusedAsync(revoked)).Message);
        Assert.Contains("the host key of 127.0.0.1 is not known: log in once with ssh", (await RefusedAsync(empty)).Message);
        Assert.Contains("is not known", (await RefusedAsync(Folder.File("absent"))).Message);

        Task<PipelineException> RefusedAsync(string known) =>
            Assert.ThrowsAsync<PipelineException>(() =>
                ConnectAsync(spec: spec => spec with { HostKey = null }, settings: settings => settings with { KnownHosts = [known] })
            );
    }

    [Fact]
    public async Task Without_a_key_file_the_keys_of_a_running_SSH_agent_are_used()
    {
        var socket = Folder.File("agent");
        // Not CliWrap: it runs until it is killed.
        using var agent = Process.Start("ssh-agent", ["-D", "-a", socket])!;
        try
        {
            await ProcessTable.UntilAsync(() => Listens(socket), () => "the SSH agent does not listen");
            var empty = await Assert.ThrowsAsync<PipelineException>(WithAgentAsync);
            Programs.Run("env", $"SSH_AUTH_SOCK={socket}", "ssh-add", "-q", Board.Spec.IdentityFile!);
            await using var device = await WithAgentAsync();

            Assert.Contains("holds no key: add one with ssh-add", empty.Message);
            Assert.Contains(
                "SSH_AUTH_SOCK is not set",
                (await Assert.ThrowsAsync<PipelineException>(() => ConnectAsync(spec: spec => spec with { IdentityFile = null }))).Message
            );
        }
        finally
        {
            agent.Kill();
        }

        // The socket is there a moment before it is listened to.
        static bool Listens(string socket)
        {
            try
            {
                using var connection = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                connection.Connect(new UnixDomainSocketEndPoint(socket));
                return true;
            }
            catch (SocketException)
            {
                return false;
            }
        }

        Task<SshDevice> WithAgentAsync() =>
            ConnectAsync(spec: spec => spec with { IdentityFile = null }, settings: settings => settings with { AgentSocket = socket });
    }

    [Fact]
    public async Task A_key_that_cannot_be_read_or_needs_a_passphrase_is_named()
    {
        var locked = Folder.File("locked");
        Programs.Run("ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", locked);

        Assert.Contains($"the key '{locked}' has a passphrase: add it to an SSH agent", (await FailsAsync(locked)).Message);
        Assert.Contains("cannot be read", (await FailsAsync(Folder.Write("garbage", "no key"))).Message);
        Assert.Contains("cannot be read", (await FailsAsync(Folder.File("absent"))).Message);

        Task<PipelineException> FailsAsync(string key) =>
            Assert.ThrowsAsync<PipelineException>(() => ConnectAsync(spec: spec => spec with { IdentityFile = key }));
    }
}
