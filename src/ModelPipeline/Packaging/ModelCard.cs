using System.Globalization;
using System.Text;
using ModelPipeline.Manifest;
using ModelPipeline.Validation;

namespace ModelPipeline.Packaging;

/// <summary>README.md of a package, in Markdown.</summary>
internal static class ModelCard
{
    /// <summary>The template model-card.md filled in.</summary>
    public static string Render(ModelSpec model, PackageManifest manifest) => Template.Fill("model-card.md", new Dictionary<string, string>
    {
        ["name"] = Escape(manifest.Name),
        ["version"] = Escape(manifest.Version),
        ["what"] = manifest.Task switch
        {
            ModelTask.Rerank => "A cross-encoder that scores how well a passage answers a query: one logit a pair, the higher the better.",
            _ => "An embedder that turns a text into a vector; similar texts have a large cosine.",
        },
        ["notice"] = string.Join(' ', Notices(manifest)),
        ["origin"] = Escape(manifest.Origin),
        ["licence"] = Escape(manifest.Licence ?? "not stated: see the origin"),
        ["tokenizer"] = (model.Tokenizer.Lowercase ? "WordPiece, lower-cased, " : "WordPiece, cased, ")
            + (model.Tokenizer.Truncation == TruncationStrategy.OnlySecond ? "only the passage truncated" : "longest text truncated first"),
        ["shapes"] = string.Join(", ", model.Shapes.Select(shape => $"[{shape.Batch}, {shape.Sequence}]")),
        ["variants"] = Variants(manifest),
        ["figures_note"] = string.Join("\n", Shown(manifest).Where(metric => metric.Kind != MetricKind.Size).Select(metric => $"- {metric.Label}: {metric.Description}")),
        ["compiled"] = Compiled(manifest),
        ["gates"] = Gates(manifest),
        ["files"] = Table(
            ["File", "Bytes", "What"],
            manifest.Files.Select(file => (string[])[$"`{file.Name}`", file.Digest.Size.ToString(CultureInfo.InvariantCulture), What(file)])),
        ["usage"] = Usage(model, manifest),
    });

    private static IEnumerable<string> Notices(PackageManifest manifest)
    {
        if (manifest.Simulated)
            yield return "**Variants marked simulated are ONNX emulations of what the NPU would compute. They are not .rknn files, they do not run on an NPU, and their figures are predictions.**";
        if (manifest.Variants.Any(variant => variant.Subject is { Simulated: true, IsStandIn: false }))
            yield return "**Variants marked scores simulated are .rknn files for the NPU that were never run on one: their scores are those of the toolkit's own simulator.**";
    }

    private static Metric[] Shown(PackageManifest manifest)
    {
        string[] names = [Metric.NdcgAt10, Metric.KendallTau, Metric.CosineMean, Metric.CosineMin, Metric.SizeMb];
        return [.. names.Where(name => manifest.Variants.Any(variant => variant.Figures.ContainsKey(name))).Select(Metric.Named)];
    }

    private static string Variants(PackageManifest manifest)
    {
        var shown = Shown(manifest);
        var reference = manifest.Variants.Take(1).Select(variant => (string[])["fp32 (reference, not packaged)", "", "", .. Cells(variant.Reference), "", ""]);
        return Table(
            ["Variant", "File", "Shape", .. shown.Select(metric => metric.Label), "Gates", "Latency"],
            reference.Concat(manifest.Variants.Select(variant => (string[])
            [
                Escape(variant.Subject.Variant) + (variant.Subject.IsStandIn ? " (simulated)" : variant.Subject.Simulated ? " (scores simulated)" : ""),
                $"`{variant.Subject.Artifact}`",
                variant.Subject.Shape,
                .. Cells(variant.Figures),
                Verdict(variant),
                Latency(variant),
            ])));

        IEnumerable<string> Cells(IReadOnlyDictionary<string, double> figures) =>
            shown.Select(metric => figures.TryGetValue(metric.Name, out var figure) ? metric.Format(figure) : "-");
    }

    private static string Verdict(PackageVariant variant) => variant.Gates.Count == 0
        ? "none"
        : string.Join(", ", variant.Gates.GroupBy(gate => gate.Result).OrderBy(group => group.Key).Select(group => $"{group.Count()} {Words(group.Key)}"));

    private static string Latency(PackageVariant variant) => variant.Subject.OnDevice && variant.Figures.TryGetValue(Metric.LatencyP95Ms, out var p95)
        ? FormattableString.Invariant($"p95 {p95:F1} ms on {Escape(variant.Subject.Device)}")
        : variant.Toolkit?.Estimate is { } estimate ? $"not measured; estimate: {estimate.Range} ms" : "not measured";

    /// <summary>What the NPU's compiler reported, and what estimates rest on; empty if the toolkit made nothing.</summary>
    private static string Compiled(PackageManifest manifest)
    {
        var variants = manifest.Variants.Where(variant => variant.Toolkit is not null).Select(variant => (Name: Escape(variant.Subject.Variant), variant.Subject.Shape, Toolkit: variant.Toolkit!)).ToList();
        if (variants.Count == 0)
            return "";
        var table = Table(["Variant", "Shape", "Compiler", "Operators on the CPU", "Million cycles", "Traffic, MB", "Weight memory, MB", "Internal memory, MB"], variants.Select(each => (string[])
        [
            each.Name, each.Shape, Escape(each.Toolkit.Compile.Compiler ?? "-"), Escape(string.Join(", ", each.Toolkit.Compile.CpuOperators)),
            Number(each.Toolkit.Compile.Cycles / 1e6), Number(each.Toolkit.Compile.TrafficKb / 1024.0), Number(each.Toolkit.Compile.WeightKb / 1000), Number(each.Toolkit.Compile.InternalKb / 1000),
        ]));
        var estimates = variants.Where(each => each.Toolkit.Estimate is not null)
            .Select(each => $"- {each.Name} at {each.Shape}: latency estimated, not measured: {Escape(each.Toolkit.Estimate!.Range)} ms a passage, 90 % interval; from {Escape(each.Toolkit.Estimate.Basis)}.");
        return string.Join("\n", [.. new[] { "\n## Compile report\n", table, "" }, .. estimates]).TrimEnd('\n') + "\n";

        static string Number(double? value) => value?.ToString("0.00", CultureInfo.InvariantCulture) ?? "-";
    }

    private static string Gates(PackageManifest manifest) => manifest.Variants.Any(variant => variant.Gates.Count > 0)
        ? Table(["Variant", "Result", "Outcome"], manifest.Variants.SelectMany(variant =>
            variant.Gates.Select(gate => (string[])[Escape(variant.Subject.Variant), Words(gate.Result), Escape(gate.Statement)])))
        : "None are declared.";

    private static string Words(GateResult result) => result switch
    {
        GateResult.Passed => "passed",
        GateResult.Failed => "**failed**",
        _ => "not measured",
    };

    private static string What(PackageFile file) => file.Role switch
    {
        PackageRole.Model when file.Simulated => $"variant {Escape(file.Variant!)}: ONNX emulation of the NPU, for ONNX Runtime",
        PackageRole.Model when file.Name.EndsWith(".rknn", StringComparison.Ordinal) => $"variant {Escape(file.Variant!)}: for librknnrt on the NPU",
        PackageRole.Model => $"variant {Escape(file.Variant!)}: for ONNX Runtime on the CPU",
        PackageRole.Compile => $"variant {Escape(file.Variant!)}: the NPU compiler's report, layer by layer",
        PackageRole.Vocabulary => "the tokenizer's vocabulary, one token a line",
        PackageRole.Report => "validation in detail",
        PackageRole.Environment => "environment of production, as decided",
        _ => "why production runs what it runs",
    };

    private static string Usage(ModelSpec model, PackageManifest manifest)
    {
        var usage = new StringBuilder("Inputs are `input_ids`, `attention_mask` and `token_type_ids`, int64 at one of the shapes above: ");
        usage.Append(manifest.Task == ModelTask.Rerank
            ? "`[CLS] query [SEP] passage [SEP]`, padded with zeros. The output is one float a pair: sort passages by it, descending."
            : "`[CLS] text [SEP]`, padded with zeros. Pool the output over the tokens whose mask is 1.");
        var extensions = manifest.Files.Where(file => file.Role == PackageRole.Model).Select(file => Path.GetExtension(file.Name)).ToHashSet();
        if (extensions.Contains(".onnx"))
            usage.Append("\n`.onnx` files run in ONNX Runtime on any machine.");
        if (extensions.Contains(".rknn"))
        {
            var needs = model.Variants.Where(variant => variant.Backend == Backend.Rknn).Select(variant => $"{Escape(variant.Target)} with librknnrt {Escape(variant.Toolkit)}");
            usage.Append($"\n`.rknn` files run on {string.Join(", ", needs.Distinct())}.");
        }
        return usage.ToString();
    }

    private static string Table(string[] head, IEnumerable<string[]> rows) =>
        string.Join("\n", rows.Prepend([.. head.Select(_ => "---")]).Prepend(head).Select(row => $"| {string.Join(" | ", row)} |"));

    /// <summary>Text that Markdown and its HTML show as it is, on one line.</summary>
    private static string Escape(string text)
    {
        var escaped = new StringBuilder();
        foreach (var letter in text)
            escaped.Append(letter is '\\' or '`' or '*' or '[' or ']' or '<' or '>' or '|' or '#' or '&' ? $"\\{letter}" : char.IsControl(letter) ? " " : letter.ToString());
        return escaped.ToString();
    }
}
