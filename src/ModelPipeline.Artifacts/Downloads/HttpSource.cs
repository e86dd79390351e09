using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using Microsoft.Extensions.Http.Resilience;
using ModelPipeline.Core;
using Polly;

namespace ModelPipeline.Artifacts.Downloads;

/// <summary>A body that ended early; worth another try.</summary>
internal sealed class BrokenTransferException(string message, Exception? inner = null) : IOException(message, inner);

/// <summary>Requests over HTTP that follow redirects safely, are made again after passing faults, and fail in words.</summary>
internal sealed class HttpSource : IDisposable
{
    private const int MaxRedirects = 10;

    /// <summary>A server that wants a longer pause is not waited for.</summary>
    private static readonly TimeSpan LongestPause = TimeSpan.FromMinutes(2);

    private readonly SourceSettings _settings;
    private readonly HttpClient _client;
    private readonly ResiliencePipeline<HttpResponseMessage> _retries;

    public HttpSource(SourceSettings settings)
    {
        _settings = settings;
        // Redirects are followed here: the token and the scheme are checked at each.
        _client = new HttpClient(
            new SocketsHttpHandler
            {
                AllowAutoRedirect = false,
                UseCookies = false,
                ConnectTimeout = settings.Patience,
            }
        )
        {
            Timeout = Timeout.InfiniteTimeSpan,
        };
        _retries =
            settings.Retries == 0
                ? ResiliencePipeline<HttpResponseMessage>.Empty
                : new ResiliencePipelineBuilder<HttpResponseMessage>()
                    .AddRetry(
                        new HttpRetryStrategyOptions
                        {
                            MaxRetryAttempts = settings.Retries,
                            BackoffType = DelayBackoffType.Exponential,
                            UseJitter = true,
                            Delay = settings.RetryDelay,
                            MaxDelay = LongestPause,
                            ShouldRetryAfterHeader = true,
                            ShouldHandle = attempt => ValueTask.FromResult(IsPassing(attempt.Outcome)),
                        }
                    )
                    .Build();
    }

    public void Dispose() => _client.Dispose();

    /// <summary>Sends a request, again and again if need be, until its answer is received.</summary>
    /// <param name="method">GET or HEAD; HEAD follows no redirect to another origin, which then is the answer itself.</param>
    /// <param name="uri">http or https.</param>
    /// <param name="prepare">Adds headers, at every attempt.</param>
    /// <param name="receive">
    /// Takes the answer: a success, 416, or a redirect as above. To be told by calling its second argument whenever bytes came. Called
    /// again after a failure of the network.
    /// </param>
    /// <param name="cancellation">Ends it.</param>
    /// <exception cref="PipelineException">Any failure of the server or the way to it.</exception>
    public async Task<T> RequestAsync<T>(
        HttpMethod method,
        Uri uri,
        Action<HttpRequestHeaders> prepare,
        Func<HttpResponseMessage, Action, CancellationToken, Task<T>> receive,
        CancellationToken cancellation
    )
    {
        var result = default(T)!;
        try
        {
            using var final = await _retries
                .ExecuteAsync(
                    async _ =>
                    {
                        using var wait = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
                        wait.CancelAfter(_settings.Patience);
                        try
                        {
                            var response = await FollowAsync(method, uri, prepare, wait.Token).ConfigureAwait(false);
                            if (!IsRefusal(response))
                                result = await receive(response, () => wait.CancelAfter(_settings.Patience), wait.Token)
                                    .ConfigureAwait(false);
                            return response;
                        }
                        catch (OperationCanceledException e) when (!cancellation.IsCancellationRequested)
                        {
                            throw new TimeoutException(null, e);
                        }
                    },
                    cancellation
                )
                .ConfigureAwait(false);
            return IsRefusal(final) ? throw Refused(uri, final) : result;
        }
        catch (Exception e) when (e is HttpRequestException or TimeoutException || IsOfNetwork(e))
        {
            cancellation.ThrowIfCancellationRequested();
            throw new PipelineException($"{Shown(uri)}: {Explain(uri, e)}", inner: e);
        }
    }

    private async Task<HttpResponseMessage> FollowAsync(
        HttpMethod method,
        Uri uri,
        Action<HttpRequestHeaders> prepare,
        CancellationToken cancellation
    )
    {
        var start = uri;
        for (var hop = 0; hop <= MaxRedirects; hop++)
        {
            using var request = new HttpRequestMessage(method, uri);
            request.Headers.UserAgent.Add(
                new ProductInfoHeaderValue("ModelPipeline", typeof(HttpSource).Assembly.GetName().Version!.ToString(3))
            );
            // A compressed body has another length and another entity tag.
            request.Headers.AcceptEncoding.Add(new StringWithQualityHeaderValue("identity"));
            if (_settings.HubToken is { } token && SameOrigin(uri, _settings.Hub))
                request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
            prepare(request.Headers);
            var response = await _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation).ConfigureAwait(false);
            if (Redirect(uri, response) is not { } next || (method == HttpMethod.Head && !SameOrigin(uri, next)))
                return response;
            response.Dispose();
            CheckRedirect(uri, next);
            uri = next;
        }
        throw new PipelineException($"{Shown(start)}: more than {MaxRedirects} redirects; check the URL.");
    }

    private static Uri? Redirect(Uri from, HttpResponseMessage response) =>
        response.StatusCode
            is HttpStatusCode.MovedPermanently
                or HttpStatusCode.Found
                or HttpStatusCode.SeeOther
                or HttpStatusCode.TemporaryRedirect
                or HttpStatusCode.PermanentRedirect
        && response.Headers.Location is { } location
            ? new Uri(from, location)
            : null;

    /// <exception cref="PipelineException">The redirect leaves https, or HTTP altogether.</exception>
    internal static void CheckRedirect(Uri from, Uri to)
    {
        if (to.Scheme is not ("http" or "https"))
            throw new PipelineException($"{Shown(from)}: redirects to {Shown(to)}, which is neither http nor https.");
        if (from.Scheme == Uri.UriSchemeHttps && to.Scheme == Uri.UriSchemeHttp)
            throw new PipelineException(
                $"{Shown(from)}: redirects from https to {Shown(to)}, which is refused; use a source that stays on https."
            );
    }

    private static bool SameOrigin(Uri a, Uri b) =>
        Uri.Compare(a, b, UriComponents.SchemeAndServer, UriFormat.Unescaped, StringComparison.OrdinalIgnoreCase) == 0;

    private static bool IsRefusal(HttpResponseMessage response) =>
        !response.IsSuccessStatusCode
        && response.StatusCode != HttpStatusCode.RequestedRangeNotSatisfiable
        && Redirect(response.RequestMessage!.RequestUri!, response) is null;

    /// <summary>What may go by itself: an overloaded or failing server, a link that drops or stalls; not a wrong name, certificate or
    /// proxy, or an answer that is too long.</summary>
    private static bool IsPassing(Outcome<HttpResponseMessage> outcome) =>
        outcome switch
        {
            {
                Exception: HttpRequestException
                {
                    HttpRequestError: HttpRequestError.NameResolutionError
                        or HttpRequestError.SecureConnectionError
                        or HttpRequestError.ProxyTunnelError
                        or HttpRequestError.ConfigurationLimitExceeded
                }
            } => false,
            { Exception: HttpRequestException or TimeoutException } => true,
            { Exception: { } e } => IsOfNetwork(e),
            { Result: { } response } => HttpClientResiliencePredicates.IsTransient(outcome) && Pause(response) <= LongestPause,
            _ => false,
        };

    private static TimeSpan Pause(HttpResponseMessage response) =>
        response.Headers.RetryAfter is not { } after ? TimeSpan.Zero : after.Delta ?? after.Date - DateTimeOffset.UtcNow ?? TimeSpan.Zero;

    /// <summary>True for a broken connection, false for a disk that is full. HttpClient lets a bare SocketException through when a
    /// connection is reset as it opens.</summary>
    public static bool IsOfNetwork(Exception e) =>
        e is HttpIOException or BrokenTransferException or SocketException or IOException { InnerException: SocketException };

    internal string Explain(Uri uri, Exception e) =>
        e switch
        {
            TimeoutException => $"nothing came for {_settings.Patience.TotalSeconds:0.#} s; check the network or try again.",
            HttpRequestException { HttpRequestError: HttpRequestError.NameResolutionError } =>
                $"no address is known for {uri.Host}; check the name and the network.",
            HttpRequestException { HttpRequestError: HttpRequestError.ConnectionError } =>
                $"cannot connect to {uri.Authority} ({Innermost(e)}); check the network and any proxy.",
            HttpRequestException { HttpRequestError: HttpRequestError.SecureConnectionError } =>
                $"no secure connection to {uri.Authority} ({Innermost(e)}); check the machine's certificates and clock.",
            HttpRequestException { HttpRequestError: HttpRequestError.ProxyTunnelError } =>
                $"the proxy refuses to reach {uri.Authority} ({e.Message}); check HTTPS_PROXY.",
            HttpRequestException { HttpRequestError: HttpRequestError.ConfigurationLimitExceeded } =>
                $"longer than is allowed ({e.Message}); check the URL.",
            BrokenTransferException => $"{e.Message}; try again.",
            _ => $"the transfer failed ({e.Message}); try again.",
        };

    private static string Innermost(Exception e) => e.InnerException?.Message ?? e.Message;

    /// <summary>The server has nothing of the kind: mirrors serve files without the API.</summary>
    internal static bool HasNoSuchService(PipelineException e) =>
        e.InnerException is HttpRequestException { StatusCode: { } status }
        && status is HttpStatusCode.NotFound or HttpStatusCode.MethodNotAllowed or HttpStatusCode.NotImplemented;

    /// <summary>The server said that there is no such file.</summary>
    internal static bool IsMissing(PipelineException e) => e.InnerException is HttpRequestException { StatusCode: HttpStatusCode.NotFound };

    private static PipelineException Refused(Uri uri, HttpResponseMessage response) =>
        new(
            $"{Shown(uri)}: "
                + response.StatusCode switch
                {
                    HttpStatusCode.NotFound => "404, there is no such file; check the name and the revision.",
                    HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden =>
                        $"{(int)response.StatusCode}, access is refused; for a gated or private Hugging Face file set HF_TOKEN.",
                    var status when Pause(response) > LongestPause =>
                        $"the server answers {(int)status} and wants a pause of {Pause(response).TotalMinutes:0} minutes; try again then.",
                    var status => $"the server answers {(int)status}; try again later or check the URL.",
                },
            inner: new HttpRequestException(null, null, response.StatusCode)
        );

    /// <summary>Without user info and query, which may hold secrets.</summary>
    public static string Shown(Uri uri) => uri.GetComponents(UriComponents.SchemeAndServer | UriComponents.Path, UriFormat.UriEscaped);
}
