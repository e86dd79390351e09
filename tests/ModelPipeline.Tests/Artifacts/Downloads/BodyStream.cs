namespace ModelPipeline.Tests.Artifacts.Downloads;

/// <summary>A response body of which something may become on its way.</summary>
/// <param name="body">Where it goes.</param>
/// <param name="onWrite">Given the bytes sent before and those to send now, sends what it likes.</param>
internal sealed class BodyStream(Stream body, Func<long, ReadOnlyMemory<byte>, Stream, CancellationToken, Task> onWrite) : Stream
{
    private const int StepBytes = 1 << 14;
    private long _sent;

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        for (; buffer.Length > 0; buffer = buffer[Math.Min(StepBytes, buffer.Length)..])
        {
            var step = buffer[..Math.Min(StepBytes, buffer.Length)];
            await onWrite(_sent, step, body, cancellationToken);
            _sent += step.Length;
        }
    }

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override Task FlushAsync(CancellationToken cancellationToken) => body.FlushAsync(cancellationToken);

    public override void Flush() => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();
}
