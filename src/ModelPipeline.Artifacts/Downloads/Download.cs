using System.Net;
using System.Net.Http.Headers;
using ModelPipeline.Core;

namespace ModelPipeline.Artifacts.Downloads;

/// <summary>What to download, and what it must be.</summary>
/// <param name="Uri">http or https.</param>
/// <param name="Name">For people.</param>
/// <param name="Digest">Decides in the end.</param>
/// <param name="Bytes">Length, if it is known.</param>
/// <param name="MaxBytes">Anything longer is refused, before it is read if the server says so.</param>
internal sealed record Wanted(Uri Uri, string Name, ContentDigest Digest, long? Bytes, long MaxBytes);

/// <summary>One file on its way: goes on where an earlier process stopped or a link dropped, in several ranges at once if the server
/// can.</summary>
internal sealed class Download(
    HttpSource http,
    SourceSettings settings,
    Wanted wanted,
    PartialFile partial,
    IProgress<StageProgress>? progress
)
{
    /// <summary>The first range is short: it tells the length, so that the others soon follow.</summary>
    private const int FirstRangeBytes = 1 << 20;

    /// <summary>A range that dropped after this much is gone on with as if nothing had happened: retries count against standing
    /// still.</summary>
    private const int FreshStartBytes = 1 << 20;

    private readonly TransferProgress _progress = new(progress, $"Fetching {wanted.Name}");
    private readonly bool _resumed = partial.Length > 0;
    private long? _total = wanted.Bytes;
    private Uri _location = wanted.Uri;
    private int _answers;
    private int _restarts;

    private enum Answer
    {
        /// <summary>All bytes are there.</summary>
        Whole,

        /// <summary>The file goes on behind them.</summary>
        Part,

        /// <summary>This server cannot be asked for a range, or not of this file.</summary>
        NoRange,
    }

    /// <summary>Fills the partial file. What was pieced together of several answers and is wrong is dropped and fetched once more as one
    /// body.</summary>
    /// <returns>SHA-256 of the content, lower-case hex.</returns>
    /// <exception cref="PipelineException">The content cannot be had, or is not what is wanted; then nothing of it is kept.</exception>
    public async Task<string> RunAsync(CancellationToken cancellation)
    {
        _progress.Restart(partial.Length);
        for (var whole = false; ; whole = true)
        {
            await FillAsync(whole, cancellation).ConfigureAwait(false);
            var (sha256, length) = (partial.Sha256(), partial.Length);
            var actual =
                wanted.Digest.Algorithm == DigestAlgorithm.Sha256
                    ? ContentDigest.Sha256(sha256)
                    : await partial.GitBlobSha1Async(cancellation).ConfigureAwait(false);
            if (actual == wanted.Digest)
                return sha256;
            Restart(null);
            if (whole || (!_resumed && _answers == 1))
                throw new PipelineException(
                    $"{HttpSource.Shown(wanted.Uri)}: {wanted.Digest.Name} is {actual.Hex}, but {wanted.Digest.Hex} is expected ({length} "
                        + $"bytes came); the file changed or was altered on the way: check the source, then its sha256."
                );
        }
    }

    private async Task FillAsync(bool whole, CancellationToken cancellation)
    {
        while (true)
        {
            var answer = await http.RequestAsync(
                    HttpMethod.Get,
                    wanted.Uri,
                    headers => AskFirst(headers, whole),
                    (response, came, token) => TakeAsync(response, whole, came, token),
                    cancellation
                )
                .ConfigureAwait(false);
            if (
                answer == Answer.Whole
                || (answer == Answer.Part && !whole && settings.Streams > 1 && await RangesAsync(cancellation).ConfigureAwait(false))
            )
                return;
            whole |= answer == Answer.NoRange;
        }
    }

    private void AskFirst(HttpRequestHeaders headers, bool whole)
    {
        if (!whole && settings.Streams > 1)
            Ask(headers, partial.Length, partial.Length + Math.Min(FirstRangeBytes, settings.RangeBytes) - 1);
        else if (!whole && partial.Length > 0)
            Ask(headers, partial.Length, null);
    }

    private void Ask(HttpRequestHeaders headers, long from, long? to)
    {
        headers.Range = new RangeHeaderValue(from, to);
        if (partial.Validator is { } validator)
            headers.TryAddWithoutValidation("If-Range", validator);
    }

    /// <summary>Adds an answer's body to the partial file; while bytes come, those before them are hashed and written.</summary>
    private async Task<Answer> TakeAsync(HttpResponseMessage response, bool whole, Action came, CancellationToken cancellation)
    {
        var range = response.StatusCode == HttpStatusCode.PartialContent ? response.Content.Headers.ContentRange : null;
        if (response.StatusCode != HttpStatusCode.OK && (range?.From != partial.Length || range.To is null || range.Length is null))
        {
            if (partial.Length > 0 && response.Content.Headers.ContentRange?.Length == partial.Length)
                return Answer.Whole;
            if (whole)
                throw new PipelineException(
                    $"{HttpSource.Shown(wanted.Uri)}: the server answers {(int)response.StatusCode} when asked for the whole file; check "
                        + $"the URL."
                );
            return Answer.NoRange;
        }
        if (range is null || partial.Length == 0)
            Restart(Validator(response));
        else if (range.Length != _total && wanted.Bytes is null && _total is not null)
            return Answer.NoRange;
        Expect(range is null ? response.Content.Headers.ContentLength : range.Length);
        _location = response.RequestMessage!.RequestUri!;
        _answers++;

        var start = partial.Length;
        var end = range?.To + 1 ?? long.MaxValue;
        await using var body = await response.Content.ReadAsStreamAsync(cancellation).ConfigureAwait(false);
        try
        {
            await AddAsync(body, end, came, cancellation).ConfigureAwait(false);
            if (partial.Length < Math.Min(end, _total ?? 0))
                throw Broken(null);
        }
        catch (IOException e) when (HttpSource.IsOfNetwork(e))
        {
            return range is not null && partial.Length - start >= FreshStartBytes ? Answer.Part : throw Broken(e);
        }
        _total ??= partial.Length;
        return partial.Length == _total ? Answer.Whole : Answer.Part;

        BrokenTransferException Broken(Exception? e) =>
            new($"the body ended after {partial.Length} of {(_total is null ? "an unknown number of" : _total)} bytes", e);
    }

    /// <summary>Whatever ends it, all that came by then is in the partial file, unless it is too long.</summary>
    private async Task AddAsync(Stream body, long end, Action came, CancellationToken cancellation)
    {
        const int bufferBytes = 1 << 20,
            worthAdding = 1 << 18;
        var (filling, other) = (new byte[bufferBytes], new byte[bufferBytes]);
        var (position, filled) = (partial.Length, 0);
        var adding = Task.CompletedTask;
        try
        {
            while (position < end)
            {
                var read = await body.ReadAsync(filling.AsMemory(filled, (int)Math.Min(bufferBytes - filled, end - position)), cancellation)
                    .ConfigureAwait(false);
                if (read == 0)
                    break;
                came();
                if ((position += read) > (_total ?? wanted.MaxBytes))
                    throw TooLong();
                filled += read;
                _progress.Add(read);
                if (filled < worthAdding)
                    continue;
                await adding.ConfigureAwait(false);
                var bytes = filling.AsMemory(0, filled);
                adding = Task.Run(() => partial.Append(bytes.Span), CancellationToken.None);
                (filling, other, filled) = (other, filling, 0);
            }
        }
        catch (PipelineException)
        {
            await adding.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            Restart(null);
            filled = 0;
            throw;
        }
        finally
        {
            await adding.ConfigureAwait(false);
            partial.Append(filling.AsSpan(0, filled));
        }
    }

    /// <summary>The rest in ranges, several of them under way, added in order. False if one cannot be had.</summary>
    private async Task<bool> RangesAsync(CancellationToken cancellation)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var underWay = new Queue<(Range Range, Task<bool> Comes)>();
        var spare = new Stack<byte[]>();
        var next = partial.Length;
        try
        {
            for (var i = 0; i < settings.Streams; i++)
                Start();
            while (underWay.TryPeek(out var first))
            {
                if (!await first.Comes.ConfigureAwait(false))
                    return false;
                underWay.Dequeue();
                Start();
                await Task.Run(() => partial.Append(first.Range.Bytes.Span), CancellationToken.None).ConfigureAwait(false);
                spare.Push(first.Range.Buffer);
            }
            return true;
        }
        catch (PipelineException) when (_location != wanted.Uri)
        {
            // The address that it was redirected to may have expired.
            return false;
        }
        finally
        {
            await stop.CancelAsync().ConfigureAwait(false);
            await Task.WhenAll(underWay.Select(each => (Task)each.Comes)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            while (underWay.TryDequeue(out var left) && left.Range.Start == partial.Length)
                partial.Append(left.Range.Bytes.Span[..left.Range.Received]);
            _progress.Restart(partial.Length);
        }

        void Start()
        {
            if (next >= _total)
                return;
            var range = new Range(
                next,
                spare.TryPop(out var used) ? used : new byte[settings.RangeBytes],
                (int)Math.Min(settings.RangeBytes, _total!.Value - next)
            );
            underWay.Enqueue((range, ReceiveAsync(range, stop.Token)));
            next += range.Count;
        }
    }

    private async Task<bool> ReceiveAsync(Range range, CancellationToken cancellation)
    {
        var goes = true;
        while (goes && range.Received < range.Count)
        {
            goes = await http.RequestAsync(
                    HttpMethod.Get,
                    _location,
                    headers => Ask(headers, range.Start + range.Received, range.Start + range.Count - 1),
                    (response, came, token) => TakeAsync(response, range, came, token),
                    cancellation
                )
                .ConfigureAwait(false);
        }
        return goes;
    }

    private async Task<bool> TakeAsync(HttpResponseMessage response, Range range, Action came, CancellationToken cancellation)
    {
        var content = response.Content.Headers.ContentRange;
        if (
            response.StatusCode != HttpStatusCode.PartialContent
            || content?.From != range.Start + range.Received
            || content.Length != _total
        )
            return false;
        Interlocked.Increment(ref _answers);
        var before = range.Received;
        await using var body = await response.Content.ReadAsStreamAsync(cancellation).ConfigureAwait(false);
        try
        {
            while (range.Received < range.Count)
            {
                var read = await body.ReadAsync(range.Bytes[range.Received..], cancellation).ConfigureAwait(false);
                if (read == 0)
                    throw Broken(null);
                came();
                range.Received += read;
                _progress.Add(read);
            }
            return true;
        }
        catch (IOException e) when (HttpSource.IsOfNetwork(e))
        {
            return range.Received - before >= FreshStartBytes ? true : throw Broken(e);
        }

        BrokenTransferException Broken(Exception? e) =>
            new($"the range from {range.Start} ended after {range.Received} of {range.Count} bytes", e);
    }

    private sealed record Range(long Start, byte[] Buffer, int Count)
    {
        public int Received { get; set; }

        public Memory<byte> Bytes => Buffer.AsMemory(0, Count);
    }

    private void Restart(string? validator)
    {
        if (partial.Length > 0 && ++_restarts > 2 * (settings.Retries + 1))
            throw new PipelineException($"{HttpSource.Shown(wanted.Uri)}: the server begins anew again and again; try again later.");
        partial.Restart(validator);
        _progress.Restart(0);
        _total = wanted.Bytes;
    }

    private void Expect(long? length)
    {
        if (length > wanted.MaxBytes)
            throw TooLong();
        if (length is not null && wanted.Bytes is not null && length != wanted.Bytes)
            throw new PipelineException(
                $"{HttpSource.Shown(wanted.Uri)}: the server offers {length} bytes where {wanted.Bytes} are expected; try again, or check "
                    + $"the source."
            );
        _total = length ?? _total;
        _progress.Total = _total ?? 0;
    }

    private PipelineException TooLong() =>
        new(
            wanted.Bytes is { } bytes && bytes <= wanted.MaxBytes
                ? $"{HttpSource.Shown(wanted.Uri)}: longer than the {bytes} bytes expected; check the source."
                : $"{HttpSource.Shown(wanted.Uri)}: longer than the {wanted.MaxBytes} bytes allowed; check the URL, or raise max_bytes of "
                    + $"the source."
        );

    private static string? Validator(HttpResponseMessage response) =>
        response.Headers.ETag is { IsWeak: false } tag ? tag.Tag : response.Content.Headers.LastModified?.ToString("R");
}
