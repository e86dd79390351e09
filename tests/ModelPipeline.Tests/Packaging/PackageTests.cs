using System.Formats.Tar;
using System.IO.Compression;
using System.Text.Json.Nodes;
using ModelPipeline.Artifacts;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Packaging;
using ModelPipeline.Reports;
using ModelPipeline.Tasks;
using ModelPipeline.Tests.Validation;
using ModelPipeline.Validation;

namespace ModelPipeline.Tests.Packaging;

public sealed class PackageTests : IDisposable
{
    private static readonly string Sample = RepositoryFiles.Sample("tiny-reranker");
    private static readonly byte[] ModelBytes = File.ReadAllBytes(Path.Combine(Sample, "model.onnx"))[..300_000];
    private readonly string _folder = Directory.CreateTempSubdirectory("package-").FullName;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_package_passes_sha256sum_and_its_own_check()
    {
        var package = await WriteAsync("out");
        Assert.Equal("tiny-reranker-0.1.0", Path.GetFileName(package.Folder));
        var (exit, output) = await Programs.RunAsync(package.Folder, "sha256sum", "--strict", "-c", "SHA256SUMS");
        Assert.True(exit == 0, output);
        Assert.Equal(7, output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Count(line => line.EndsWith(": OK")));
        var manifest = PackageCheck.Verify<PackageManifest>(package.Folder, Cancellation);
        Assert.Equal(ReportJson.Text(package.Manifest), ReportJson.Text(manifest));
        Assert.Equal(
            ["production.env", "serve.json", "tiny-reranker-int8_normal-1x128.sim.onnx", "validation.json", "vocab.txt"],
            manifest.Files.Select(file => file.Name)
        );
        Assert.True(manifest.Simulated);
    }

    [Fact]
    public async Task The_archive_is_the_folder_and_the_tar_command_reads_it()
    {
        var package = await WriteAsync("out");
        var extracted = Directory.CreateDirectory(Path.Combine(_folder, "extracted")).FullName;
        var (exit, output) = await Programs.RunAsync(extracted, "tar", "-xzf", package.Archive);
        Assert.True(exit == 0, output);
        PackageCheck.Verify<PackageManifest>(Path.Combine(extracted, "tiny-reranker-0.1.0"), Cancellation);

        await using var gzip = new GZipStream(File.OpenRead(package.Archive), CompressionMode.Decompress);
        await using var tar = new TarReader(gzip);
        var names = new List<string>();
        while (await tar.GetNextEntryAsync(cancellationToken: Cancellation) is { } entry)
        {
            names.Add(entry.Name);
            Assert.Equal((DateTimeOffset.UnixEpoch, 0, 0), (entry.ModificationTime, entry.Uid, entry.Gid));
            Assert.Equal(Convert.ToInt32("644", 8), (int)entry.Mode);
            Assert.Equal(("", ""), (((PosixTarEntry)entry).UserName, ((PosixTarEntry)entry).GroupName));
        }
        Assert.Equal(names.Order(StringComparer.Ordinal), names);
        // The header of gzip has its time at byte 4; 0 is none.
        Assert.Equal([0, 0, 0, 0], File.ReadAllBytes(package.Archive)[4..8]);
    }

    [Fact]
    public async Task The_same_content_makes_the_same_bytes_wherever_it_is_and_whatever_its_times()
    {
        var first = await WriteAsync("a");
        File.SetLastWriteTimeUtc(Artifact, new(2001, 1, 1, 0, 0, 0, DateTimeKind.Utc));
        var second = await WriteAsync("b/c");
        Assert.Equal(File.ReadAllBytes(first.Archive), File.ReadAllBytes(second.Archive));
        var again = await WriteAsync("a");
        Assert.Equal(File.ReadAllBytes(second.Archive), File.ReadAllBytes(again.Archive));
        Assert.Equal(["tiny-reranker-0.1.0", "tiny-reranker-0.1.0.tar.gz"], Entries("a"));
        Assert.DoesNotContain(
            _folder,
            string.Concat(Directory.GetFiles(first.Folder, "*.*").Where(path => !path.EndsWith(".onnx")).Select(File.ReadAllText))
        );
    }

    [Fact]
    public async Task The_model_card_names_variants_gates_and_what_is_simulated()
    {
        var card = File.ReadAllText(Path.Combine((await WriteAsync("out")).Folder, "README.md"));
        Assert.Contains("# tiny-reranker 0.1.0", card);
        Assert.Contains("They are not .rknn files", card);
        Assert.Contains("| int8_normal (simulated) | `tiny-reranker-int8_normal-1x128.sim.onnx` | 1x128 | 0.765 | 0.957 |", card);
        Assert.Contains("| int8_normal | not measured | latency_p95_ms not measured: needs a device |", card);
        Assert.Contains("| Licence | Apache-2.0 |", card);
        Assert.Contains("| Origin | model.onnx |", card);
        Assert.DoesNotContain("{{", card);
    }

    /// <summary>As a hub reads it: YAML between lines of dashes, with nothing that nobody declared.</summary>
    [Fact]
    public async Task The_model_card_begins_with_what_hubs_read()
    {
        var measured = FrontMatter(
            File.ReadAllText(
                Path.Combine((await WriteAsync("board", Report(Backend.Rknn, DeviceKind.Ssh, p95: 43.61))).Folder, "README.md")
            )
        );
        Assert.Equal(["license", "pipeline_tag", "tags", "model-index"], measured.Keys);
        Assert.Equal(("apache-2.0", "text-ranking"), (measured["license"], measured["pipeline_tag"]));
        var index = (IDictionary<object, object>)((IList<object>)measured["model-index"])[0];
        var result = (IDictionary<object, object>)((IList<object>)index["results"])[0];
        var figures = ((IList<object>)result["metrics"])
            .Cast<IDictionary<object, object>>()
            .ToDictionary(metric => metric["type"], metric => metric["value"]);
        Assert.Equal("0.95", ((string)figures["kendall_tau"])[..4]);
        // What was only simulated was not measured.
        var simulated = FrontMatter(File.ReadAllText(Path.Combine((await WriteAsync("out")).Folder, "README.md")));
        Assert.DoesNotContain("model-index", simulated.Keys);

        static Dictionary<string, object> FrontMatter(string card)
        {
            var parts = card.Split("---\n", 3);
            Assert.Equal("", parts[0]);
            Assert.StartsWith("\n# tiny-reranker", parts[2]);
            return new YamlDotNet.Serialization.DeserializerBuilder().Build().Deserialize<Dictionary<string, object>>(parts[1]);
        }
    }

    [Fact]
    public async Task A_package_of_measured_board_files_says_so_instead()
    {
        var package = await WriteAsync("out", Report(Backend.Rknn, DeviceKind.Ssh, p95: 43.61));
        var card = File.ReadAllText(Path.Combine(package.Folder, "README.md"));
        Assert.False(package.Manifest.Simulated);
        Assert.DoesNotContain("simulated", card);
        Assert.Contains("p95 43.6 ms on board", card);
        Assert.Contains("`.rknn` files run on rk3588 with librknnrt 2.3.2.", card);
    }

    [Fact]
    public async Task A_simulated_artifact_named_rknn_is_refused()
    {
        var report = Report();
        report = report with { Subject = report.Subject with { Artifact = "tiny.rknn" } };
        var error = await Assert.ThrowsAsync<PipelineException>(() => WriteAsync("out", report));
        Assert.Contains("'tiny.rknn' was made by the simulator backend", error.Message);
        Assert.False(Directory.Exists(Path.Combine(_folder, "out")));
    }

    [Fact]
    public async Task Anything_but_what_was_validated_is_refused_and_nothing_is_left()
    {
        var report = Report();
        File.AppendAllText(Artifact, "x");
        var error = await Assert.ThrowsAsync<PipelineException>(() => WriteAsync("out", report));
        Assert.Contains(report.Subject.ArtifactDigest.Sha256, error.Message);
        Assert.Contains(FileDigest.Of(Artifact, Cancellation).Sha256, error.Message);
        Assert.Empty(Entries("out"));
    }

    [Theory]
    [InlineData("../vocab.txt")]
    [InlineData("sub/vocab.txt")]
    [InlineData("vocab .txt")]
    [InlineData("-vocab.txt")]
    [InlineData(".hidden")]
    [InlineData("vocab.txt\n")]
    [InlineData("")]
    [InlineData("manifest.json")]
    [InlineData("sha256sums")]
    [InlineData("PRODUCTION.env")]
    public async Task A_name_that_is_unsafe_or_taken_is_refused(string name)
    {
        var content = Content(Report());
        content = content with { Files = [.. content.Files, new(name, Path.Combine(Sample, "vocab.txt"), PackageRole.Vocabulary)] };
        var error = await Assert.ThrowsAsync<PipelineException>(() =>
            Package.WriteAsync(content, Path.Combine(_folder, "out"), cancellation: Cancellation)
        );
        Assert.Contains($"'{name}'", error.Message, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task A_missing_file_and_a_model_without_a_report_are_refused_by_name()
    {
        var content = Content(Report());
        PackageContent[] wrong =
        [
            content with
            {
                Files = [.. content.Files, new("gone.txt", Path.Combine(_folder, "gone.txt"), PackageRole.Report)],
            },
            content with
            {
                Files = [.. content.Files, new("gone.onnx", Artifact, PackageRole.Model, "other")],
            },
            content with
            {
                Files = [],
                Reports = [content.Reports[0] with { Subject = content.Reports[0].Subject with { Artifact = "gone.onnx" } }],
            },
        ];
        foreach (var unsound in wrong)
            Assert.Contains(
                "gone",
                (
                    await Assert.ThrowsAsync<PipelineException>(() => Package.WriteAsync(unsound, _folder, cancellation: Cancellation))
                ).Message
            );
    }

    [Fact]
    public async Task Cancelling_leaves_nothing_half_written()
    {
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() =>
            Package.WriteAsync(Content(Report()), Path.Combine(_folder, "out"), cancellation: new(canceled: true))
        );
        using var source = new CancellationTokenSource();
        // Half of the bytes are the copy, so this stops in the archive.
        var late = new Synchronous(progress =>
        {
            if (progress.Done > progress.Total / 2)
                source.Cancel();
        });
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() =>
            Package.WriteAsync(Content(Report()), Path.Combine(_folder, "out"), late, source.Token)
        );
        Assert.Equal(["tiny-reranker-0.1.0"], Entries("out"));
    }

    [Fact]
    public async Task A_package_that_was_tampered_with_is_refused_with_every_fault()
    {
        var package = await WriteAsync("out");
        var vocabulary = Path.Combine(package.Folder, "vocab.txt");
        File.AppendAllText(vocabulary, "x");
        File.Delete(Path.Combine(package.Folder, "production.env"));
        File.WriteAllText(Path.Combine(package.Folder, "extra.sh"), "");
        Directory.CreateDirectory(Path.Combine(package.Folder, "extra"));
        var error = Assert.Throws<PipelineException>(() => PackageCheck.Verify<PackageManifest>(package.Folder, Cancellation));
        Assert.Contains($"vocab.txt has sha256 {FileDigest.Of(vocabulary, Cancellation).Sha256}, SHA256SUMS says", error.Message);
        Assert.Contains("production.env is missing", error.Message);
        Assert.Contains("extra is not in SHA256SUMS", error.Message);
        Assert.Contains("extra.sh is not in SHA256SUMS", error.Message);
    }

    [Fact]
    public async Task Sums_and_manifest_that_contradict_each_other_are_refused()
    {
        var package = await WriteAsync("out");
        File.AppendAllText(Path.Combine(package.Folder, "vocab.txt"), "x");
        var sums = Path.Combine(package.Folder, "SHA256SUMS");
        var old = package.Manifest.Files.Single(file => file.Name == "vocab.txt").Digest.Sha256;
        File.WriteAllText(
            sums,
            File.ReadAllText(sums).Replace(old, FileDigest.Of(Path.Combine(package.Folder, "vocab.txt"), Cancellation).Sha256)
        );
        Assert.Contains(
            "vocab.txt is not the file that manifest.json describes",
            Assert.Throws<PipelineException>(() => PackageCheck.Verify<PackageManifest>(package.Folder, Cancellation)).Message
        );
    }

    [Theory]
    [InlineData("{}", "cannot be read")]
    [InlineData("\"files\": [null]", "null among its files")]
    [InlineData("\"omitted\": [null]", "null among its files or variants")]
    [InlineData("\"files\": 1", "Download the package again.")]
    [InlineData("\"format\": 2", "has format 2")]
    public async Task A_manifest_of_another_shape_is_refused(string change, string message)
    {
        var package = await WriteAsync("out");
        var path = Path.Combine(package.Folder, "manifest.json");
        var manifest = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        if (change == "{}")
            manifest.Clear();
        else
            JsonNode.Parse($"{{{change}}}")!.AsObject().ToList().ForEach(pair => manifest[pair.Key] = pair.Value?.DeepClone());
        var before = FileDigest.Of(path, Cancellation).Sha256;
        File.WriteAllText(path, manifest.ToJsonString());
        var sums = Path.Combine(package.Folder, "SHA256SUMS");
        File.WriteAllText(sums, File.ReadAllText(sums).Replace(before, FileDigest.Of(path, Cancellation).Sha256));
        Assert.Contains(
            message,
            Assert.Throws<PipelineException>(() => PackageCheck.Verify<PackageManifest>(package.Folder, Cancellation)).Message
        );
    }

    [Theory]
    [InlineData("garbage")]
    [InlineData("0000000000000000000000000000000000000000000000000000000000000000  ../../etc/passwd")]
    [InlineData("0000000000000000000000000000000000000000000000000000000000000000  /etc/passwd")]
    [InlineData("0000  vocab.txt")]
    public async Task Sums_that_are_none_are_refused_with_their_line(string line)
    {
        var package = await WriteAsync("out");
        File.WriteAllText(Path.Combine(package.Folder, "SHA256SUMS"), line + "\n");
        Assert.Contains(
            "SHA256SUMS:1",
            Assert.Throws<PipelineException>(() => PackageCheck.Verify<PackageManifest>(package.Folder, Cancellation)).Message
        );
    }

    [Fact]
    public void A_folder_that_is_no_package_is_refused()
    {
        Assert.Contains(
            "SHA256SUMS is missing",
            Assert.Throws<PipelineException>(() => PackageCheck.Verify<PackageManifest>(_folder, Cancellation)).Message
        );
        Assert.Contains(
            "no such package folder",
            Assert
                .Throws<PipelineException>(() => PackageCheck.Verify<PackageManifest>(Path.Combine(_folder, "none"), Cancellation))
                .Message
        );
    }

    [Fact]
    public void Origins_show_neither_local_paths_nor_credentials()
    {
        Assert.Equal("model.onnx", PackageManifest.OriginOf(new() { File = "/home/me/secret/model.onnx" }));
        Assert.Equal(
            "https://example.org/m/model.onnx",
            PackageManifest.OriginOf(new() { Url = new("https://me:pass@example.org/m/model.onnx?sig=abc") })
        );
        Assert.Equal(
            "Hugging Face a/b, onnx/model.onnx at main",
            PackageManifest.OriginOf(new() { HuggingFace = new("a/b", "main", "onnx/model.onnx") })
        );
    }

    private string Artifact => Path.Combine(_folder, "artifact");

    /// <summary>A validated artifact: the sample model's first bytes, few enough to be archived in no time.</summary>
    private ValidationReport Report(Backend backend = Backend.Simulator, DeviceKind device = DeviceKind.Simulator, double? p95 = null)
    {
        File.WriteAllBytes(Artifact, ModelBytes);
        var report = SampleReports.Of("int8_normal", 2_732_811, backend, device, p95);
        return report with { Subject = report.Subject with { ArtifactDigest = FileDigest.Of(Artifact, Cancellation) } };
    }

    private PackageContent Content(ValidationReport report)
    {
        var validation = Path.Combine(_folder, "validation.json");
        ReportJson.Write(validation, report);
        var environment = Path.Combine(_folder, "production.env");
        File.WriteAllText(environment, "NPU_RERANK_ENABLED=0\n");
        var model = new ModelSpec
        {
            Name = "tiny-reranker",
            Version = "0.1.0",
            Task = ModelTask.Rerank,
            Licence = "Apache-2.0",
            Source = new() { File = Path.Combine(Sample, "model.onnx") },
            Tokenizer = new() { Vocab = new() { File = Path.Combine(Sample, "vocab.txt") } },
            Shapes = [new(1, 128)],
            Calibration = new() { Corpus = "sample" },
            Validation = new() { Corpus = "sample", Device = "simulator" },
            Variants =
            [
                new()
                {
                    Name = "int8_normal",
                    Backend = report.Subject.Backend,
                    Precision = Precision.W8A8,
                    Rewrites = [],
                    Gates = SampleReports.Gates,
                },
            ],
            Decision = new() { Npu = new Dictionary<string, string>(), Cpu = new Dictionary<string, string>() },
        };
        return new(
            model,
            [
                new("vocab.txt", Path.Combine(Sample, "vocab.txt"), PackageRole.Vocabulary),
                new(report.Subject.Artifact, Artifact, PackageRole.Model, report.Subject.Variant),
                new("validation.json", validation, PackageRole.Report),
                new("production.env", environment, PackageRole.Environment),
            ],
            [report],
            new Dictionary<string, string> { ["vocabulary"] = new('b', 64), ["model"] = new('a', 64) },
            new JsonObject { ["calibration"] = new JsonObject { ["samples"] = 100 } },
            new Dictionary<string, string> { ["onnxruntime"] = "1.31.1" }
        )
        {
            Routings = SampleReports.Routings([report]),
            Text = ReleaseText.Of(model),
        };
    }

    private Task<Package> WriteAsync(string parent, ValidationReport? report = null) =>
        Package.WriteAsync(Content(report ?? Report()), Path.Combine(_folder, parent), cancellation: Cancellation);

    private IEnumerable<string?> Entries(string parent) =>
        Directory
            .EnumerateFileSystemEntries(Path.Combine(_folder, parent))
            .Select(path => Path.GetFileName(path))
            .Order(StringComparer.Ordinal);

    private sealed class Synchronous(Action<StageProgress> report) : IProgress<StageProgress>
    {
        public void Report(StageProgress value) => report(value);
    }
}
