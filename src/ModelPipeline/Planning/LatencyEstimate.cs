using System.Globalization;
using System.Text.Json.Serialization;

namespace ModelPipeline.Planning;

/// <summary>What an inference may take, guessed without a board. Never a measurement: no gate takes it for one.</summary>
/// <param name="Milliseconds">A passage.</param>
/// <param name="Low">Lower end of the 90 % interval.</param>
/// <param name="High">Upper end of the 90 % interval.</param>
/// <param name="Basis">What it rests on, for people.</param>
public sealed record LatencyEstimate(double Milliseconds, double Low, double High, string Basis)
{
    /// <summary>Of a run of several passages, each one's share.</summary>
    internal LatencyEstimate Each(int passages) =>
        this with
        {
            Milliseconds = Milliseconds / passages,
            Low = Low / passages,
            High = High / passages,
        };

    /// <summary>For people: about 93 (46 to 190).</summary>
    [JsonIgnore]
    public string Range => string.Create(CultureInfo.InvariantCulture, $"about {Short(Milliseconds)} ({Short(Low)} to {Short(High)})");

    /// <summary>Two digits that mean something.</summary>
    private static string Short(double value) => value.ToString(value >= 10 ? "0" : "0.0", CultureInfo.InvariantCulture);
}
