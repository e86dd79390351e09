using System.Globalization;
using ModelPipeline.Artifacts;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Packaging;
using ModelPipeline.Toolkit;

namespace ModelPipeline.Reports;

/// <summary>The text that a release is announced with, in Markdown: what changed against the last version, figures and gates, how to use
/// it.</summary>
public static class ReleaseNotes
{
    /// <summary>Figures that are compared with the last version's, where both have them.</summary>
    private static readonly string[] Compared =
    [
        Metric.SizeMb,
        Metric.NdcgAt10,
        Metric.KendallTau,
        Metric.CosineMean,
        Metric.CosineMin,
        Metric.LatencyP50Ms,
        Metric.LatencyP95Ms,
    ];

    /// <summary>The notes of a release.</summary>
    /// <param name="manifest">Of the release.</param>
    /// <param name="previous">Of the last version; null for the first one.</param>
    public static string Render(PackageManifest manifest, PackageManifest? previous)
    {
        var vocabulary = manifest.Files.Where(file => file.Role == PackageRole.Vocabulary).Select(file => file.Name).ToList();
        return Template.Markdown(
            "release-notes.md",
            new
            {
                manifest.Name,
                manifest.Version,
                manifest.Origin,
                Licence = manifest.Licence ?? "licence not stated",
                Previous = previous?.Version ?? "",
                News = previous is null ? [] : News(manifest, previous),
                Figures = previous is null ? [] : Changes(manifest, previous),
                Gates = manifest.Variants.SelectMany(variant =>
                    variant.Gates.Select(gate => new
                    {
                        variant.Subject.Variant,
                        variant.Subject.Shape,
                        Result = gate.Result.ToString().ToLowerInvariant(),
                        gate.Statement,
                    })
                ),
                Omitted = manifest.Omitted.Select(variant => variant.Sentence),
                Open = manifest.Open.Select(variant => variant.Sentence),
                Models = manifest
                    .Files.Where(file => file.Role == PackageRole.Model)
                    .Select(file => new
                    {
                        File = file.Name,
                        Platform = file.Platform == VariantSpec.Cpu ? "any CPU, in ONNX Runtime" : file.Platform ?? "?",
                    }),
                Vocabulary = vocabulary,
                IsVocabulary = vocabulary is ["vocab.txt"],
            }
        );
    }

    private static IEnumerable<Line> News(PackageManifest manifest, PackageManifest previous)
    {
        var (before, now) = (previous.Variants.Select(Key).ToList(), manifest.Variants.Select(Key).ToList());
        return
        [
            .. now.Except(before).Select(key => new Line($"New: {key.Variant} at {key.Shape}")),
            .. before.Except(now).Select(key => new Line($"Gone: {key.Variant} at {key.Shape}")),
            .. Differing("Input", manifest.Inputs, previous.Inputs, digest => digest[..12]),
            .. Differing("Tool", manifest.Tools, previous.Tools, version => version),
        ];
    }

    private static IEnumerable<Change> Changes(PackageManifest manifest, PackageManifest previous)
    {
        var before = previous.Variants.ToDictionary(Key);
        return manifest
            .Variants.Where(variant => before.ContainsKey(Key(variant)))
            .SelectMany(variant => Changes(before[Key(variant)], variant));
    }

    private static IEnumerable<Change> Changes(PackageVariant before, PackageVariant now)
    {
        var (variant, shape) = Key(now);
        foreach (var name in Compared)
        {
            if (Figure(before, name) is { } old && Figure(now, name) is { } figure)
                yield return Changed(Metric.Named(name), old, figure);
        }
        // What the compiler says differently, in its own words.
        if (before.Toolkit is not null && now.Toolkit is not null)
        {
            foreach (var change in CompileChange.Between(before.Toolkit.Compile, now.Toolkit.Compile))
                yield return new Change(variant, shape, change.Name, change.Before, change.After, "changed");
        }

        Change Changed(Metric metric, double old, double figure)
        {
            var zeros = new string('0', metric.Decimals);
            var change =
                metric.Format(old) == metric.Format(figure)
                    ? "none"
                    : (figure - old).ToString($"+0.{zeros};-0.{zeros}", CultureInfo.InvariantCulture);
            return new Change(variant, shape, metric.Label, metric.Format(old), metric.Format(figure), change);
        }
    }

    private static (string Variant, string Shape) Key(PackageVariant variant) => (variant.Subject.Variant, variant.Subject.Shape);

    /// <summary>Latency counts only where it was measured.</summary>
    private static double? Figure(PackageVariant variant, string name) =>
        variant.Figures.TryGetValue(name, out var figure) && (variant.Subject.OnDevice || Metric.Named(name).Kind != MetricKind.Latency)
            ? figure
            : null;

    private static IEnumerable<Line> Differing(
        string what,
        IReadOnlyDictionary<string, string> now,
        IReadOnlyDictionary<string, string> before,
        Func<string, string> show
    )
    {
        return now
            .Keys.Union(before.Keys)
            .Order(StringComparer.Ordinal)
            .Where(key => now.GetValueOrDefault(key) != before.GetValueOrDefault(key))
            .Select(key => new Line($"{what} {key}", Shown(before, key), Shown(now, key)));

        string Shown(IReadOnlyDictionary<string, string> values, string key) =>
            values.TryGetValue(key, out var value) ? show(value) : "none";
    }

    /// <summary>A line on what is new, gone, or, with values, another one now.</summary>
    private sealed record Line(string What, string Before = "", string Now = "");

    /// <summary>A figure of a variant in both versions.</summary>
    private sealed record Change(string Variant, string Shape, string Name, string Before, string Now, string Difference);
}
