using System.Formats.Tar;
using System.Globalization;
using System.IO.Compression;
using System.Text.Json.Nodes;
using CliWrap;
using CliWrap.Buffered;
using ModelPipeline.Artifacts;
using ModelPipeline.Core;
using ModelPipeline.Metrics;
using ModelPipeline.Packaging;
using ModelPipeline.Tests.Artifacts;
using ModelPipeline.Validation;

namespace ModelPipeline.Tests.EndToEnd;

/// <summary>The main job once, with models.yaml as it is.</summary>
public sealed class DefaultRun : IAsyncLifetime
{
    internal Workspace Workspace { get; } = new();

    internal HostRun Run { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Run = (await Workspace.RunAsync()).Succeeded();

    public ValueTask DisposeAsync()
    {
        Workspace.Dispose();
        return ValueTask.CompletedTask;
    }
}

/// <summary>What the first command of the README leaves behind.</summary>
public sealed class DefaultRunTests(DefaultRun finished) : IClassFixture<DefaultRun>
{
    private readonly Workspace workspace = finished.Workspace;
    private readonly HostRun run = finished.Run;

    [Fact]
    public void Half_precision_ranks_as_fp32_does()
    {
        var report = Report("fp16");
        Assert.InRange(report.Figures[Metric.KendallTau], 0.999, 1);
        Assert.InRange(report.Figures[Metric.SizeMb] / report.Reference[Metric.SizeMb], 0.49, 0.52);
    }

    [Fact]
    public void Eight_bits_move_ndcg_by_at_most_a_hundredth()
    {
        var report = Report("int8");
        Assert.Equal(0.763, report.Reference[Metric.NdcgAt10], 0.0005);
        Assert.InRange(report.Figures[Metric.NdcgAt10], report.Reference[Metric.NdcgAt10] - 0.01, report.Reference[Metric.NdcgAt10] + 0.01);
        Assert.InRange(report.Figures[Metric.SizeMb] / report.Reference[Metric.SizeMb], 0.25, 0.3);
    }

    [Fact]
    public void Every_query_of_the_sample_is_ranked()
    {
        var queries = File.ReadLines(RepositoryFiles.Sample("corpus/queries.jsonl")).Count();
        Assert.All(Reports(), report => Assert.Equal(queries, report.Queries.Count));
    }

    [Fact]
    public async Task The_sample_consumer_ranks_passages_by_the_release_without_a_package_feed()
    {
        var ranked = await ConsumedAsync(workspace, "how do I know the dough has been kneaded enough");
        Assert.Equal(5, ranked.Length);
        Assert.StartsWith("1. ", ranked[0]);
        Assert.Contains("To judge whether dough has been worked long enough", ranked[0]);
    }

    /// <summary>What answers the question stands behind the 128 tokens of the sample's own release.</summary>
    [Fact]
    public async Task The_sample_consumer_reads_as_much_of_a_passage_as_the_longest_shape_of_serve_json_takes()
    {
        using var longer = new Workspace(Workspace.TenQueries, ("shapes: [[1, 128]] ", "shapes: [[1, 64], [1, 256]] "));
        (await longer.RunAsync("--target=Release", "--variant=cpu-int8")).Succeeded();
        var (answer, aside) = (Passage("To judge whether dough"), Passage("Press a floured finger"));
        var late = string.Join(' ', Enumerable.Repeat(Passage("Salt does more"), 3)) + " " + answer;

        var ranked = await ConsumedAsync(longer, "how do I know the dough has been kneaded enough", aside, late);

        Assert.Contains("Salt does more", ranked[0]);

        static string Passage(string start) =>
            File.ReadLines(RepositoryFiles.Sample("corpus/passages.jsonl"))
                .Select(line => (string)JsonNode.Parse(line)!["text"]!)
                .Single(text => text.StartsWith(start, StringComparison.Ordinal));
    }

    private static async Task<string[]> ConsumedAsync(Workspace released, params string[] arguments)
    {
        using var cache = new TemporaryFolder();
        var consumer = await DotNet.RunAsync(
            RepositoryFiles.Root,
            [
                "run",
                "-c",
                DotNet.Configuration,
                "--project",
                "tests/SampleConsumer",
                "-p:BuildProjectReferences=false",
                $"-p:RestoreSources={cache.Path}",
                $"-p:ModelArtifactSource={released.Folder}/artifacts/release",
                $"-p:ModelArtifactCache={cache.Path}",
                "--",
                .. arguments,
            ]
        );
        return consumer.Succeeded().Output.TrimEnd().Split('\n');
    }

    [Fact]
    public async Task The_script_engine_makes_the_same_variants()
    {
        using var folder = new TemporaryFolder();
        (
            await DotNet.CakeAsync(
                folder.File("cache"),
                "--target=Quantize",
                "--model=tiny-reranker",
                $"--manifest={workspace.Manifest}",
                $"--artifacts={folder.Path}"
            )
        ).Succeeded();
        var made = Directory
            .EnumerateFiles(folder.File("models/tiny-reranker/variants"), "*.onnx", SearchOption.AllDirectories)
            .ToDictionary(path => Path.GetRelativePath(folder.Path, path), path => FileDigest.Of(path));
        Assert.Equal(3, made.Count);
        Assert.All(made, file => Assert.Equal(workspace.Files()[file.Key].Digest, file.Value));
    }

    [Fact]
    public void The_summary_shows_the_figures_of_the_reports()
    {
        var rows = Rows(run.Output);
        Assert.Equal(["fp32", "BM25", "random orders", .. Variants().Select(variant => $"{variant} 1x128")], rows.Keys);
        foreach (var report in Reports())
        {
            string[] figures =
            [
                .. new[] { Metric.SizeMb, Metric.NdcgAt10, Metric.KendallTau }.Select(metric =>
                    Metric.Named(metric).Format(report.Figures[metric])
                ),
            ];
            var row = rows[$"{report.Subject.Variant} 1x128"];
            Assert.Equal([report.Subject.Simulated ? "sim" : "cpu", .. figures], row[..4].Select(cell => cell.Split('±')[0]));
            Assert.All(row[2..4], cell => Assert.Contains("±.0", cell));
            Assert.Equal($"{report.Gates.Count} passed", row[5]);
        }
    }

    /// <summary>A README whose example shows other figures than the software makes is out of date. Rounding may differ between
    /// processors.</summary>
    [Fact]
    public void The_summary_in_the_readme_is_what_comes_out()
    {
        var printed = Rows(run.Output);
        var shown = Rows(File.ReadAllText(Path.Combine(RepositoryFiles.Root, "README.md")));
        Assert.Equal(printed.Keys, shown.Keys);
        foreach (var (name, row) in shown)
        {
            Assert.Equal(printed[name][..2], row[..2]);
            foreach (var column in new[] { 2, 3 })
            {
                foreach (var (came, stands) in printed[name][column].Split('±').Zip(row[column].Split('±')))
                    Assert.Equal(Number(came), Number(stands), 0.01);
            }
            Assert.Equal(printed[name][5], row[5]);
        }

        static double Number(string cell) => cell == "" ? -1 : double.Parse(cell, CultureInfo.InvariantCulture);
    }

    [Fact]
    public void The_summary_fits_80_columns_and_opens_with_the_paragraph_of_report_card_and_decision()
    {
        var lines = run.Output.Split('\n').SkipWhile(line => !line.StartsWith("Run ", StringComparison.Ordinal)).ToList();
        var summary = lines.TakeWhile(line => !line.StartsWith("  artifacts/", StringComparison.Ordinal)).ToList();
        Assert.All(summary, line => Assert.InRange(line.TrimEnd().Length, 0, 80));
        var advice = string.Join(' ', summary.TakeWhile(line => !line.Contains("tiny-reranker 0.1.0", StringComparison.Ordinal)));
        Assert.StartsWith("Run tiny-reranker-0.1.0-cpu-int8.onnx on the CPU. ", advice);
        Assert.Equal(advice, (string?)JsonNode.Parse(File.ReadAllText(workspace.Built("decision.json")))!["advice"]);
        Assert.Contains(advice, System.Net.WebUtility.HtmlDecode(File.ReadAllText(workspace.Built("validation/report.html"))));
        Assert.Contains(advice, File.ReadAllText(Path.Combine(workspace.Release, "README.md")).Replace("\\", ""));
        Assert.Equal(advice, workspace.VerifiedPackage().Advice);
    }

    [Fact]
    public void The_printed_paths_are_there()
    {
        string[] printed =
        [
            .. run
                .Output.Split('\n')
                .Where(line => line.StartsWith("  artifacts/", StringComparison.Ordinal))
                .Select(line => Path.Combine(workspace.Folder, line.Trim())),
        ];
        Assert.Equal(
            [
                workspace.Built("validation/report.html"),
                workspace.Built("production.env"),
                workspace.Package,
                workspace.Package + ".tar.gz",
                workspace.Release,
            ],
            printed
        );
        Assert.All(printed, path => Assert.True(Path.Exists(path), path));
    }

    [Fact]
    public void The_package_passes_its_own_check()
    {
        var manifest = workspace.VerifiedPackage();
        Assert.True(manifest.Simulated);
        Assert.Equal(Variants(), manifest.Variants.Select(variant => variant.Subject.Variant));
        Assert.All(manifest.Variants, variant => Assert.All(variant.Gates, gate => Assert.Equal(GateResult.Passed, gate.Result)));
        Assert.Equal(workspace.Spec().Source.Sha256, manifest.Inputs["model"]);
        Assert.All(manifest.Files, file => Assert.Equal(file.Simulated, file.Name.EndsWith(".sim.onnx", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task The_package_passes_sha256sum()
    {
        // It throws unless the program ends with 0.
        var check = await Cli.Wrap("sha256sum")
            .WithArguments(["--check", "--strict", "SHA256SUMS"])
            .WithWorkingDirectory(workspace.Package)
            .ExecuteBufferedAsync(TestContext.Current.CancellationToken);
        var lines = check.StandardOutput.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(Directory.GetFiles(workspace.Package).Length - 1, lines.Length);
    }

    [Fact]
    public async Task The_archive_holds_the_same_package()
    {
        using var folder = new TemporaryFolder();
        await using (var archive = new GZipStream(File.OpenRead(workspace.Package + ".tar.gz"), CompressionMode.Decompress))
            await TarFile.ExtractToDirectoryAsync(archive, folder.Path, overwriteFiles: false, TestContext.Current.CancellationToken);
        var unpacked = folder.File(Path.GetFileName(workspace.Package));
        PackageCheck.Verify<PackageManifest>(unpacked, TestContext.Current.CancellationToken);
        Assert.Equal(
            await File.ReadAllTextAsync(Path.Combine(workspace.Package, "SHA256SUMS"), TestContext.Current.CancellationToken),
            await File.ReadAllTextAsync(Path.Combine(unpacked, "SHA256SUMS"), TestContext.Current.CancellationToken)
        );
    }

    [Fact]
    public void Nothing_simulated_goes_into_production()
    {
        Assert.Equal(
            ["NPU_EMBEDDER_ENABLED=1", "NPU_RERANK_ENABLED=0", "RERANK_MODEL=ms-marco-MiniLM-L-12-v2"],
            File.ReadLines(workspace.Built("production.env")).Where(line => !line.StartsWith('#')).Order()
        );
        var decision = JsonNode.Parse(File.ReadAllText(workspace.Built("decision.json")))!;
        Assert.Null(decision["winner"]);
        var simulated = decision["variants"]!
            .AsArray()
            .Where(variant => variant!["artifact"]!.GetValue<string>().EndsWith(".sim.onnx", StringComparison.Ordinal))
            .ToList();
        Assert.Equal(2, simulated.Count);
        Assert.All(simulated, variant => Assert.Contains("not measured: needs a device", variant!.ToJsonString()));
    }

    [Fact]
    public void What_may_be_published_is_released_and_nothing_else()
    {
        var manifest = PackageCheck.Verify<PackageManifest>(workspace.Release, TestContext.Current.CancellationToken);
        Assert.Equal(
            ["tiny-reranker-0.1.0-cpu-int8.onnx"],
            manifest.Files.Where(file => file.Role == PackageRole.Model).Select(file => file.Name)
        );
        Assert.Equal(["fp16", "int8"], manifest.Omitted.Select(variant => variant.Variant));
        Assert.DoesNotContain(Directory.EnumerateFiles(workspace.Release), file => file.Contains(".sim.", StringComparison.Ordinal));
    }

    [Fact]
    public void The_mask_rewrite_found_its_constant_and_left_fp32_as_it_was()
    {
        var report = JsonNode.Parse(File.ReadAllText(workspace.Built("prepared/1x128/families/prepare.json")))!;
        var mask = report["passes"]!.AsArray().Single(pass => (string?)pass!["name"] == "mask")!;
        Assert.True((bool)mask["applied"]!);
        Assert.NotEmpty(mask["matches"]!.AsArray());
        Assert.InRange((double)mask["score_shift"]!, 0, 1e-3);
    }

    [Fact]
    public void The_calibration_set_has_the_declared_samples()
    {
        var samples = workspace.Spec().Calibration.Samples;
        var lines = File.ReadAllLines(workspace.Built("calibration/1x128/calibration_dataset.txt"));
        Assert.Equal(samples, lines.Length);
        Assert.All(
            lines,
            line => Assert.All(line.Split(' '), file => Assert.True(File.Exists(workspace.Built("calibration/1x128/" + file)), file))
        );
    }

    [Fact]
    public void Nothing_unfinished_is_left()
    {
        Assert.DoesNotContain(workspace.Files().Keys, name => name.EndsWith(AtomicFile.TemporarySuffix, StringComparison.Ordinal));
        Assert.Equal(["artifacts", "models.yaml"], Directory.EnumerateFileSystemEntries(workspace.Folder).Select(Path.GetFileName).Order());
    }

    [Fact]
    public void No_output_names_a_place_on_this_machine()
    {
        string[] texts = [".json", ".html", ".md", ".env", ".txt", ""];
        foreach (
            var file in Directory
                .EnumerateFiles(workspace.Folder, "*", SearchOption.AllDirectories)
                .Where(file => file != workspace.Manifest && texts.Contains(Path.GetExtension(file)))
        )
        {
            var text = File.ReadAllText(file);
            Assert.DoesNotContain(workspace.Folder, text);
            Assert.DoesNotContain(RepositoryFiles.Root, text);
        }
    }

    private IEnumerable<string> Variants() => workspace.Spec().Variants.Select(variant => variant.Name);

    private IEnumerable<ValidationReport> Reports() => Variants().Select(Report);

    private ValidationReport Report(string variant) =>
        ReportJson.Read<ValidationReport>(workspace.Built($"validation/{variant}/1x128/validation.json"));

    /// <summary>Cells of a summary table by what stands in the first: who gave it, size, NDCG@10, tau, p50, gates.</summary>
    private static OrderedDictionary<string, string[]> Rows(string text) =>
        new(
            text.Split('\n')
                .Where(line => line.StartsWith('│'))
                .Select(line => line.Split('│', StringSplitOptions.TrimEntries)[1..^1])
                .SkipWhile(cells => cells[0] != "Variant")
                .Skip(1)
                .Select(cells => KeyValuePair.Create(cells[0], cells[1..]))
        );
}
