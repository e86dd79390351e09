using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;

namespace ModelPipeline.Sources;

/// <summary>Requests over HTTP that follow redirects safely and fail in words.</summary>
/// <param name="trusted">The only origin that ever sees <paramref name="token"/>; null for none.</param>
/// <param name="token">Bearer token, sent to no other origin, redirects included.</param>
/// <param name="patience">Longest wait for a connection, an answer, or the next bytes of a body.</param>
internal sealed class HttpSource(Uri? trusted, string? token, TimeSpan patience) : IDisposable
{
    private const int MaxRedirects = 10;

    // Redirects are followed here: the token and the scheme are checked at each.
    private readonly HttpClient _client = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, ConnectTimeout = patience })
    {
        Timeout = Timeout.InfiniteTimeSpan,
    };

    public void Dispose() => _client.Dispose();

    /// <summary>Writes the body of <paramref name="uri"/> to <paramref name="destination"/>.</summary>
    /// <param name="uri">http or https.</param>
    /// <param name="destination">Holds a part of the body after a failure.</param>
    /// <param name="bytes">The exact length, if it is known.</param>
    /// <param name="maxBytes">A longer body is refused, before it is read if the server says so.</param>
    /// <param name="report">Makes, from the length or 0, what is told the bytes so far.</param>
    /// <param name="cancellation">Ends the transfer.</param>
    /// <exception cref="PipelineException">Any failure of the server or the way to it.</exception>
    public Task<(string Sha256, long Bytes)> DownloadAsync(
        Uri uri, Stream destination, long? bytes, long maxBytes, Func<long, Action<long>> report, CancellationToken cancellation) =>
        WithPatience(uri, cancellation, async wait =>
        {
            using var response = await SendAsync(HttpMethod.Get, uri, stopAtOtherOrigin: false, wait.Token).ConfigureAwait(false);
            var length = response.Content.Headers.ContentLength;
            if (length > maxBytes)
                throw TooLong(uri, maxBytes);
            if (length is not null && bytes is not null && length != bytes)
                throw new PipelineException($"{Shown(uri)}: the server offers {length} bytes where {bytes} are expected; try again, or check the source.");
            var total = length ?? bytes;
            var told = report(total ?? 0);
            long received = 0;
            await using var body = await response.Content.ReadAsStreamAsync(wait.Token).ConfigureAwait(false);
            try
            {
                var result = await HashingCopy.RunAsync(body, destination, sofar =>
                {
                    wait.CancelAfter(patience);
                    received = sofar;
                    if (sofar > maxBytes)
                        throw TooLong(uri, maxBytes);
                    told(sofar);
                }, wait.Token).ConfigureAwait(false);
                return total is null || result.Bytes == total ? result : throw Short(uri, received, total, null);
            }
            catch (IOException e) when (IsOfNetwork(e))
            {
                throw Short(uri, received, total, e);
            }
        });

    /// <summary>The answer to HEAD, redirects within the origin followed; a redirect to elsewhere is the answer itself.</summary>
    /// <exception cref="PipelineException">Any failure of the server or the way to it.</exception>
    public Task<HttpResponseMessage> HeadAsync(Uri uri, CancellationToken cancellation) =>
        WithPatience(uri, cancellation, wait => SendAsync(HttpMethod.Head, uri, stopAtOtherOrigin: true, wait.Token));

    private async Task<HttpResponseMessage> SendAsync(HttpMethod method, Uri uri, bool stopAtOtherOrigin, CancellationToken cancellation)
    {
        var start = uri;
        for (var hop = 0; hop <= MaxRedirects; hop++)
        {
            using var request = new HttpRequestMessage(method, uri);
            request.Headers.UserAgent.Add(new ProductInfoHeaderValue("ModelPipeline", typeof(HttpSource).Assembly.GetName().Version!.ToString(3)));
            // A compressed body has another length and another entity tag.
            request.Headers.AcceptEncoding.Add(new StringWithQualityHeaderValue("identity"));
            if (token is not null && trusted is not null && SameOrigin(uri, trusted))
                request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
            var response = await _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation).ConfigureAwait(false);
            if (response.IsSuccessStatusCode)
                return response;
            if (Redirect(uri, response) is not { } next)
            {
                using (response)
                    throw Refused(start, response);
            }
            if (stopAtOtherOrigin && !SameOrigin(uri, next))
                return response;
            response.Dispose();
            CheckRedirect(uri, next);
            uri = next;
        }
        throw new PipelineException($"{Shown(start)}: more than {MaxRedirects} redirects; check the URL.");
    }

    private static Uri? Redirect(Uri from, HttpResponseMessage response) =>
        response.StatusCode is HttpStatusCode.MovedPermanently or HttpStatusCode.Found or HttpStatusCode.SeeOther
            or HttpStatusCode.TemporaryRedirect or HttpStatusCode.PermanentRedirect && response.Headers.Location is { } location
            ? new Uri(from, location)
            : null;

    /// <exception cref="PipelineException">The redirect leaves https, or HTTP altogether.</exception>
    internal static void CheckRedirect(Uri from, Uri to)
    {
        if (to.Scheme is not ("http" or "https"))
            throw new PipelineException($"{Shown(from)}: redirects to {Shown(to)}, which is neither http nor https.");
        if (from.Scheme == Uri.UriSchemeHttps && to.Scheme == Uri.UriSchemeHttp)
            throw new PipelineException($"{Shown(from)}: redirects from https to {Shown(to)}, which is refused; use a source that stays on https.");
    }

    private static bool SameOrigin(Uri a, Uri b) => Uri.Compare(a, b, UriComponents.SchemeAndServer, UriFormat.Unescaped, StringComparison.OrdinalIgnoreCase) == 0;

    private async Task<T> WithPatience<T>(Uri uri, CancellationToken cancellation, Func<CancellationTokenSource, Task<T>> work)
    {
        using var wait = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        wait.CancelAfter(patience);
        try
        {
            return await work(wait).ConfigureAwait(false);
        }
        catch (OperationCanceledException e) when (!cancellation.IsCancellationRequested)
        {
            throw new PipelineException($"{Shown(uri)}: nothing came for {patience.TotalSeconds:0.#} s; check the network or try again.", inner: e);
        }
        catch (Exception e) when (e is HttpRequestException || IsOfNetwork(e))
        {
            cancellation.ThrowIfCancellationRequested();
            throw new PipelineException($"{Shown(uri)}: {Explain(uri, e)}", inner: e);
        }
    }

    /// <summary>True for a broken connection, false for a disk that is full.</summary>
    private static bool IsOfNetwork(Exception e) => e is HttpIOException or IOException { InnerException: SocketException };

    internal static string Explain(Uri uri, Exception e) => (e as HttpRequestException)?.HttpRequestError switch
    {
        HttpRequestError.NameResolutionError => $"no address is known for {uri.Host}; check the name and the network.",
        HttpRequestError.ConnectionError => $"cannot connect to {uri.Authority} ({e.InnerException?.Message ?? e.Message}); check the network and any proxy.",
        HttpRequestError.SecureConnectionError => $"no secure connection to {uri.Authority} ({e.InnerException?.Message ?? e.Message}); check the machine's certificates and clock.",
        HttpRequestError.ProxyTunnelError => $"the proxy refuses to reach {uri.Authority} ({e.Message}); check HTTPS_PROXY.",
        _ => $"the transfer failed ({e.Message}); try again.",
    };

    private static PipelineException Refused(Uri uri, HttpResponseMessage response) => new($"{Shown(uri)}: " + response.StatusCode switch
    {
        HttpStatusCode.NotFound => "404, there is no such file; check the name and the revision.",
        HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden => $"{(int)response.StatusCode}, access is refused; for a gated or private Hugging Face file set HF_TOKEN.",
        var status => $"the server answers {(int)status}; try again later or check the URL.",
    });

    private static PipelineException TooLong(Uri uri, long maxBytes) =>
        new($"{Shown(uri)}: longer than the {maxBytes} bytes allowed; check the URL, or raise max_bytes of the source.");

    private static PipelineException Short(Uri uri, long received, long? total, Exception? inner) =>
        new($"{Shown(uri)}: the body ended after {received} of {(total is null ? "an unknown number of" : total)} bytes; try again.", inner: inner);

    /// <summary>Without user info and query, which may hold secrets.</summary>
    public static string Shown(Uri uri) => uri.GetComponents(UriComponents.SchemeAndServer | UriComponents.Path, UriFormat.UriEscaped);
}
