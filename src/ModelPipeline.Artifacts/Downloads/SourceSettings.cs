using System.Globalization;
using ModelPipeline.Core;

namespace ModelPipeline.Artifacts.Downloads;

/// <summary>Where sources are kept, where they come from, and how hard they are tried for.</summary>
public sealed record SourceSettings
{
    /// <summary>Folder of the cache; made when needed.</summary>
    public required string Cache { get; init; }

    /// <summary>Bytes of downloads that the cache keeps; beyond it those go that were not used for longest.</summary>
    public long CacheLimit { get; init; } = 20L << 30;

    /// <summary>Hugging Face endpoint.</summary>
    public Uri Hub { get; init; } = new("https://huggingface.co");

    /// <summary>Sent to <see cref="Hub"/> alone.</summary>
    public string? HubToken { get; init; }

    /// <summary>Nothing is asked of the network: what the cache does not have is an error.</summary>
    public bool Offline { get; init; }

    /// <summary>Longest wait for a connection, an answer, or the next bytes of a body.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>How often a request is made again that brought nothing, before it is given up.</summary>
    public int Retries { get; init; } = 5;

    /// <summary>Median wait before the first retry; doubled at each further one.</summary>
    public TimeSpan RetryDelay { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Ranges of one file that are downloaded at once; with 1 it comes as one body.</summary>
    public int Streams { get; init; } = 4;

    /// <summary>Bytes of such a range. About <see cref="Streams"/> + 1 of them are held in memory.</summary>
    public int RangeBytes { get; init; } = 4 << 20;

    /// <summary>
    /// As the environment says: MODELPIPELINE_CACHE, or modelpipeline in XDG_CACHE_HOME or ~/.cache; MODELPIPELINE_CACHE_LIMIT in
    /// gigabytes; HF_ENDPOINT; HF_TOKEN. Proxies (HTTPS_PROXY, HTTP_PROXY, NO_PROXY) are read by .NET itself.
    /// </summary>
    /// <param name="variable">Gives an environment variable's value.</param>
    /// <exception cref="PipelineException">A variable's value is none.</exception>
    public static SourceSettings FromEnvironment(Func<string, string?> variable)
    {
        string? Set(string name) => variable(name) is { Length: > 0 } value ? value : null;
        var settings = new SourceSettings
        {
            Cache = Path.GetFullPath(
                Set("MODELPIPELINE_CACHE")
                    ?? Path.Combine(
                        Set("XDG_CACHE_HOME") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"),
                        "modelpipeline"
                    )
            ),
            HubToken = Set("HF_TOKEN"),
        };
        if (Set("HF_ENDPOINT") is { } endpoint)
        {
            settings =
                Uri.TryCreate(endpoint, UriKind.Absolute, out var hub) && hub.Scheme is "http" or "https"
                    ? settings with
                    {
                        Hub = hub,
                    }
                    : throw new PipelineException(
                        $"HF_ENDPOINT: '{endpoint}' is no http or https URL.",
                        PipelineException.ConfigurationError
                    );
        }
        if (Set("MODELPIPELINE_CACHE_LIMIT") is { } limit)
        {
            settings =
                double.TryParse(limit, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var gigabytes) && gigabytes <= 1e6
                    ? settings with
                    {
                        CacheLimit = (long)(gigabytes * 1e9),
                    }
                    : throw new PipelineException(
                        $"MODELPIPELINE_CACHE_LIMIT: '{limit}' is no number of gigabytes, such as 20 or 0.5.",
                        PipelineException.ConfigurationError
                    );
        }
        return settings;
    }
}
