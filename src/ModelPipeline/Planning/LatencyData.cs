using System.Text.Json;
using ModelPipeline.Core;
using ModelPipeline.Manifest;

namespace ModelPipeline.Planning;

/// <summary>The measurements that estimates rest on: those of others, which come with the program, and own ones beside
/// models.yaml.</summary>
internal static class LatencyData
{
    /// <summary>Relative to the folder of models.yaml.</summary>
    public const string OwnFile = "pipeline/latency/measured.jsonl";

    private const string PublicName = "latency/public.jsonl";

    /// <summary>Rows of a file are kept up to here; the oldest go.</summary>
    public const int MostRows = 2000;

    private const long MostBytes = 8 << 20;

    public static string PathFor(ModelsManifest manifest) => Path.Combine(Path.GetDirectoryName(manifest.Path)!, OwnFile);

    /// <summary>What others have measured.</summary>
    public static IReadOnlyList<LatencyRow> Public()
    {
        using var reader = new StreamReader(typeof(LatencyData).Assembly.GetManifestResourceStream(PublicName)!);
        return Parse(reader.ReadToEnd(), PublicName);
    }

    /// <summary>All rows: others' and those of a file of own ones, if it is there.</summary>
    /// <exception cref="PipelineException">A line is no measurement.</exception>
    public static IReadOnlyList<LatencyRow> Load(string path) => [.. Public(), .. Own(path)];

    /// <summary>Own rows; none without the file.</summary>
    public static IReadOnlyList<LatencyRow> Own(string path)
    {
        if (!File.Exists(path))
            return [];
        if (new FileInfo(path).Length > MostBytes)
            throw Wrong(path, 1, $"the file is larger than {MostBytes >> 20} MB");
        return [.. Parse(File.ReadAllText(path), path).Select(row => row with { Own = true })];
    }

    /// <summary>Adds rows to a file; a row replaces an older one of the same session and name.</summary>
    public static void Append(string path, IReadOnlyList<LatencyRow> rows)
    {
        if (rows.Count == 0)
            return;
        LatencyRow[] all =
        [
            .. Own(path).Where(old => !rows.Any(row => (row.Session, row.Name) == (old.Session, old.Name))),
            .. rows.Select(row => row with { Own = true }),
        ];
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        AtomicFile.DeleteRemains(path);
        AtomicFile.WriteText(path, string.Concat(all.TakeLast(MostRows).Select(row => ReportJson.Node(row).ToJsonString() + "\n")));
    }

    private static LatencyRow[] Parse(string text, string name) =>
        [
            .. text.Split('\n')
                .Index()
                .Where(line => line.Item.Length > 0)
                .Select(line =>
                {
                    try
                    {
                        return Checked(ReportJson.Parse<LatencyRow>(line.Item), name, line.Index + 1);
                    }
                    catch (JsonException failure)
                    {
                        throw Wrong(name, line.Index + 1, failure.Message);
                    }
                }),
        ];

    private static LatencyRow Checked(LatencyRow row, string name, int line)
    {
        if (!(row.Measured > 0) || !double.IsFinite(row.Ms))
            throw Wrong(name, line, "'ms' less 'host_ms' must be above 0");
        if ((row.Encoder is null) == (row.Operators is null))
            throw Wrong(name, line, "a row has either 'encoder' and 'tokens', or 'operators'");
        if (
            row.Encoder is { } encoder
            && (
                row.Tokens < 1 || row.Batch < 1 || encoder.Layers < 1 || encoder.Hidden < 1 || encoder.Heads < 1 || encoder.Intermediate < 1
            )
        )
            throw Wrong(name, line, "'tokens', 'batch' and the encoder's sizes must be above 0");
        if (
            row.Operators is { } operators
            && (operators.Count == 0 || operators.Any(work => work.Rows < 1 || work.Inner < 1 || work.Columns < 1 || work.Count < 1))
        )
            throw Wrong(name, line, "'operators' must be some, and their sizes above 0");
        if (row.Cores < 1 || row.Mhz <= 0)
            throw Wrong(name, line, "'cores' and 'mhz' must be above 0");
        if (!RateTable.TryFactor(row.Chip, out _))
            throw Wrong(name, line, $"chip '{row.Chip}' is none that times are estimated for: rk3588, rk3576, rk3566, rk3568");
        return row;
    }

    private static PipelineException Wrong(string name, int line, string what) =>
        new($"{name}:{line}: no measurement of a latency: {what}. Mend the line or delete it.", PipelineException.ConfigurationError);
}
