using System.Globalization;
using ModelPipeline.Core;

namespace ModelPipeline.Manifest;

/// <summary>What the environment or the command line changes for one run. Null leaves the file's word.</summary>
/// <param name="Quantize">True keeps only the int8 (w8a8) variants, false only the fp16 ones.</param>
/// <param name="CalibrationSamples">Calibration samples of every model, 1 to 100,000.</param>
/// <param name="RegenerateDataset">Make calibration sets again even if they are up to date.</param>
/// <param name="ForceConvert">Build artifacts again even if they are up to date.</param>
/// <param name="MeasureAgain">Measure latency again even if nothing has changed since.</param>
public sealed record ManifestOverrides(
    bool? Quantize = null,
    int? CalibrationSamples = null,
    bool? RegenerateDataset = null,
    bool? ForceConvert = null,
    bool? MeasureAgain = null
)
{
    internal const int MaxSamples = 100_000;

    /// <summary>From QUANTIZE, CALIBRATION_SAMPLES, REGENERATE_DATASET, FORCE_CONVERT and MEASURE_AGAIN; unset and empty ones change
    /// nothing.</summary>
    /// <exception cref="PipelineException">A value is not 0, 1, true or false, or not a number in range.</exception>
    public static ManifestOverrides FromEnvironment(Func<string, string?> variable) =>
        Read(
            name => variable(name) is { Length: > 0 } value ? value : null,
            new("QUANTIZE", "CALIBRATION_SAMPLES", "REGENERATE_DATASET", "FORCE_CONVERT", "MEASURE_AGAIN")
        );

    /// <summary>From --quantize=, --calibration-samples=, --regenerate-dataset, --force-convert and --measure-again.</summary>
    /// <param name="argument">The value of an argument by its name without dashes; null if absent, empty if given without a value, which
    /// means true.</param>
    /// <exception cref="PipelineException">As <see cref="FromEnvironment"/>.</exception>
    public static ManifestOverrides FromArguments(Func<string, string?> argument) =>
        Read(
            name => argument(name["--".Length..]) is "" ? "true" : argument(name["--".Length..]),
            new("--quantize", "--calibration-samples", "--regenerate-dataset", "--force-convert", "--measure-again")
        );

    /// <summary>These overrides, and <paramref name="lower"/>'s where these are silent.</summary>
    public ManifestOverrides Over(ManifestOverrides lower) =>
        new(
            Quantize ?? lower.Quantize,
            CalibrationSamples ?? lower.CalibrationSamples,
            RegenerateDataset ?? lower.RegenerateDataset,
            ForceConvert ?? lower.ForceConvert,
            MeasureAgain ?? lower.MeasureAgain
        );

    /// <summary>What the overrides are called where they stand.</summary>
    private sealed record Names(string Quantize, string Samples, string Regenerate, string Force, string Again);

    private static ManifestOverrides Read(Func<string, string?> get, Names names)
    {
        return new(Flag(names.Quantize), Number(names.Samples), Flag(names.Regenerate), Flag(names.Force), Flag(names.Again));

        bool? Flag(string name) =>
            get(name)?.ToLowerInvariant() switch
            {
                null => null,
                "1" or "true" => true,
                "0" or "false" => false,
                _ => throw Wrong(name, "0, 1, true or false"),
            };

        int? Number(string name) =>
            get(name) switch
            {
                null => null,
                { } text
                    when int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var value)
                        && value is >= 1 and <= MaxSamples => value,
                _ => throw Wrong(name, $"a whole number from 1 to {MaxSamples}"),
            };

        PipelineException Wrong(string name, string expected) =>
            new($"{name}: '{get(name)}' is not {expected}", PipelineException.ConfigurationError);
    }
}
