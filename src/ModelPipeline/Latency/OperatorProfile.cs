using System.Globalization;
using System.Text.Json.Serialization;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Planning;

namespace ModelPipeline.Latency;

/// <summary>Equal operators of an artifact.</summary>
/// <param name="Type">The runtime's name: Conv, exNorm ...</param>
/// <param name="DataType">As the runtime writes it: INT8, FLOAT16 ...</param>
/// <param name="Target">NPU, CPU or GPU.</param>
/// <param name="Class">Elementwise also for what moves and converts tensors, host for what is not on the NPU.</param>
/// <param name="Count">How many there are.</param>
/// <param name="Ms">Of all of them in one run: each one's median over the runs.</param>
[OneLine]
public sealed record ProfiledOperator(string Type, string DataType, string Target, OperatorClass Class, int Count, double Ms)
{
    /// <summary>What all of them have to do; null where estimates take no time for it, or the shapes do not tell.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public OperatorWork? Work { get; init; }

    /// <summary>Estimated before these times were known; null without <see cref="Work"/>, and of chips that nobody measured.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? ExpectedMs { get; init; }

    /// <summary>Null for what estimates do not know.</summary>
    [JsonIgnore]
    internal Precision? Precision => TimedLayer.PrecisionOf(DataType);
}

/// <summary>All operators of a class.</summary>
/// <param name="Class">Which.</param>
/// <param name="Count">How many there are.</param>
/// <param name="Ms">Of all of them.</param>
/// <param name="Share">Of the time of all classes, 0 to 1.</param>
/// <param name="ExpectedMs">Estimated for those that estimates take time for; null if there are none.</param>
/// <param name="Targets">How many run where, the most first.</param>
public sealed record ClassTime(
    OperatorClass Class,
    int Count,
    double Ms,
    double Share,
    double? ExpectedMs,
    IReadOnlyList<KeyValuePair<string, int>> Targets
);

/// <summary>What the operators of an artifact take by the runtime's own table. Under it each is a job of its own, so their sum is above
/// what a run takes.</summary>
/// <param name="Emulated">No NPU took these times: shapes and targets are right, times mean nothing.</param>
/// <param name="Unread">Lines of the table that could not be read.</param>
/// <param name="Operators">In order of execution.</param>
public sealed record OperatorProfile(bool Emulated, int Unread, IReadOnlyList<ProfiledOperator> Operators)
{
    /// <summary>The table has whole microseconds: of a shorter operator, their rounding and the start of its job are too large a part for a
    /// rate.</summary>
    private const double LeastMicroseconds = 20;

    /// <summary>Milliseconds of one run.</summary>
    [JsonIgnore]
    public double Ms => Operators.Sum(each => each.Ms);

    /// <summary>The longest first.</summary>
    [JsonIgnore]
    public IReadOnlyList<ClassTime> Classes =>
        [
            .. Operators
                .GroupBy(each => each.Class)
                .Select(group => new ClassTime(
                    group.Key,
                    group.Sum(each => each.Count),
                    group.Sum(each => each.Ms),
                    Ms > 0 ? group.Sum(each => each.Ms) / Ms : 0,
                    group.Any(each => each.ExpectedMs is not null) ? group.Sum(each => each.ExpectedMs) : null,
                    [
                        .. group
                            .GroupBy(each => each.Target, each => each.Count)
                            .Select(on => KeyValuePair.Create(on.Key, on.Sum()))
                            .OrderByDescending(on => on.Value),
                    ]
                ))
                .OrderByDescending(each => each.Ms),
        ];

    /// <summary>As: attention 62 %, linear 25 %.</summary>
    [JsonIgnore]
    public string Shares =>
        string.Join(
            ", ",
            Classes
                .Where(each => each.Share >= 0.005)
                .Select(each => string.Create(CultureInfo.InvariantCulture, $"{Word(each.Class)} {100 * each.Share:F0} %"))
        );

    public static string Word(OperatorClass each) => each.ToString().ToLowerInvariant();

    /// <param name="tables">Of one artifact, at least one; those that a cut made shorter than the longest count for nothing.</param>
    /// <param name="emulated">As above.</param>
    internal static OperatorProfile Of(IReadOnlyList<LayerTable> tables, bool emulated)
    {
        var longest = tables.MaxBy(table => table.Layers.Count)!;
        LayerTable[] whole = [.. tables.Where(table => table.Layers.Count == longest.Layers.Count)];
        return new(
            emulated,
            longest.Unread,
            [
                .. longest
                    .Layers.Select(
                        (layer, index) =>
                            (Layer: layer, Work: layer.Work(), Time: Median(whole.Select(table => table.Layers[index].Microseconds)))
                    )
                    .GroupBy(each => (each.Layer.Type, each.Layer.DataType, each.Layer.Target, each.Layer.Class, each.Work))
                    .Select(group => new ProfiledOperator(
                        group.Key.Type,
                        group.Key.DataType,
                        group.Key.Target,
                        group.Key.Class,
                        group.Count(),
                        Math.Round(group.Sum(each => each.Time) / 1000, 6)
                    )
                    {
                        Work = group.Key.Work is { } work ? work with { Count = group.Count() } : null,
                    }),
            ]
        );
    }

    /// <summary>With what was expected of each.</summary>
    /// <param name="estimate">Milliseconds of some work in a precision; null if nothing is known.</param>
    internal OperatorProfile Expecting(Func<OperatorWork, Precision, double?> estimate) =>
        this with
        {
            Operators =
            [
                .. Operators.Select(each =>
                    each with
                    {
                        ExpectedMs = each is { Work: { } work, Precision: { } precision } ? estimate(work, precision) : null,
                    }
                ),
            ],
        };

    /// <summary>Measurements of single operators; none if it is emulated. What the host does besides gathers is left to the model's own
    /// row: as jobs of their own, its parts do not add up to it.</summary>
    /// <param name="run">The model's.</param>
    internal IEnumerable<LatencyRow> Rows(LatencyRow run) =>
        from each in Operators
        where !Emulated && each.Work is not null && each.Precision is not null && 1000 * each.Ms >= LeastMicroseconds * each.Count
        select run with
        {
            Name = $"{run.Name} {each.Type} {each.DataType} {each.Work!.Rows}x{each.Work.Inner}x{each.Work.Columns}",
            Precision = each.Precision!.Value,
            Ms = each.Ms,
            HostMs = 0,
            Operators = [each.Work],
        };

    private static double Median(IEnumerable<double> times) => LatencyFigures.Percentile([.. times.Order()], 50);
}
