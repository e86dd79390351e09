using System.Text.Json;
using System.Text.Json.Serialization;

namespace ModelPipeline.Toolkit;

/// <summary>What a Python has of the toolkit.</summary>
/// <param name="Python">Version of the interpreter.</param>
/// <param name="Packages">Versions by name of the toolkit and of what it uses, as far as they are there.</param>
/// <param name="Error">Why the toolkit cannot be imported; null if it can or was not tried.</param>
public sealed record InstalledToolkit(string Python, IReadOnlyDictionary<string, string> Packages, string? Error)
{
    private const string Name = "rknn-toolkit2";

    /// <summary>Version of rknn-toolkit2 without its local part; null if it is not there.</summary>
    [JsonIgnore]
    public string? Version => Packages.TryGetValue(Name, out var version) ? version.Split('+')[0] : null;

    /// <summary>For people: the toolkit, Python, then what decides about files.</summary>
    [JsonIgnore]
    public string Versions =>
        string.Join(
            ", ",
            [
                $"{Name} {Version ?? "missing"}",
                $"Python {Python}",
                .. Packages.Where(package => package.Key != Name).Select(package => $"{package.Key} {package.Value}"),
            ]
        );

    /// <summary>Asks an interpreter.</summary>
    /// <param name="python">Its path.</param>
    /// <param name="import">Import the toolkit as well, which takes a second.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <returns>Null if it is no Python that works.</returns>
    public static async Task<InstalledToolkit?> OfAsync(string python, bool import, CancellationToken cancellation = default)
    {
        var answer = await ToolkitProcess
            .RunAsync(python, ["-I", "-B", ToolkitEnvironment.DriverPath, import ? "check" : "versions"], cancellation: cancellation)
            .ConfigureAwait(false);
        // An import may print other things before.
        if (answer is not (0, var output) || output.Split('\n').LastOrDefault(line => line.StartsWith('{')) is not { } json)
            return null;
        try
        {
            return JsonSerializer.Deserialize(json, ToolkitJson.Default.InstalledToolkit);
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
