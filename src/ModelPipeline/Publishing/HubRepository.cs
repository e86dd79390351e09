using System.Text.RegularExpressions;
using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;

namespace ModelPipeline.Publishing;

/// <summary>A model repository on a hub, which holds the releases of one model as its tags.</summary>
/// <param name="Endpoint">Of the hub: https://huggingface.co/, with a trailing slash.</param>
/// <param name="Name">owner/name.</param>
/// <param name="Token">Needs to write the repository; null can look at public ones. Sent to the endpoint alone.</param>
public sealed partial record HubRepository(Uri Endpoint, string Name, string? Token)
{
    /// <summary>What options that name a hub's repository begin with.</summary>
    public const string Prefix = "hf:";

    /// <summary>From an option such as hf:owner/name, HF_ENDPOINT and HF_TOKEN.</summary>
    /// <exception cref="PipelineException">It names none, or the endpoint is neither https nor this machine.</exception>
    public static HubRepository Resolve(string option, Func<string, string?> environment)
    {
        var name = option[Prefix.Length..];
        if (!FullName().IsMatch(name))
            throw Refused($"--to={option}: expected hf:owner/name.");
        var settings = SourceSettings.FromEnvironment(environment);
        if (settings.Hub.Scheme != "https" && !settings.Hub.IsLoopback)
            throw Refused($"HF_ENDPOINT: '{HttpSource.Shown(settings.Hub)}' is no https URL, and HF_TOKEN would be sent there.");
        return new(new Uri(settings.Hub.AbsoluteUri.TrimEnd('/') + "/"), name, settings.HubToken);
    }

    /// <summary>Without the token.</summary>
    public override string ToString() => $"{Name} on {Endpoint.Host}";

    private static PipelineException Refused(string message) => new(message, PipelineException.ConfigurationError);

    [GeneratedRegex(@"\A[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*\z")]
    private static partial Regex FullName();
}
