using System.Text.Json.Nodes;
using ModelPipeline.Artifacts;
using ModelPipeline.Core;
using ModelPipeline.Decision;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Packaging;
using ModelPipeline.Reports;
using ModelPipeline.Tasks;
using ModelPipeline.Tests.Validation;
using ModelPipeline.Validation;

namespace ModelPipeline.Tests.Publishing;

/// <summary>Real packages of a few variants of the tiny reranker with the toolkit's recorded scores, in a folder of their own.</summary>
internal sealed class Packages : IDisposable
{
    private static readonly byte[] ModelBytes = File.ReadAllBytes(RepositoryFiles.Sample("tiny-reranker/model.onnx"))[..40_000];

    private readonly TemporaryFolder folder = new();

    public string Folder => folder.Path;

    public static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>A variant as validated; its artifact holds bytes that depend on the seed.</summary>
    public ValidationReport Report(
        string variant,
        Backend backend,
        DeviceKind device = DeviceKind.Simulator,
        double? p95 = null,
        IReadOnlyList<GateSpec>? gates = null,
        string scores = "int8_normal",
        int seed = 0
    )
    {
        var report = SampleReports.Of(scores, 1, backend, device, p95, gates ?? [new(Metric.KendallTau, 0.9, null, null)]);
        var platform = backend == Backend.Onnx ? "cpu" : "rk3588";
        var artifact = folder.Write($"tiny-reranker-{platform}-{variant}{SampleReports.Ending(backend)}", [.. ModelBytes, (byte)seed]);
        return report with
        {
            Subject = report.Subject with
            {
                Variant = variant,
                Artifact = Path.GetFileName(artifact),
                ArtifactDigest = FileDigest.Of(artifact),
            },
        };
    }

    public static ModelSpec Model(IReadOnlyList<ValidationReport> reports, string version = "0.1.0") =>
        new()
        {
            Name = "tiny-reranker",
            Version = version,
            Task = ModelTask.Rerank,
            Licence = "Apache-2.0",
            Source = new() { File = "model.onnx" },
            Tokenizer = new() { Vocab = new() { File = "vocab.txt" } },
            Shapes = [new(1, 128)],
            Calibration = new() { Corpus = "sample" },
            Validation = new() { Corpus = "sample", Device = "simulator" },
            Variants =
            [
                .. reports.Select(report => new VariantSpec
                {
                    Name = report.Subject.Variant,
                    Backend = report.Subject.Backend,
                    Precision = report.Subject.Precision,
                    Rewrites = [],
                    Gates = [],
                }),
            ],
            Decision = new()
            {
                Npu = new Dictionary<string, string> { ["NPU_RERANK_MODEL"] = "{file}" },
                Cpu = new Dictionary<string, string> { ["NPU_RERANK_ENABLED"] = "0" },
            },
        };

    /// <summary>Writes a package and gives back its folder.</summary>
    public async Task<(string Folder, ModelSpec Model)> WriteAsync(
        IReadOnlyList<ValidationReport> reports,
        string version = "0.1.0",
        string onnxRuntime = "1.31.1"
    )
    {
        var model = Model(reports, version);
        var decision = ProductionDecision.Make(model, reports, SampleReports.Routings(reports));
        ReportJson.Write(folder.File("decision.json"), decision);
        var content = new PackageContent(
            model,
            [
                .. reports.Select(report => new PackageSource(
                    report.Subject.Artifact,
                    folder.File(report.Subject.Artifact),
                    PackageRole.Model,
                    report.Subject.Variant
                )),
                new("vocab.txt", RepositoryFiles.Sample("tiny-reranker/vocab.txt"), PackageRole.Vocabulary),
                new("report.html", folder.Write("report.html", "<!doctype html><title>report</title>"), PackageRole.Report),
                new("production.env", folder.Write("production.env", EnvironmentFile.Text(decision.Environment)), PackageRole.Environment),
                new("decision.json", folder.File("decision.json"), PackageRole.Decision),
            ],
            reports,
            new Dictionary<string, string> { ["model"] = new('a', 64), ["vocabulary"] = new('b', 64) },
            new JsonObject { ["tokenizer"] = new JsonObject { ["lowercase"] = true } },
            new Dictionary<string, string> { ["modelpipeline"] = "0.1.0", ["onnxruntime"] = onnxRuntime }
        )
        {
            Routings = SampleReports.Routings(reports),
            Decided = decision.Serve,
            Text = ReleaseText.Of(model),
        };
        return ((await Package.WriteAsync(content, folder.File("packages"), cancellation: Cancellation)).Folder, model);
    }

    public void Dispose() => folder.Dispose();
}
