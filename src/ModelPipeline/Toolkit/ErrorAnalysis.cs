using System.Globalization;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using ModelPipeline.Core;

namespace ModelPipeline.Toolkit;

/// <summary>The table of the toolkit's accuracy_analysis: how far each tensor of the quantized model is from its fp32 value.</summary>
/// <param name="Layers">In order of execution.</param>
public sealed partial record ErrorAnalysis(IReadOnlyList<LayerError> Layers)
{
    /// <exception cref="PipelineException">There is no row in it.</exception>
    public static ErrorAnalysis Parse(string text)
    {
        LayerError[] layers = [.. ToolkitLog.Lines(text).Select(line => Row().Match(line)).Where(row => row.Success).Select(LayerError.Of)];
        return layers.Length > 0
            ? new ErrorAnalysis(layers)
            : throw new PipelineException(
                "The toolkit's error analysis has no table: expected rows such as '[Conv] name 0.99959 | 4.7940 0.99987 | 2.6438'. See "
                    + "the log beside the artifact."
            );
    }

    /// <summary>Tensors by the error of their own layer, the largest first. Layout operators only pass on what they read and are left
    /// out.</summary>
    public IReadOnlyList<LayerError> Worst(int count) =>
        [
            .. Layers
                .Where(layer => !layer.IsLayout)
                .OrderBy(layer => layer.SingleCosine)
                .ThenByDescending(layer => layer.SingleDistance)
                .Take(count),
        ];

    [GeneratedRegex(
        @"^\[(?<op>[^\]]+)\] +(?<name>\S+) +(?<ec>[-\d.enaif+]+) +\| +"
            + @"(?<ee>[-\d.enaif+]+) +(?<sc>[-\d.enaif+]+) +\| +(?<se>[-\d.enaif+]+) *$"
    )]
    private static partial Regex Row();
}

/// <summary>Error of one tensor. Cosines are 1 for equal directions; distances are Euclidean, in units of the tensor.</summary>
/// <param name="Operator">What computes it.</param>
/// <param name="Name">In the toolkit's optimised graph.</param>
/// <param name="EntireCosine">With the errors of all layers before it.</param>
/// <param name="EntireDistance">With the errors of all layers before it.</param>
/// <param name="SingleCosine">Of this layer alone.</param>
/// <param name="SingleDistance">Of this layer alone.</param>
[OneLine]
public sealed record LayerError(
    string Operator,
    string Name,
    double EntireCosine,
    double EntireDistance,
    double SingleCosine,
    double SingleDistance
)
{
    private static readonly HashSet<string> Layout = ["Input", "Reshape", "Transpose", "Slice", "exDataConvert"];

    [JsonIgnore]
    public bool IsLayout => Layout.Contains(Operator);

    internal static LayerError Of(Match row)
    {
        double Number(string group) =>
            double.TryParse(row.Groups[group].ValueSpan, CultureInfo.InvariantCulture, out var value) ? value : double.NaN;
        return new(row.Groups["op"].Value, row.Groups["name"].Value, Number("ec"), Number("ee"), Number("sc"), Number("se"));
    }
}
