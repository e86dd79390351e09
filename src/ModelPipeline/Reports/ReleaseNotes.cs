using System.Globalization;
using System.Text;
using ModelPipeline.Artifacts;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Packaging;
using ModelPipeline.Toolkit;

namespace ModelPipeline.Reports;

/// <summary>The text that a release is announced with, in Markdown: what changed against the last version, figures and gates, how to use it.</summary>
public static class ReleaseNotes
{
    /// <summary>Figures that are compared with the last version's, where both have them.</summary>
    private static readonly string[] Compared =
        [Metric.SizeMb, Metric.NdcgAt10, Metric.KendallTau, Metric.CosineMean, Metric.CosineMin, Metric.LatencyP50Ms, Metric.LatencyP95Ms];

    /// <summary>The notes of a release.</summary>
    /// <param name="manifest">Of the release.</param>
    /// <param name="previous">Of the last version; null for the first one.</param>
    public static string Render(PackageManifest manifest, PackageManifest? previous)
    {
        var notes = new StringBuilder($"# {Markdown.Escape(manifest.Name)} {Markdown.Escape(manifest.Version)}\n");
        notes.Append($"\n{Markdown.Escape(manifest.Origin)}, {Markdown.Escape(manifest.Licence ?? "licence not stated")}.\n");
        notes.Append($"\n## What changed\n\n{(previous is null ? "This is the first release.\n" : Changes(manifest, previous))}");
        notes.Append($"\n## Gates\n\n{Gates(manifest)}\n");
        if (manifest.Omitted.Count > 0)
            notes.Append($"\n## Not in this release\n\n{Markdown.List(manifest.Omitted.Select(variant => Markdown.Escape(variant.Sentence)))}\n");
        notes.Append($"\n## Use it\n\n{Usage(manifest)}");
        return notes.ToString();
    }

    private static string Changes(PackageManifest manifest, PackageManifest previous)
    {
        var before = previous.Variants.ToDictionary(Key);
        var now = manifest.Variants.ToDictionary(Key);
        List<string> news =
        [
            .. now.Keys.Except(before.Keys).Select(key => $"New: {Markdown.Escape(key.Variant)} at {key.Shape}."),
            .. before.Keys.Except(now.Keys).Select(key => $"Gone: {Markdown.Escape(key.Variant)} at {key.Shape}."),
            .. Differing("Input", manifest.Inputs, previous.Inputs, digest => digest[..12]),
            .. Differing("Tool", manifest.Tools, previous.Tools, version => version),
        ];
        var rows = now.Keys.Where(before.ContainsKey).SelectMany(key => Compared
            .Where(name => Figure(before[key], name) is not null && Figure(now[key], name) is not null)
            .Select(name => Row(key, Metric.Named(name), Figure(before[key], name)!.Value, Figure(now[key], name)!.Value))
            .Concat(Compiled(key, before[key], now[key]))).ToList();
        var text = new StringBuilder($"Against {Markdown.Escape(previous.Version)}:\n");
        if (news.Count > 0)
            text.Append($"\n{Markdown.List(news)}\n");
        if (rows.Count > 0)
            text.Append($"\n{Markdown.Table(["Variant", "Figure", previous.Version, manifest.Version, "Change"], rows)}\n");
        return text.ToString();
    }

    private static (string Variant, string Shape) Key(PackageVariant variant) => (variant.Subject.Variant, variant.Subject.Shape);

    /// <summary>Latency counts only where it was measured.</summary>
    private static double? Figure(PackageVariant variant, string name) =>
        variant.Figures.TryGetValue(name, out var figure) && (variant.Subject.OnDevice || Metric.Named(name).Kind != MetricKind.Latency) ? figure : null;

    private static string[] Row((string Variant, string Shape) key, Metric metric, double before, double now) =>
    [
        $"{Markdown.Escape(key.Variant)} {key.Shape}",
        metric.Label,
        metric.Format(before),
        metric.Format(now),
        metric.Format(before) == metric.Format(now) ? "none" : (now - before).ToString($"+0.{new string('0', metric.Decimals)};-0.{new string('0', metric.Decimals)}", CultureInfo.InvariantCulture),
    ];

    /// <summary>What the compiler says differently, in its own words.</summary>
    private static IEnumerable<string[]> Compiled((string Variant, string Shape) key, PackageVariant before, PackageVariant now) => before.Toolkit is null || now.Toolkit is null
        ? []
        : CompileChange.Between(before.Toolkit.Compile, now.Toolkit.Compile).Select(change =>
            (string[])[$"{Markdown.Escape(key.Variant)} {key.Shape}", Markdown.Escape(change.Name), Markdown.Escape(change.Before), Markdown.Escape(change.After), "changed"]);

    private static IEnumerable<string> Differing(string what, IReadOnlyDictionary<string, string> now, IReadOnlyDictionary<string, string> before, Func<string, string> show) =>
        now.Keys.Union(before.Keys).Order(StringComparer.Ordinal).Where(key => now.GetValueOrDefault(key) != before.GetValueOrDefault(key)).Select(key =>
            $"{what} {Markdown.Escape(key)}: {(before.TryGetValue(key, out var old) ? Markdown.Escape(show(old)) : "none")} -> {(now.TryGetValue(key, out var fresh) ? Markdown.Escape(show(fresh)) : "none")}.");

    private static string Gates(PackageManifest manifest) => Markdown.Table(
        ["Variant", "Shape", "Gate", "Outcome"],
        manifest.Variants.SelectMany(variant => variant.Gates.Select(gate => (string[])
            [Markdown.Escape(variant.Subject.Variant), variant.Subject.Shape, gate.Result.ToString().ToLowerInvariant(), Markdown.Escape(gate.Statement)])));

    private static string Usage(PackageManifest manifest)
    {
        var models = manifest.Files.Where(file => file.Role == PackageRole.Model).Select(file => $"`{file.Name}` runs on {(file.Platform == VariantSpec.Cpu ? "any CPU, in ONNX Runtime" : Markdown.Escape(file.Platform ?? "?"))}");
        var vocabulary = manifest.Files.Where(file => file.Role == PackageRole.Vocabulary).Select(file => $"`{file.Name}`").ToList();
        return $"""
            {Markdown.List(models)}
            - {string.Join(", ", vocabulary)} {(vocabulary is ["`vocab.txt`"] ? "is the tokenizer's vocabulary" : "make the tokenizer")}, `production.env` the environment that was decided for production, `report.html` the validation in detail.

            Check what you downloaded with `sha256sum --check --ignore-missing SHA256SUMS`. `README.md` says how to feed the model; `manifest.json` what it was built from.

            """.ReplaceLineEndings("\n");
    }
}
