using System.Globalization;
using ModelPipeline.Latency;
using ModelPipeline.Manifest;
using Spectre.Console;

namespace Build;

/// <summary>Latency of one model on one device: every artifact under every core plan, and what length buckets give.</summary>
internal static class LatencyTable
{
    public static void Print(LatencyReport report)
    {
        var table = new Table()
            .RoundedBorder()
            .Title(Markup.Escape($"Latency of {report.Model} on {report.Device}, ms"))
            .Caption(
                Markup.Escape(
                    report.OnDevice
                        ? "In brackets the 95 % interval of the mean. x fp32: ratio of the medians. sim: by a simulator, no figure of a "
                            + "device."
                        : "sim: by the simulator. All of it on this machine: none of it is a figure of a device."
                )
            );
        table.AddColumn("Artifact", column => column.NoWrap());
        table.AddColumn("Core plan", column => column.NoWrap());
        foreach (var name in new[] { "p50", "p95", "p99", "mean", $"{report.Passages} passages", "x fp32" })
            table.AddColumn(name, column => column.RightAligned().NoWrap());
        foreach (var artifact in report.Reference.Concat(report.Artifacts))
            Rows(table, artifact);
        AnsiConsole.Write(table);
        foreach (var artifact in report.Reference.Where(artifact => artifact.Batch > 1))
            Console.WriteLine($"  {artifact.Shape}: times are a passage's share of a run of {artifact.Batch}");
        foreach (var artifact in report.Artifacts)
        {
            if (artifact.Operators is { } operators)
                Console.WriteLine(Operators($"{artifact.Variant} {artifact.Shape}", operators));
        }
        foreach (var plan in report.Buckets.Where(plan => plan.Buckets.Count > 1))
            Console.WriteLine(Buckets(plan, report));
    }

    private static void Rows(Table table, ArtifactLatency artifact)
    {
        var name = Markup.Escape($"{artifact.Variant} {artifact.Shape}");
        if (artifact.Plans.Count == 0)
            table.AddRow(name, "[yellow]not measured[/]", "", "", "", "", "", "");
        foreach (var (i, plan) in artifact.Plans.Index())
        {
            var passage = plan.Passage.Figures;
            table.AddRow(
                i == 0 ? name : "",
                plan.Plan,
                Number(passage.P50.Value),
                Number(passage.P95.Value),
                Number(passage.P99.Value),
                $"{Number(passage.Mean.Value)} ({Number(passage.Mean.Low)}-{Number(passage.Mean.High)})",
                Number(plan.Request.Figures.Mean.Value),
                i == 0 && artifact.RatioToFp32 is { } ratio
                    ? ratio.ToString("F2", CultureInfo.InvariantCulture) + Mark(artifact)
                    : Mark(artifact).Trim()
            );
        }
    }

    private static string Operators(string name, OperatorProfile profile) =>
        string.Create(CultureInfo.InvariantCulture, $"  {name} by operator: {profile.Shares} of {Number(profile.Ms)} ms")
        + (profile.Emulated ? "; emulated, these times mean nothing" : "");

    private static string Mark(ArtifactLatency artifact) => artifact.OnDevice || artifact.Backend == Backend.Onnx ? "" : " sim";

    private static string Buckets(BucketPlan plan, LatencyReport report)
    {
        var shares = string.Join(
            ", ",
            plan.Buckets.Select(bucket => string.Create(CultureInfo.InvariantCulture, $"{bucket.Share:P1} at {bucket.MaxTokens}"))
        );
        var cut =
            plan.Truncation.Passages == 0
                ? "none cut"
                : string.Create(
                    CultureInfo.InvariantCulture,
                    $"{plan.Truncation.Share:P1} cut by {plan.Truncation.MeanTokensCut:F0} tokens"
                );
        return $"  {plan.Variant}: {shares} tokens, {cut}"
            + (
                plan.Fastest is not { } expected
                    ? ""
                    : string.Create(
                        CultureInfo.InvariantCulture,
                        $"; {expected.PassageMs:F1} ms a passage instead of {expected.LargestPassageMs:F1}, {expected.RequestMs:F1} ms "
                            + $"for {report.Passages} ({expected.Plan}) instead of {expected.LargestRequestMs:F1}"
                    ) + (plan.OnDevice ? "" : ", not on a device")
            );
    }

    private static string Number(double milliseconds) =>
        milliseconds.ToString(milliseconds < 10 ? "F2" : "F1", CultureInfo.InvariantCulture);
}
