using System.Globalization;
using System.Text;
using ModelPipeline.Artifacts;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Packaging;

namespace ModelPipeline.Reports;

/// <summary>README.md of a package, in Markdown.</summary>
internal static class ModelCard
{
    /// <summary>The template model-card.md filled in.</summary>
    public static string Render(ModelSpec model, PackageManifest manifest) => Template.Fill("model-card.md", new Dictionary<string, string>
    {
        ["name"] = Markdown.Escape(manifest.Name),
        ["version"] = Markdown.Escape(manifest.Version),
        ["what"] = manifest.Task.Description,
        ["notice"] = string.Join(' ', Notices(manifest)),
        ["origin"] = Markdown.Escape(manifest.Origin),
        ["licence"] = Markdown.Escape(manifest.Licence ?? "not stated: see the origin"),
        ["tokenizer"] = TokenizerOf(model, manifest) + ", " + (model.Tokenizer.Truncation == TruncationStrategy.OnlySecond ? "only the passage truncated" : "longest text truncated first"),
        ["shapes"] = string.Join(", ", model.Shapes.Select(shape => $"[{shape.Batch}, {shape.Sequence}]")),
        ["variants"] = Variants(manifest),
        ["lengths"] = Lengths(manifest),
        ["figures_note"] = string.Join("\n", Shown(manifest).Where(metric => metric.Kind != MetricKind.Size).Select(metric => $"- {metric.Label}: {metric.Description}")) + Omitted(manifest),
        ["compiled"] = Compiled(manifest),
        ["gates"] = Gates(manifest),
        ["files"] = Markdown.Table(
            ["File", "Bytes", "What"],
            manifest.Files.Select(file => (string[])[$"`{file.Name}`", file.Digest.Size.ToString(CultureInfo.InvariantCulture), What(file)])),
        ["usage"] = Usage(model, manifest),
    });

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

    private static IEnumerable<string> Notices(PackageManifest manifest)
    {
        if (manifest.Simulated)
            yield return "**Variants marked simulated are ONNX emulations of what the NPU would compute. They are not .rknn files, they do not run on an NPU, and their figures are predictions.**";
        if (manifest.Variants.Any(variant => variant.Subject is { Simulated: true, IsStandIn: false }))
            yield return "**Variants marked scores simulated are .rknn files for the NPU that were never run on one: their scores are those of the toolkit's own simulator.**";
    }

    private static Metric[] Shown(PackageManifest manifest)
    {
        string[] names = [.. manifest.Task.Headline, Metric.SizeMb];
        return [.. names.Where(name => manifest.Variants.Any(variant => variant.Figures.ContainsKey(name))).Select(Metric.Named)];
    }

    private static string Variants(PackageManifest manifest)
    {
        var shown = Shown(manifest);
        var reference = manifest.Variants.Take(1).Select(variant => (string[])["fp32 (reference, not packaged)", "", "", .. Cells(variant.Reference), "", ""]);
        return Markdown.Table(
            ["Variant", "File", "Shape", .. shown.Select(metric => metric.Label), "Gates", "Latency"],
            reference.Concat(manifest.Variants.Select(variant => (string[])
            [
                Markdown.Escape(variant.Subject.Variant) + (variant.Subject.IsStandIn ? " (simulated)" : variant.Subject.Simulated ? " (scores simulated)" : ""),
                $"`{variant.Subject.Artifact}`",
                variant.Subject.Shape,
                .. Cells(variant.Figures),
                Verdict(variant),
                Latency(variant),
            ])));

        IEnumerable<string> Cells(IReadOnlyDictionary<string, double> figures) =>
            shown.Select(metric => figures.TryGetValue(metric.Name, out var figure) ? metric.Format(figure) : "-");
    }

    /// <summary>Which file takes which lengths, if a variant has several.</summary>
    private static string Lengths(PackageManifest manifest) => manifest.Routings.All(routing => routing.Buckets.Count == 1) ? "" :
        "\nA passage goes to the smallest file that takes its length in tokens, with its query and the special tokens; the largest takes longer ones cut.\n\n"
        + Markdown.Table(["Variant", "Tokens", "File", "Passages of the validation"], manifest.Routings.SelectMany(routing => routing.Buckets.Select(bucket => (string[])
            [Markdown.Escape(routing.Variant), $"to {bucket.MaxTokens}", $"`{bucket.Artifact}`", FormattableString.Invariant($"{100 * bucket.Share:F1} %")])))
        + "\n";

    private static string Omitted(PackageManifest manifest) => manifest.Omitted.Count == 0
        ? ""
        : $"\n\nNot in this release:\n\n{Markdown.List(manifest.Omitted.Select(variant => Markdown.Escape(variant.Sentence)))}";

    private static string Verdict(PackageVariant variant) => variant.Gates.Count == 0
        ? "none"
        : string.Join(", ", variant.Gates.GroupBy(gate => gate.Result).OrderBy(group => group.Key).Select(group => $"{group.Count()} {Words(group.Key)}"));

    private static string Latency(PackageVariant variant) => variant.Subject.OnDevice && variant.Figures.TryGetValue(Metric.LatencyP95Ms, out var p95)
        ? FormattableString.Invariant($"p95 {p95:F1} ms on {Markdown.Escape(variant.Subject.Device)}")
        : variant.Toolkit?.Estimate is { } estimate ? $"not measured; estimate: {estimate.Range} ms" : "not measured";

    /// <summary>What the NPU's compiler reported, and what estimates rest on; empty if the toolkit made nothing.</summary>
    private static string Compiled(PackageManifest manifest)
    {
        var variants = manifest.Variants.Where(variant => variant.Toolkit is not null).Select(variant => (Name: Markdown.Escape(variant.Subject.Variant), variant.Subject.Shape, Toolkit: variant.Toolkit!)).ToList();
        if (variants.Count == 0)
            return "";
        var table = Markdown.Table(["Variant", "Shape", "Compiler", "Operators on the CPU", "Million cycles", "Traffic, MB", "Weight memory, MB", "Internal memory, MB"], variants.Select(each => (string[])
        [
            each.Name, each.Shape, Markdown.Escape(each.Toolkit.Compile.Compiler ?? "-"), Markdown.Escape(string.Join(", ", each.Toolkit.Compile.CpuOperators)),
            Number(each.Toolkit.Compile.Cycles / 1e6), Number(each.Toolkit.Compile.TrafficKb / 1024.0), Number(each.Toolkit.Compile.WeightKb / 1000), Number(each.Toolkit.Compile.InternalKb / 1000),
        ]));
        var estimates = variants.Where(each => each.Toolkit.Estimate is not null)
            .Select(each => $"- {each.Name} at {each.Shape}: latency estimated, not measured: {Markdown.Escape(each.Toolkit.Estimate!.Range)} ms a passage, 90 % interval; from {Markdown.Escape(each.Toolkit.Estimate.Basis)}.");
        return string.Join("\n", [.. new[] { "\n## Compile report\n", table, "" }, .. estimates]).TrimEnd('\n') + "\n";

        static string Number(double? value) => value?.ToString("0.00", CultureInfo.InvariantCulture) ?? "-";
    }

    private static string Gates(PackageManifest manifest) => manifest.Variants.Any(variant => variant.Gates.Count > 0)
        ? Markdown.Table(["Variant", "Result", "Outcome"], manifest.Variants.SelectMany(variant =>
            variant.Gates.Select(gate => (string[])[Markdown.Escape(variant.Subject.Variant), Words(gate.Result), Markdown.Escape(gate.Statement)])))
        : "None are declared.";

    private static string Words(GateResult result) => result switch
    {
        GateResult.Passed => "passed",
        GateResult.Failed => "**failed**",
        GateResult.NotMeasured => "not measured",
    };

    private static string What(PackageFile file) => file.Role switch
    {
        PackageRole.Model when file.Simulated => $"variant {Markdown.Escape(file.Variant!)}: ONNX emulation of the NPU, for ONNX Runtime",
        PackageRole.Model when file.Name.EndsWith(".rknn", StringComparison.Ordinal) => $"variant {Markdown.Escape(file.Variant!)}: for librknnrt on the NPU",
        PackageRole.Model => $"variant {Markdown.Escape(file.Variant!)}: for ONNX Runtime on the CPU",
        PackageRole.Compile => $"variant {Markdown.Escape(file.Variant!)}: the NPU compiler's report, layer by layer",
        PackageRole.Vocabulary => file.Name == "vocab.txt" ? "the tokenizer's vocabulary, one token a line" : "a file of the tokenizer",
        PackageRole.Report => "validation in detail",
        PackageRole.Environment => "environment of production, as decided",
        PackageRole.Sbom => "what the release is made of, CycloneDX",
        PackageRole.Decision => "why production runs what it runs",
    };

    private static string Usage(ModelSpec model, PackageManifest manifest)
    {
        var usage = new StringBuilder("Inputs are `input_ids`, `attention_mask` and `token_type_ids`, int64 at one of the shapes above: ");
        usage.Append(manifest.Files.Any(file => file.Name == "vocab.txt") ? $"{manifest.Task.Row}, padded with zeros. " : "rows as the tokenizer's files have them, padded with its padding token. ");
        usage.Append(manifest.Task.Usage);
        if (model.Tokenizer.Prefixes is { } prefixes)
            usage.Append($" Put '{Markdown.Escape(prefixes.Query)}' before queries and '{Markdown.Escape(prefixes.Passage)}' before passages.");
        var extensions = manifest.Files.Where(file => file.Role == PackageRole.Model).Select(file => Path.GetExtension(file.Name)).ToHashSet();
        if (extensions.Contains(".onnx"))
            usage.Append("\n`.onnx` files run in ONNX Runtime on any machine.");
        if (extensions.Contains(".rknn"))
        {
            var needs = model.Variants.Where(variant => variant.Backend == Backend.Rknn).Select(variant => $"{Markdown.Escape(variant.Target)} with librknnrt {Markdown.Escape(variant.Toolkit)}");
            usage.Append($"\n`.rknn` files run on {string.Join(", ", needs.Distinct())}.");
        }
        return usage.ToString();
    }
}
