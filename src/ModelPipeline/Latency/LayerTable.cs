using System.Globalization;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Planning;

namespace ModelPipeline.Latency;

/// <summary>The table of layers that a board's runtime writes of one run. It comes from the board and is not trusted: what cannot be read
/// is left out.</summary>
/// <param name="Layers">In order of execution; at least one.</param>
/// <param name="Unread">Numbered lines that could not be read.</param>
internal sealed record LayerTable(IReadOnlyList<TimedLayer> Layers, int Unread)
{
    private const int MostLayers = 20_000,
        MostShown = 60;

    private static readonly string[] Needed = ["ID", "OpType", "DataType", "Target", "InputShape", "OutputShape", "Time(us)"];

    /// <summary>Reads a table wherever it begins, its columns in any order. No value up to the time has a space in it, in any version that
    /// was seen (1.5.2) or described (2.x).</summary>
    /// <exception cref="PipelineException">It has no such columns, or no line that can be read.</exception>
    public static LayerTable Parse(string text)
    {
        string[] lines = text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        var header = lines.FirstOrDefault(line => line.Contains("OpType", StringComparison.Ordinal));
        // "DDR Cycles" is the name of one column.
        var columns = Words((header ?? "").Replace(" Cycles ", "Cycles ", StringComparison.Ordinal));
        int[] places = [.. Needed.Select(name => Array.IndexOf(columns, name))];
        if (Array.IndexOf(places, -1) is >= 0 and var missing)
            throw Wrong($"has no column '{Needed[missing]}'", header ?? text);
        var numbered = lines.Select(Words).Where(words => words.Length > places[0] && IsNumber(words[places[0]])).Take(MostLayers).ToList();
        TimedLayer[] layers = [.. numbered.Select(words => TimedLayer.Of(words, places)).OfType<TimedLayer>()];
        return layers.Length > 0
            ? new(layers, numbered.Count - layers.Length)
            : throw Wrong("has no line that can be read", numbered.Count > 0 ? string.Join(' ', numbered[0]) : text);
    }

    private static string[] Words(string line) => line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);

    private static bool IsNumber(string word) => word.All(char.IsAsciiDigit);

    /// <param name="what">Is wrong with it.</param>
    /// <param name="where">The line, of which the beginning is shown.</param>
    private static PipelineException Wrong(string what, string where)
    {
        var words = string.Join(' ', Words(where[..Math.Min(where.Length, 4 * MostShown)]));
        return new($"the runtime's table of layers {what}: '{words[..Math.Min(words.Length, MostShown)]}'");
    }
}

/// <summary>One layer of a run.</summary>
/// <param name="Type">The runtime's name: Conv, ConvExGelu, exNorm, exSDPAttention, Gather ...</param>
/// <param name="DataType">As the runtime writes it: INT8, FLOAT16, INT64 ...</param>
/// <param name="Target">NPU, CPU or GPU.</param>
/// <param name="Inputs">Shapes; each size at least 1.</param>
/// <param name="Outputs">Shapes.</param>
/// <param name="Microseconds">0 or more.</param>
internal sealed record TimedLayer(
    string Type,
    string DataType,
    string Target,
    IReadOnlyList<long[]> Inputs,
    IReadOnlyList<long[]> Outputs,
    double Microseconds
)
{
    private const int LongestWord = 64,
        MostTensors = 64;
    private const double MostMicroseconds = 1e9,
        MostElements = 1e12;

    /// <summary>What moves or converts tensors; estimates take no time for it.</summary>
    private static readonly HashSet<string> Layout =
    [
        "Cast",
        "Concat",
        "exDataConvert",
        "Expand",
        "Flatten",
        "Identity",
        "Pad",
        "Reshape",
        "Slice",
        "Split",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    ];

    /// <summary>Of the words of a line; null if one of them cannot be.</summary>
    /// <param name="words">At spaces.</param>
    /// <param name="places">Of ID, type, data type, target, inputs, outputs and time.</param>
    public static TimedLayer? Of(string[] words, int[] places) =>
        places.Max() < words.Length
        && Shapes(words[places[4]]) is { } inputs
        && Shapes(words[places[5]]) is { } outputs
        && double.TryParse(words[places[6]], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var time)
        && time <= MostMicroseconds
        && places[1..4].All(place => words[place].Length <= LongestWord)
            ? new(words[places[1]], words[places[2]], words[places[3]], inputs, outputs, time)
            : null;

    public OperatorClass Class =>
        Type switch
        {
            _ when Type.Contains("Gather", StringComparison.Ordinal) => OperatorClass.Gather,
            _ when Target != "NPU" => OperatorClass.Host,
            _ when Type.Contains("SDPAttention", StringComparison.Ordinal) => OperatorClass.Attention,
            _ when Type.StartsWith("Conv", StringComparison.Ordinal) || Type.Contains("MatMul", StringComparison.Ordinal) =>
                OperatorClass.Linear,
            _ when Type.Contains("Norm", StringComparison.Ordinal) => OperatorClass.Norm,
            _ => OperatorClass.Elementwise,
        };

    /// <summary>Of weights and activations; null for what estimates do not know.</summary>
    public static Precision? PrecisionOf(string dataType) =>
        dataType switch
        {
            "INT8" => Precision.W8A8,
            "FLOAT16" => Precision.Fp16,
            _ => null,
        };

    /// <summary>What it has to do, as estimates count it; null where they take no time for it, or the shapes do not tell. Channels are the
    /// second of four axes, tokens the last.</summary>
    public OperatorWork? Work()
    {
        if (PrecisionOf(DataType) is null || Layout.Contains(Type) || Outputs is not [var output, ..])
            return null;
        var elements = output.Aggregate(1L, (product, size) => product * size);
        var columns = output.Length == 4 && Target == "NPU" ? output[1] : output[^1];
        return Class switch
        {
            OperatorClass.Attention => output is [var heads, var width, 1, var tokens] ? new(Class, heads, tokens, width) : null,
            OperatorClass.Linear => Product(output),
            OperatorClass.Norm or OperatorClass.Elementwise or OperatorClass.Gather => new(Class, elements / columns, 1, columns),
            OperatorClass.Host => null,
        };
    }

    /// <summary>Of a weight, or of two computed tensors that have a head on the first axis and what is summed on the second.</summary>
    private OperatorWork? Product(long[] output) =>
        (Inputs, output) switch
        {
            ([_, [var outputs, var inner, 1, 1], ..], [var batch, var columns, var height, var width]) when outputs == columns => new(
                OperatorClass.Linear,
                batch * height * width,
                inner,
                columns
            )
            {
                Gelu = Type.Contains("Gelu", StringComparison.Ordinal),
            },
            ([[var heads, var inner, 1, _], [var others, var same, 1, _], ..], [var each, var columns, 1, var rows])
                when heads == others && heads == each && inner == same => new(OperatorClass.Linear, heads * rows, inner, columns)
            {
                Dynamic = true,
            },
            _ => null,
        };

    /// <summary>As (1,128),(2,384); a backslash stands for none. Null if it is something else, or of more elements than there can
    /// be.</summary>
    private static IReadOnlyList<long[]>? Shapes(string text)
    {
        if (text == "\\")
            return [];
        if (text is not ['(', .. var inner, ')'])
            return null;
        long[][] shapes = [.. inner.Split("),(").Select(shape => shape.Split(',').Select(Size).ToArray())];
        return
            shapes.Length <= MostTensors
            && shapes.All(shape => shape.Aggregate(1.0, (product, size) => product * size) is >= 1 and <= MostElements)
            ? shapes
            : null;
    }

    /// <summary>0 if it is no size.</summary>
    private static long Size(string text) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var size) ? size : 0;
}
