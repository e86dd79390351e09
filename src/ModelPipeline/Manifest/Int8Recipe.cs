using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Serialization;

namespace ModelPipeline.Manifest;

/// <summary>What makes one int8 of a model another: all that Search chooses of a variant, and what models.lock.json keeps of its
/// choice.</summary>
public sealed record Int8Recipe
{
    /// <inheritdoc cref="VariantSpec.Rewrites"/>
    public required IReadOnlyList<string> Rewrites { get; init; }

    /// <inheritdoc cref="VariantSpec.Fp16"/>
    public required IReadOnlyList<string> Fp16 { get; init; }
    public required QuantizationAlgorithm Algorithm { get; init; }
    public required QuantizationMethod Method { get; init; }

    /// <inheritdoc cref="VariantSpec.Clip"/>
    public required RangeClip Clip { get; init; }

    public static Int8Recipe Of(VariantSpec variant) =>
        new()
        {
            Rewrites = variant.Rewrites,
            Fp16 = variant.Fp16,
            Algorithm = variant.Algorithm,
            Method = variant.Method,
            Clip = variant.Clip,
        };

    /// <summary>The variant built so; one file for several shapes only where the toolkit can make that of the recipe.</summary>
    public VariantSpec Over(VariantSpec variant)
    {
        var made = variant with { Rewrites = Rewrites, Fp16 = Fp16, Algorithm = Algorithm, Method = Method, Clip = Clip };
        return made with { OneFile = made.OneFile && !made.IsHybrid };
    }

    /// <summary>All of it in one line; equal recipes have equal lines.</summary>
    [JsonIgnore]
    public string Text => $"{Joined(Rewrites)}; fp16 {Joined(Fp16)}; ranges {Word(Clip)}; {Word(Algorithm)}; by {Word(Method)}";

    /// <summary>Name of its files, 16 hex digits.</summary>
    [JsonIgnore]
    internal string Id => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(Text)))[..16];

    public bool Equals(Int8Recipe? other) => Text == other?.Text;

    public override int GetHashCode() => Text.GetHashCode(StringComparison.Ordinal);

    private static string Joined(IReadOnlyList<string> names) => names.Count == 0 ? "none" : string.Join('+', names);

    private static string Word(RangeClip clip) =>
        clip switch
        {
            RangeClip.OutputError => "output-error",
            RangeClip.Mse => "mse",
            RangeClip.None => "none",
        };

    private static string Word(QuantizationAlgorithm algorithm) =>
        algorithm switch
        {
            QuantizationAlgorithm.Normal => "normal",
            QuantizationAlgorithm.KlDivergence => "kl_divergence",
            QuantizationAlgorithm.Mmse => "mmse",
        };

    private static string Word(QuantizationMethod method) =>
        method switch
        {
            QuantizationMethod.Channel => "channel",
            QuantizationMethod.Layer => "layer",
        };
}

/// <summary>What Search looks for in a variant's place, and within what; null allows anything.</summary>
public sealed record SearchSpec
{
    /// <summary>Name of the metric to make as good as can be; null for what the task is steadiest in.</summary>
    public string? Maximise { get; init; }

    /// <summary>Largest file, 10^6 bytes.</summary>
    public double? MaxMb { get; init; }

    /// <summary>Longest estimated time of a passage.</summary>
    public double? MaxLatencyMs { get; init; }

    /// <summary>Least Kendall's tau to fp32, of rerankers.</summary>
    public double? MinTau { get; init; }

    /// <summary>Least mean cosine to fp32, of embedders.</summary>
    public double? MinCosine { get; init; }

    /// <summary>That the whole search may take: the emulation ends early enough for what is to be built after it.</summary>
    public double Minutes { get; init; } = 18;

    /// <summary>Recipes that are built as the variant's backend builds, to be confirmed; the variant as it is written comes on
    /// top.</summary>
    public int Builds { get; init; } = 3;

    /// <summary>Numbers of channels that hidden-split is tried with.</summary>
    public IReadOnlyList<int> Channels { get; init; } = [16, 32];

    public IReadOnlyList<QuantizationAlgorithm> Algorithms { get; init; } =
    [QuantizationAlgorithm.Normal, QuantizationAlgorithm.KlDivergence];

    public IReadOnlyList<QuantizationMethod> Methods { get; init; } = [QuantizationMethod.Channel];
}
