using System.Text.Json;

namespace ModelPipeline.Artifacts.Downloads;

/// <summary>What the hub's API says of a repository at a revision.</summary>
/// <param name="Commit">40 hex digits.</param>
/// <param name="Files">Names with slashes.</param>
internal sealed record HubListing(string Commit, IReadOnlyList<string> Files)
{
    /// <summary>Null if the answer is none of the API's: stand-ins and mirrors may serve files alone.</summary>
    public static HubListing? Read(byte[] answer)
    {
        try
        {
            using var document = JsonDocument.Parse(answer);
            var root = document.RootElement;
            var commit = root.GetProperty("sha").GetString();
            return commit is { Length: 40 } && commit.All(char.IsAsciiHexDigit)
                ? new HubListing(
                    commit,
                    [.. root.GetProperty("siblings").EnumerateArray().Select(file => file.GetProperty("rfilename").GetString()!)]
                )
                : null;
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            return null;
        }
    }
}
