using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using System.Threading.Channels;
using ModelPipeline.Core;
using ModelPipeline.Npu;

namespace ModelPipeline.Devices;

/// <summary>The other end is gone. Not for users: the device reconnects, or says so in its own words.</summary>
internal sealed class LinkLostException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>Kinds of messages, as native/src/agent/message.h has them.</summary>
internal enum AgentMessageKind : byte
{
    Hello = 1,
    Load,
    Store,
    Chunk,
    Run,
    Status,
    Quit,
    Governor,
    Profile,
    Alive,
    HelloReply = 0x81,
    Loaded,
    Missing,
    Stored,
    Result,
    Done,
    StatusReply,
    ProfileReply,
    Error = 0xFF,
}

internal readonly record struct AgentMessage(AgentMessageKind Kind, ReadOnlyMemory<byte> Payload);

/// <summary>Messages to and from an agent over two streams: a 32-bit little endian length, a byte of kind, the payload.</summary>
internal sealed class AgentChannel : IDisposable
{
    public const int Protocol = 1;
    public const int MaxMessage = 16 << 20;

    /// <summary>After so long without a word, the agent leaves the board to others.</summary>
    public static readonly TimeSpan Silence = TimeSpan.FromSeconds(40);

    /// <summary>Messages that are read before somebody asks for them: a device may send no more than memory holds.</summary>
    private const int MostWaiting = 64;

    private static readonly TimeSpan Heartbeat = TimeSpan.FromSeconds(10);

    private readonly string device;
    private readonly Stream output;
    private readonly SemaphoreSlim writing = new(1);
    private readonly Timer heartbeat;
    private readonly Channel<AgentMessage> received = Channel.CreateBounded<AgentMessage>(
        new BoundedChannelOptions(MostWaiting) { SingleReader = true, SingleWriter = true }
    );

    /// <param name="device">Its name in messages.</param>
    /// <param name="input">What the agent writes. It is read on a thread of its own until it ends.</param>
    /// <param name="output">What the agent reads.</param>
    public AgentChannel(string device, Stream input, Stream output)
    {
        (this.device, this.output) = (device, output);
        heartbeat = new Timer(_ => Beat(), null, Heartbeat, Heartbeat);
        new Thread(() => received.Writer.TryComplete(ReadAll(input))) { IsBackground = true, Name = $"agent of {device}" }.Start();
    }

    /// <summary>What was asked last; null before the first request.</summary>
    public AgentMessageKind? LastRequest { get; private set; }

    /// <summary>Whether the last message was the agent's own error, after which it waits for the next request.</summary>
    public bool Refused { get; private set; }

    public Task SendAsync<T>(AgentMessageKind kind, T request, JsonTypeInfo<T> type, TimeSpan limit, CancellationToken cancellation) =>
        SendAsync(kind, JsonSerializer.SerializeToUtf8Bytes(request, type), limit, cancellation);

    public async Task SendAsync(AgentMessageKind kind, ReadOnlyMemory<byte> payload, TimeSpan limit, CancellationToken cancellation)
    {
        var message = new byte[sizeof(int) + 1 + payload.Length];
        BinaryPrimitives.WriteInt32LittleEndian(message, payload.Length + 1);
        message[sizeof(int)] = (byte)kind;
        LastRequest = kind;
        Refused = false;
        payload.CopyTo(message.AsMemory(sizeof(int) + 1));
        try
        {
            // The stream blocks while the other end does not read.
            await Task.Run(() => Write(message), cancellation).WaitAsync(limit, cancellation).ConfigureAwait(false);
        }
        catch (TimeoutException e)
        {
            throw Silent(limit, e);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            throw new LinkLostException(e.Message, e);
        }
    }

    /// <summary>The next message. What the agent reports as an error is thrown, in its own words.</summary>
    /// <exception cref="LinkLostException">The other end is gone.</exception>
    public async Task<AgentMessage> ReceiveAsync(TimeSpan limit, CancellationToken cancellation)
    {
        Refused = false;
        try
        {
            var message = await received.Reader.ReadAsync(cancellation).AsTask().WaitAsync(limit, cancellation).ConfigureAwait(false);
            if (message.Kind != AgentMessageKind.Error)
                return message;
            var failure = Parse(message, AgentJson.Default.AgentFailure);
            Refused = true;
            throw failure.Status == NativeShim.Status.Cancelled
                ? new OperationCanceledException(failure.Message)
                : new PipelineException($"device '{device}': {failure.Message}");
        }
        catch (TimeoutException e)
        {
            throw Silent(limit, e);
        }
        catch (ChannelClosedException e)
        {
            throw e.InnerException as PipelineException
                ?? (Exception)new LinkLostException(e.InnerException?.Message ?? "the agent ended", e.InnerException);
        }
    }

    /// <summary>The next message, which must be of this kind, as JSON.</summary>
    public async Task<T> ReceiveAsync<T>(AgentMessageKind kind, JsonTypeInfo<T> type, TimeSpan limit, CancellationToken cancellation) =>
        Parse(Expect(kind, await ReceiveAsync(limit, cancellation).ConfigureAwait(false)), type);

    public AgentMessage Expect(AgentMessageKind kind, AgentMessage message) =>
        message.Kind == kind ? message : throw Malformed($"a message of kind {(int)message.Kind} where {kind} was expected");

    public T Parse<T>(AgentMessage message, JsonTypeInfo<T> type)
    {
        try
        {
            return JsonSerializer.Deserialize(message.Payload.Span, type) ?? throw Malformed("null");
        }
        catch (JsonException e)
        {
            throw Malformed(e.Message);
        }
    }

    public PipelineException Malformed(string what) =>
        new(
            $"device '{device}': what answers there is not this program's agent, or one of another version: {what}. Check that nothing "
                + $"(such as a login script) writes to the session's output."
        );

    public void Dispose()
    {
        heartbeat.Dispose();
        received.Writer.TryComplete();
        output.Dispose();
    }

    private void Write(ReadOnlySpan<byte> message)
    {
        writing.Wait();
        try
        {
            output.Write(message);
            output.Flush();
        }
        finally
        {
            writing.Release();
        }
    }

    /// <summary>Says that this end is there, unless something is being written that says so.</summary>
    private void Beat()
    {
        if (!writing.Wait(0))
            return;
        try
        {
            output.Write([1, 0, 0, 0, (byte)AgentMessageKind.Alive]);
            output.Flush();
        }
        catch (Exception e)
            when (e is IOException or ObjectDisposedException or InvalidOperationException or Renci.SshNet.Common.SshException)
        {
            // The link ended, which the next request tells.
        }
        finally
        {
            writing.Release();
        }
    }

    private PipelineException Silent(TimeSpan limit, Exception inner) =>
        new(
            $"device '{device}': no answer within {limit.TotalSeconds:0.#} s: the run hangs or the link is dead. Restart the board if it "
                + $"repeats.",
            inner: inner
        );

    /// <summary>Returns why the stream cannot be read further; null at its end.</summary>
    private Exception? ReadAll(Stream input)
    {
        var header = new byte[sizeof(int) + 1];
        try
        {
            while (true)
            {
                if (input.ReadAtLeast(header, header.Length, throwOnEndOfStream: false) < header.Length)
                    return null;
                var length = BinaryPrimitives.ReadUInt32LittleEndian(header);
                if (length is 0 or > MaxMessage)
                    return Malformed($"a message of {length} bytes");
                var payload = new byte[length - 1];
                input.ReadExactly(payload);
                var message = new AgentMessage((AgentMessageKind)header[sizeof(int)], payload);
                received.Writer.WriteAsync(message).AsTask().GetAwaiter().GetResult();
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or ChannelClosedException or Renci.SshNet.Common.SshException)
        {
            return e;
        }
    }
}
