using System.Globalization;
using ModelPipeline.Decision;
using ModelPipeline.Latency;

namespace ModelPipeline.Reports;

/// <summary>The charts of the report's part on latency.</summary>
internal static class LatencyCharts
{
    private const int Bins = 40;

    /// <summary>How long the corpus' passages are, and up to where each shape takes them.</summary>
    public static string Lengths(IReadOnlyList<int> tokens, IReadOnlyList<LengthBucket> buckets)
    {
        var range = Axis.Around("tokens of query and passage", [0, tokens.Max(), buckets[^1].MaxTokens]);
        var counts = new int[Bins];
        foreach (var length in tokens)
            counts[Math.Min((int)(length / range.Max * Bins), Bins - 1)]++;
        var plot = new Plot(range, Axis.Around("passages", 0, counts.Max() * 1.1));
        var width = range.Max / Bins;
        for (var bin = 0; bin < Bins; bin++)
            plot.Bar(bin * width >= buckets[^1].MaxTokens ? "loss" : "variant", bin * width, 0, (bin + 0.9) * width, counts[bin]);
        foreach (var bucket in buckets)
        {
            plot.Line("guide", bucket.MaxTokens, 0, bucket.MaxTokens, counts.Max() * 1.1);
            plot.Note(
                "tick end",
                bucket.MaxTokens,
                counts.Max() * 1.1,
                $"{bucket.MaxTokens}: {(100 * bucket.Share).ToString("F0", CultureInfo.InvariantCulture)} %",
                shiftX: -3,
                shiftY: 14
            );
        }
        return plot.Render(
            $"Lengths of {tokens.Count.ToString("N0", CultureInfo.InvariantCulture)} passages with their queries; lines mark the shapes "
                + $"with the share that each takes"
        );
    }

    /// <summary>A bar to the median and a line to the 95th percentile for each artifact, passages in sequence.</summary>
    public static string Passages(IReadOnlyList<ArtifactLatency> artifacts) =>
        Bars(
            "p50 a passage, ms",
            "Passage latency in sequence: bars end at p50, lines at p95",
            [
                .. artifacts.Select(artifact =>
                    (
                        LatencySection.Name(artifact),
                        artifact.Variant == "fp32",
                        artifact.Sequential!.Passage.Figures.P50.Value,
                        artifact.Sequential.Passage.Figures.P95.Value
                    )
                ),
            ]
        );

    /// <summary>Likewise of requests under the fastest core plan.</summary>
    public static string Requests(IReadOnlyList<ArtifactLatency> artifacts, int passages) =>
        Bars(
            $"p50 for {passages} passages, ms",
            $"Latency of {passages} passages under the fastest core plan: bars end at p50, lines at p95",
            [
                .. artifacts.Select(artifact =>
                    (
                        $"{LatencySection.Name(artifact)} {artifact.Fastest!.Plan}",
                        artifact.Variant == "fp32",
                        artifact.Fastest.Request.Figures.P50.Value,
                        artifact.Fastest.Request.Figures.P95.Value
                    )
                ),
            ]
        );

    /// <summary>What buckets save: the expected request beside the one with every passage at the largest shape, by core plan.</summary>
    public static string Buckets(VariantRouting routing, int passages) =>
        Bars(
            $"mean for {passages} passages, ms",
            $"{routing.Variant}: {passages} passages expected by length bucket, and all at the largest shape",
            [
                .. routing.Expected.SelectMany(expected =>
                    new[]
                    {
                        ($"{expected.Plan}, by length", false, expected.RequestMs, expected.RequestMs),
                        ($"{expected.Plan}, largest", true, expected.LargestRequestMs, expected.LargestRequestMs),
                    }
                ),
            ]
        );

    private static string Bars(string label, string caption, IReadOnlyList<(string Name, bool Reference, double Value, double Upper)> rows)
    {
        var plot = new Plot(
            Axis.Around(label, [0, .. rows.Select(row => row.Upper)]),
            new(0, Math.Max(rows.Count, 1), "") { Hidden = true }
        );
        foreach (var (i, (name, reference, value, upper)) in rows.Index())
        {
            var y = rows.Count - i;
            plot.Bar(reference ? "reference" : "variant", 0, y - 0.5, value, y - 0.85);
            plot.Line("axis", value, y - 0.675, upper, y - 0.675);
            plot.Note("tick", 0, y - 0.5, $"{name}  {value.ToString("F1", CultureInfo.InvariantCulture)}", shiftX: 3, shiftY: -3);
        }
        return plot.Render(caption);
    }
}
