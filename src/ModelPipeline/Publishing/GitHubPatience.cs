using System.Globalization;
using System.Net;
using Octokit;
using Polly;
using Polly.Retry;

namespace ModelPipeline.Publishing;

/// <summary>What a step works on is not there any more; a new look tells why.</summary>
internal sealed class DraftChangedException(Exception inner) : Exception(inner.Message, inner);

/// <summary>Which failures of GitHub pass, and how long they take.</summary>
internal static class GitHubPatience
{
    /// <summary>GitHub asks for this where it sends no time of its own with a secondary limit.</summary>
    private static readonly TimeSpan SecondaryLimit = TimeSpan.FromMinutes(1);

    /// <summary>Tries again after failures of the server or the way to it, and after rate limits as soon as GitHub allows.</summary>
    /// <param name="pause">Before the first retry; doubled for each further one, with jitter.</param>
    /// <param name="attempts">Retries before the failure counts.</param>
    /// <param name="told">Is told of every wait.</param>
    public static ResiliencePipeline Retrying(TimeSpan pause, int attempts, Action<string> told) =>
        new ResiliencePipelineBuilder()
            .AddRetry(
                new RetryStrategyOptions
                {
                    ShouldHandle = arguments =>
                        ValueTask.FromResult(
                            arguments.Outcome.Exception is { } failure && Passes(failure, arguments.Context.CancellationToken)
                        ),
                    MaxRetryAttempts = attempts,
                    BackoffType = DelayBackoffType.Exponential,
                    UseJitter = true,
                    Delay = pause,
                    DelayGenerator = arguments => ValueTask.FromResult(Limit(arguments.Outcome.Exception, DateTimeOffset.UtcNow)),
                    OnRetry = arguments =>
                    {
                        told(
                            $"{Explain(arguments.Outcome.Exception!)} Going on in "
                                + $"{arguments.RetryDelay.TotalSeconds.ToString("0.#", CultureInfo.InvariantCulture)} s."
                        );
                        return default;
                    },
                }
            )
            .Build();

    /// <summary>The failure says nothing for good: another look may find things mended.</summary>
    public static bool Passes(Exception failure, CancellationToken cancellation) =>
        failure switch
        {
            ApiException api => Limit(api, DateTimeOffset.UnixEpoch) is not null || (int)api.StatusCode is 408 or >= 500 || IsTaken(api),
            HttpRequestException or HttpIOException or DraftChangedException => true,
            // A request that took too long, or a run that is to stop.
            OperationCanceledException => !cancellation.IsCancellationRequested,
            _ => false,
        };

    /// <summary>422 already_exists: something of that name came into being since it was last looked for. Looking again tells
    /// what.</summary>
    private static bool IsTaken(ApiException api) =>
        api is ApiValidationException && api.ApiError?.Errors?.Any(error => error.Code == "already_exists") == true;

    /// <summary>Until GitHub takes requests again; null if a limit is not the matter.</summary>
    public static TimeSpan? Limit(Exception? failure, DateTimeOffset now)
    {
        if (failure is not ApiException { StatusCode: HttpStatusCode.Forbidden or HttpStatusCode.TooManyRequests } api)
            return null;
        if (Header("Retry-After") is { } seconds)
            return TimeSpan.FromSeconds(seconds);
        if (Header("X-RateLimit-Remaining") == 0 && Header("X-RateLimit-Reset") is { } epoch)
            return Until(DateTimeOffset.FromUnixTimeSeconds(epoch));
        return api is SecondaryRateLimitExceededException or AbuseException || api.StatusCode == HttpStatusCode.TooManyRequests
            ? SecondaryLimit
            : null;

        // The server's clock may be ahead by a little.
        TimeSpan Until(DateTimeOffset reset) => reset > now ? reset - now + TimeSpan.FromSeconds(1) : TimeSpan.FromSeconds(1);

        long? Header(string name) =>
            api.HttpResponse?.Headers.FirstOrDefault(header => header.Key.Equals(name, StringComparison.OrdinalIgnoreCase)).Value
                is { } text
            && long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
                ? number
                : null;
    }

    /// <summary>A failure in words.</summary>
    public static string Explain(Exception failure) =>
        failure switch
        {
            ApiException api when Limit(api, DateTimeOffset.UtcNow) is not null => "GitHub's rate limit is used up.",
            ApiException api => $"GitHub answers {(int)api.StatusCode}: {string.Join("; ", [api.Message, .. Details(api)])}.",
            OperationCanceledException => "GitHub took too long.",
            DraftChangedException => "The draft or an asset went away while it was worked on.",
            _ => $"The way to GitHub failed ({failure.Message}).",
        };

    private static IEnumerable<string> Details(ApiException api) =>
        api.ApiError?.Errors?.Select(error => $"{error.Field} {error.Code}".Trim()) ?? [];
}
