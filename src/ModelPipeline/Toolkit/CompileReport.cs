using System.Globalization;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using ModelPipeline.Core;

namespace ModelPipeline.Toolkit;

/// <summary>What the toolkit's compiler says about a model in its verbose log. Cycles are 0 for operators that it does not model:
/// attention, norms, layout.</summary>
/// <param name="Compiler">Version of the compiler; null if the log ends before it.</param>
/// <param name="Complete">False if the log was cut before the end of the report.</param>
/// <param name="Layers">In order of execution.</param>
/// <param name="Features">Where activations lie in internal memory.</param>
/// <param name="Constants">Where weights lie in weight memory.</param>
/// <param name="InternalKb">Internal memory in KiB; null if the log ends before it.</param>
/// <param name="WeightKb">Weight memory in KiB; null if the log ends before it.</param>
public sealed partial record CompileReport(
    string? Compiler,
    bool Complete,
    IReadOnlyList<CompiledLayer> Layers,
    IReadOnlyList<PlacedTensor> Features,
    IReadOnlyList<PlacedTensor> Constants,
    double? InternalKb,
    double? WeightKb
)
{
    /// <summary>Cycles of all layers: at least one inference.</summary>
    public long Cycles => Layers.Sum(layer => layer.Cycles);

    /// <summary>Memory read and written by all layers, in KiB an inference; the embedding table counts once as a whole.</summary>
    public long TrafficKb => Layers.Sum(layer => layer.TrafficKb);

    /// <summary>Attentions that are one operator of the NPU's.</summary>
    [JsonIgnore]
    public int FusedAttentions => Layers.Count(layer => layer.Operator.Contains("SDPAttention", StringComparison.Ordinal));

    /// <summary>Attentions that were left as products around a softmax.</summary>
    [JsonIgnore]
    public int OpenAttentions => Layers.Count(layer => layer.Operator.Contains("Softmax", StringComparison.OrdinalIgnoreCase));

    /// <summary>Operators that fell back to the CPU, sorted.</summary>
    public IReadOnlyList<string> CpuOperators =>
        [.. Layers.Where(layer => layer.Target == "CPU").Select(layer => layer.Operator).Distinct().Order(StringComparer.Ordinal)];

    /// <summary>What a log that was cut lacks, for people.</summary>
    [JsonIgnore]
    public string Missing =>
        string.Join(
            " and ",
            [
                .. Layers.Count == 0 ? ["no table of layers"] : Array.Empty<string>(),
                .. InternalKb is null ? ["no internal memory size"] : Array.Empty<string>(),
                .. WeightKb is null ? ["no weight memory size"] : Array.Empty<string>(),
            ]
        );

    /// <summary>Reads a log as far as it goes. Of several reports in one log, as a hybrid build may print, the last counts.</summary>
    public static CompileReport Parse(string log)
    {
        string? compiler = null;
        double? internalKb = null,
            weightKb = null;
        List<CompiledLayer> layers = [];
        List<PlacedTensor> features = [],
            constants = [];
        var table = Table.None;
        foreach (var line in ToolkitLog.Lines(log))
        {
            if (line.Contains("Information Table", StringComparison.Ordinal))
            {
                table = Titles.FirstOrDefault(each => line.Contains(each.Title, StringComparison.Ordinal)).Table;
                if (table == Table.Layers)
                    (layers, features, constants, internalKb, weightKb) = ([], [], [], null, null);
            }
            else if (table == Table.Layers && LayerRow().Match(line) is { Success: true } layer)
                layers.Add(CompiledLayer.Of(layer));
            else if (table is Table.Features or Table.Constants && TensorRow().Match(line) is { Success: true } tensor)
                (table == Table.Features ? features : constants).Add(PlacedTensor.Of(tensor));
            else if (Total().Match(line) is { Success: true } total)
            {
                var kb = double.Parse(total.Groups["kb"].ValueSpan, CultureInfo.InvariantCulture);
                if (total.Groups["what"].ValueSpan is "Internal")
                    internalKb = kb;
                else
                    weightKb = kb;
            }
            else if (Version().Match(line) is { Success: true } version)
                compiler = version.Groups[1].Value;
        }
        return new CompileReport(
            compiler,
            layers.Count > 0 && internalKb is not null && weightKb is not null,
            layers,
            features,
            constants,
            internalKb,
            weightKb
        );
    }

    private enum Table
    {
        None,
        Layers,
        Features,
        Constants,
    }

    private static readonly (string Title, Table Table)[] Titles =
    [
        ("Network Layer", Table.Layers),
        ("Feature Tensor", Table.Features),
        ("Const Tensor", Table.Constants),
    ];

    [GeneratedRegex(
        @"\] (?<id>\d{1,9}) +(?<op>\S+) +(?<type>\S+) +(?<target>CPU|NPU|GPU) +(?<in>\S+) +(?<out>\S+) +"
            + @"(?<ddr>\d{1,18})/(?<npu>\d{1,18})/(?<total>\d{1,15}) +(?<rw>\d{1,15}) +(?<name>\S.*)$"
    )]
    private static partial Regex LayerRow();

    [GeneratedRegex(
        @"\] (?<id>\d{1,9}) +(?<op>\S+) +(?<tensor>\S+) +(?<type>\S+) +(?:(?<format>[A-Z]\S*) +)?(?<shape>\(\S*\)) +"
            + @"(?:(?<native>\(\S*\)) +)?\| 0x(?<start>[0-9a-f]{8,16})[ *]0x[0-9a-f]{8,16} 0x(?<size>[0-9a-f]{8,15})\b"
    )]
    private static partial Regex TensorRow();

    [GeneratedRegex(@"Total (?<what>Internal|Weight) Memory Size: (?<kb>\d{1,15}(?:\.\d{1,9})?(?:e[+]?\d{1,2})?)KB")]
    private static partial Regex Total();

    [GeneratedRegex(@"librknnc version: (\S+)")]
    private static partial Regex Version();
}

/// <summary>One row of the compiler's table of layers.</summary>
/// <param name="Id">Position in the order of execution.</param>
/// <param name="Operator">The compiler's name: Conv, ConvExGelu, exNorm, exSDPAttention, Gather ...</param>
/// <param name="Type">Element type as the compiler writes it: INT8, FLOAT16, INT64 ...</param>
/// <param name="Target">CPU, NPU or GPU.</param>
/// <param name="Inputs">Shapes as printed, the first few.</param>
/// <param name="Output">Shape as printed.</param>
/// <param name="DdrCycles">Cycles that memory needs.</param>
/// <param name="NpuCycles">Cycles that arithmetic needs.</param>
/// <param name="Cycles">The larger of both.</param>
/// <param name="TrafficKb">Read and written, KiB.</param>
/// <param name="Name">Operator and node name.</param>
[OneLine]
public sealed record CompiledLayer(
    int Id,
    string Operator,
    string Type,
    string Target,
    string Inputs,
    string Output,
    long DdrCycles,
    long NpuCycles,
    long Cycles,
    long TrafficKb,
    string Name
)
{
    internal static CompiledLayer Of(Match row)
    {
        long Number(string group) => long.Parse(row.Groups[group].ValueSpan, CultureInfo.InvariantCulture);
        string Text(string group) => row.Groups[group].Value.TrimEnd();
        return new(
            (int)Number("id"),
            Text("op"),
            Text("type"),
            Text("target"),
            Text("in"),
            Text("out"),
            Number("ddr"),
            Number("npu"),
            Number("total"),
            Number("rw"),
            Text("name")
        );
    }
}

/// <summary>One row of the compiler's memory tables.</summary>
/// <param name="Layer">Id of the layer that reads it.</param>
/// <param name="Operator">Of that layer.</param>
/// <param name="Name">The tensor.</param>
/// <param name="Type">Element type as the compiler writes it.</param>
/// <param name="Format">NCHW, NC1HWC2, UNDEFINED; null for constants.</param>
/// <param name="Shape">As printed.</param>
/// <param name="Start">Offset in bytes.</param>
/// <param name="Size">Bytes.</param>
[OneLine]
public sealed record PlacedTensor(int Layer, string Operator, string Name, string Type, string? Format, string Shape, long Start, long Size)
{
    internal static PlacedTensor Of(Match row)
    {
        long Hex(string group) => long.Parse(row.Groups[group].ValueSpan, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
        return new(
            int.Parse(row.Groups["id"].ValueSpan, CultureInfo.InvariantCulture),
            row.Groups["op"].Value,
            row.Groups["tensor"].Value,
            row.Groups["type"].Value,
            row.Groups["format"] is { Success: true } format ? format.Value : null,
            row.Groups["shape"].Value,
            Hex("start"),
            Hex("size")
        );
    }
}
