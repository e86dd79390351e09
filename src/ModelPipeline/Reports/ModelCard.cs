using System.Globalization;
using ModelPipeline.Artifacts;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Packaging;

namespace ModelPipeline.Reports;

/// <summary>README.md of a package, in Markdown.</summary>
internal static class ModelCard
{
    /// <summary>The template model-card.md filled in.</summary>
    public static string Render(ModelSpec model, PackageManifest manifest)
    {
        var shown = Shown(manifest);
        var compiled = manifest.Variants.Where(variant => variant.Toolkit is not null).ToList();
        var extensions = manifest
            .Files.Where(file => file.Role == PackageRole.Model)
            .Select(file => Path.GetExtension(file.Name))
            .ToHashSet();
        return Template.Markdown(
            "model-card.md",
            new
            {
                FrontMatter = FrontMatter.Of(model, manifest),
                Usages = Usage.Of(model, manifest),
                Limits = Limits(model, manifest),
                Digest = manifest.Inputs.TryGetValue("model", out var digest) ? new[] { digest } : [],
                manifest.Name,
                manifest.Version,
                What = manifest.Task.Description,
                manifest.Advice,
                Notices = Notices(manifest),
                manifest.Origin,
                Licence = manifest.Licence ?? "not stated: see the origin",
                Tokenizer = TokenizerOf(model, manifest),
                Truncation = model.Tokenizer.Truncation == TruncationStrategy.OnlySecond
                    ? "only the passage truncated"
                    : "longest text truncated first",
                Shapes = string.Join(", ", model.Shapes.Select(shape => $"[{shape.Batch}, {shape.Sequence}]")),
                Metrics = shown.Select(metric => new { metric.Label }),
                Explained = shown.Where(metric => metric.Kind != MetricKind.Size),
                Reference = manifest.Variants.Take(1).SelectMany(variant => Cells(shown, variant.Reference)),
                Variants = manifest.Variants.Select(variant => Variant(variant, shown)),
                // Which file takes which lengths, if a variant has several.
                Buckets = manifest.Routings.All(routing => routing.Buckets.Count == 1)
                    ? []
                    : manifest.Routings.SelectMany(routing =>
                        routing.Buckets.Select(bucket => new
                        {
                            routing.Variant,
                            Tokens = bucket.MaxTokens,
                            File = bucket.Artifact,
                            Share = FormattableString.Invariant($"{100 * bucket.Share:F1}"),
                        })
                    ),
                Omitted = manifest.Omitted.Select(variant => variant.Sentence),
                Open = manifest.Open.Select(variant => variant.Sentence),
                Compiled = compiled.Select(Compiled),
                Estimates = compiled
                    .Where(variant => variant.Toolkit!.Estimate is not null)
                    .Select(variant => new
                    {
                        Name = variant.Subject.Variant,
                        variant.Subject.Shape,
                        variant.Toolkit!.Estimate!.Range,
                        variant.Toolkit.Estimate.Basis,
                    }),
                Gates = manifest.Variants.SelectMany(variant =>
                    variant.Gates.Select(gate => new
                    {
                        variant.Subject.Variant,
                        Words = Words(gate.Result),
                        gate.Statement,
                    })
                ),
                Files = manifest.Files.Select(file => new
                {
                    file.Name,
                    Bytes = file.Digest.Size.ToString(CultureInfo.InvariantCulture),
                    What = What(file),
                }),
                Routed = manifest.Routings.Take(1).Select(routing => routing.Variant),
                HasVocabulary = manifest.Files.Any(file => file.Name == "vocab.txt"),
                manifest.Task.Row,
                Usage = manifest.Task.Usage(manifest.Answer) + BatchOf(model),
                Prefixes = model.Tokenizer.Prefixes is { } prefixes ? new[] { prefixes } : [],
                HasOnnx = extensions.Contains(".onnx"),
                HasRknn = extensions.Contains(".rknn"),
                Platforms = string.Join(
                    ", ",
                    model
                        .Variants.Where(variant => variant.Backend == Backend.Rknn)
                        .Select(variant => $"{variant.Target} with librknnrt {variant.Toolkit}")
                        .Distinct()
                ),
            }
        );
    }

    /// <summary>A sentence on shapes of several passages, with a space before it; empty if there are none.</summary>
    private static string BatchOf(ModelSpec model) =>
        model.Shapes.Where(shape => shape.Batch > 1).ToList() is { Count: > 0 } batched
            ? $" A run at {string.Join(" or ", batched.Select(shape => $"[{shape.Batch}, {shape.Sequence}]"))} takes {batched[0].Batch} "
                + $"rows of "
                + "tokens and gives as many answers: fill the last run up with any row, and drop what that gives."
            : "";

    private static object Variant(PackageVariant variant, IReadOnlyList<Metric> shown) =>
        new
        {
            Name = variant.Subject.Variant,
            Mark = variant.Subject switch
            {
                { IsStandIn: true } => " (simulated)",
                { Simulated: true } => " (scores simulated)",
                _ => "",
            },
            File = variant.Subject.Artifact,
            variant.Subject.Shape,
            Figures = Cells(shown, variant.Figures),
            Verdict = Verdict(variant),
            Latency = Latency(variant),
        };

    private static IEnumerable<string> Cells(IEnumerable<Metric> shown, IReadOnlyDictionary<string, double> figures) =>
        shown.Select(metric => figures.TryGetValue(metric.Name, out var figure) ? metric.Format(figure) : "-");

    private static string Verdict(PackageVariant variant) =>
        variant.Gates.Count == 0
            ? "none"
            : string.Join(
                ", ",
                variant
                    .Gates.GroupBy(gate => gate.Result)
                    .OrderBy(group => group.Key)
                    .Select(group => $"{group.Count()} {Words(group.Key)}")
            );

    private static string Latency(PackageVariant variant)
    {
        if (variant.Subject.OnDevice && variant.Figures.TryGetValue(Metric.LatencyP95Ms, out var p95))
            return FormattableString.Invariant($"p95 {p95:F1} ms on {variant.Subject.Device}");
        return variant.Toolkit?.Estimate is { } estimate ? $"not measured; estimate: {estimate.Range} ms" : "not measured";
    }

    /// <summary>What the NPU's compiler reported.</summary>
    private static object Compiled(PackageVariant variant)
    {
        var compile = variant.Toolkit!.Compile;
        return new
        {
            Name = variant.Subject.Variant,
            variant.Subject.Shape,
            Cells = new[]
            {
                compile.Compiler ?? "-",
                string.Join(", ", compile.CpuOperators),
                Number(compile.Cycles / 1e6),
                Number(compile.TrafficKb / 1024.0),
                Number(compile.WeightKb / 1000),
                Number(compile.InternalKb / 1000),
            },
        };

        static string Number(double? value) => value?.ToString("0.00", CultureInfo.InvariantCulture) ?? "-";
    }

    private static string TokenizerOf(ModelSpec model, PackageManifest manifest)
    {
        var files = manifest.Files.Where(file => file.Role == PackageRole.Vocabulary).Select(file => $"`{file.Name}`").ToList();
        if (files is not ["`vocab.txt`"])
            return $"as {string.Join(", ", files)} say";
        var casing = model.Tokenizer.Lowercase is false ? "WordPiece, cased" : "WordPiece, lower-cased";
        return model.Tokenizer.StripAccents is { } strips && strips == (model.Tokenizer.Lowercase is false)
            ? $"{casing}, accents {(strips ? "stripped" : "kept")}"
            : casing;
    }

    /// <summary>What the figures do not say.</summary>
    private static IEnumerable<string> Limits(ModelSpec model, PackageManifest manifest)
    {
        if (model.Shapes.Count > 0)
            yield return FormattableString.Invariant(
                $"Texts of more than {model.Shapes.Max(shape => shape.Sequence)} tokens are cut, and what is cut counts for nothing."
            );
        foreach (var subject in manifest.Variants.Select(variant => variant.Subject).DistinctBy(subject => subject.Corpus))
            yield return $"Figures are of corpus {subject.Corpus}. On other texts or in other languages a variant may lose more against "
                + "fp32.";
        if (manifest.Variants.Any(variant => !variant.Subject.OnDevice))
            yield return "Latencies of variants that no board has run are unknown.";
    }

    private static IEnumerable<string> Notices(PackageManifest manifest)
    {
        if (manifest.Open.Count > 0)
            yield return "This is a release candidate: no board has decided yet about what stands below, and production.env keeps to the "
                + "CPU.";
        if (manifest.Simulated)
            yield return "Variants marked simulated are ONNX emulations of what the NPU would compute. They are not .rknn files, they do "
                + "not run on an NPU, and their figures are predictions.";
        if (manifest.Variants.Any(variant => variant.Subject is { Simulated: true, IsStandIn: false }))
            yield return "Variants marked scores simulated are .rknn files for the NPU that were never run on one: their scores are those "
                + "of the toolkit's own simulator.";
    }

    private static Metric[] Shown(PackageManifest manifest)
    {
        string[] names = [.. manifest.Task.Headline, Metric.SizeMb];
        return [.. names.Where(name => manifest.Variants.Any(variant => variant.Figures.ContainsKey(name))).Select(Metric.Named)];
    }

    private static string Words(GateResult result) =>
        result switch
        {
            GateResult.Passed => "passed",
            GateResult.Failed => "**failed**",
            GateResult.Undecided => "**undecided**",
            GateResult.NotMeasured => "not measured",
        };

    private static string What(PackageFile file) =>
        file.Role switch
        {
            PackageRole.Model when file.Simulated => $"variant {file.Variant}: ONNX emulation of the NPU, for ONNX Runtime",
            PackageRole.Model when file.Name.EndsWith(".rknn", StringComparison.Ordinal) =>
                $"variant {file.Variant}: for librknnrt on the NPU",
            PackageRole.Model => $"variant {file.Variant}: for ONNX Runtime on the CPU",
            PackageRole.Compile => $"variant {file.Variant}: the NPU compiler's report, layer by layer",
            PackageRole.Vocabulary => file.Name == "vocab.txt" ? "the tokenizer's vocabulary, one token a line" : "a file of the tokenizer",
            PackageRole.Report => "validation in detail",
            PackageRole.Environment => "environment of production, as decided",
            PackageRole.Sbom => "what the release is made of, CycloneDX",
            PackageRole.Serving => "files, shapes, contexts and routing for whoever serves the model",
            PackageRole.Device => "the board that ran it, and what each run took",
            PackageRole.Decision => "why production runs what it runs",
        };
}
