using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;
using ModelPipeline.Core;
using Renci.SshNet;
using Renci.SshNet.Security;

namespace ModelPipeline.Devices;

/// <summary>The keys of a running SSH agent, which signs with them itself (draft-ietf-sshm-ssh-agent).</summary>
internal sealed class SshAgentKeys : IPrivateKeySource
{
    private const byte RequestIdentities = 11,
        IdentitiesAnswer = 12,
        SignRequest = 13,
        SignResponse = 14;
    private const int MaxAnswer = 256 << 10,
        MaxKeys = 64;

    private SshAgentKeys(IReadOnlyCollection<HostAlgorithm> keys) => HostKeyAlgorithms = keys;

    public IReadOnlyCollection<HostAlgorithm> HostKeyAlgorithms { get; }

    /// <exception cref="PipelineException">The agent cannot be reached, or holds no key.</exception>
    public static SshAgentKeys Read(string socket)
    {
        var answer = new Reader(Ask(socket, [RequestIdentities], IdentitiesAnswer));
        var count = answer.Number();
        List<HostAlgorithm> keys = [];
        for (var i = 0; i < Math.Min(count, MaxKeys); i++)
        {
            var blob = answer.Bytes();
            answer.Bytes(); // the comment
            var type = Encoding.ASCII.GetString(new Reader(blob).Bytes());
            if (type == "ssh-rsa")
                keys.AddRange([new AgentKey("rsa-sha2-512", blob, socket, 4), new AgentKey("rsa-sha2-256", blob, socket, 2)]);
            else
                keys.Add(new AgentKey(type, blob, socket, 0));
        }
        return keys.Count > 0
            ? new SshAgentKeys(keys)
            : throw new PipelineException($"The SSH agent at {socket} holds no key: add one with ssh-add, or name an identity_file.");
    }

    private static byte[] Ask(string socket, ReadOnlySpan<byte> request, byte expected)
    {
        try
        {
            using var connection = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            connection.Connect(new UnixDomainSocketEndPoint(socket));
            // A person may have to confirm.
            using var stream = new NetworkStream(connection) { ReadTimeout = 60_000, WriteTimeout = 10_000 };
            stream.Write([.. Length(request.Length), .. request]);
            var length = new byte[sizeof(int)];
            stream.ReadExactly(length);
            var size = BinaryPrimitives.ReadInt32BigEndian(length);
            var answer = new byte[size is > 0 and <= MaxAnswer ? size : throw new IOException($"an answer of {size} bytes")];
            stream.ReadExactly(answer);
            return answer[0] == expected ? answer[1..] : throw new IOException("it refused the request");
        }
        catch (Exception e) when (e is IOException or SocketException)
        {
            throw new PipelineException(
                $"The SSH agent at {socket} does not serve: {e.Message} Start it (ssh-agent), or name an identity_file.",
                inner: e
            );
        }
    }

    private static byte[] Length(int length)
    {
        var bytes = new byte[sizeof(int)];
        BinaryPrimitives.WriteInt32BigEndian(bytes, length);
        return bytes;
    }

    private sealed class AgentKey(string name, byte[] blob, string socket, int flags) : HostAlgorithm(name)
    {
        public override byte[] Data => blob;

        public override byte[] Sign(byte[] data) =>
            new Reader(
                Ask(socket, [SignRequest, .. Length(blob.Length), .. blob, .. Length(data.Length), .. data, .. Length(flags)], SignResponse)
            ).Bytes();

        public override bool VerifySignature(byte[] data, byte[] signature) =>
            throw new NotSupportedException("An agent's key signs only.");
    }

    private sealed class Reader(byte[] bytes)
    {
        private int at;

        public int Number()
        {
            if (bytes.Length - at < sizeof(int))
                throw new PipelineException("The SSH agent's answer is cut short.");
            var value = BinaryPrimitives.ReadInt32BigEndian(bytes.AsSpan(at));
            at += sizeof(int);
            return value;
        }

        public byte[] Bytes()
        {
            var length = Number();
            if (length < 0 || length > bytes.Length - at)
                throw new PipelineException("The SSH agent's answer is cut short.");
            at += length;
            return bytes[(at - length)..at];
        }
    }
}
