using System.Text.Json.Nodes;
using CliWrap;
using ModelPipeline.Artifacts;
using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;
using ModelPipeline.Decision;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Packaging;
using ModelPipeline.Publishing;
using ModelPipeline.Reports;
using ModelPipeline.Stages;
using ModelPipeline.Toolkit;
using ModelPipeline.Validation;

namespace ModelPipeline.Tests.Publishing;

public sealed class ReleaseTests : IDisposable
{
    private static readonly GateSpec Tau = new(Metric.KendallTau, 0.9, null, null);

    private readonly Packages packages = new();

    public void Dispose() => packages.Dispose();

    private string Root => Path.Combine(packages.Folder, "releases");

    [Fact]
    public async Task A_measured_board_file_and_a_cpu_file_are_released_with_all_that_vouches_for_them()
    {
        var (release, package) = await ReleaseAsync(
            packages.Report("int8", Backend.Rknn, DeviceKind.Ssh, 43.6),
            packages.Report("cpu-int8", Backend.Onnx)
        );
        Assert.Null(release.Refusal);
        Assert.Equal("tiny-reranker/v0.1.0", release.Tag);
        Assert.Equal(
            [
                "README.md",
                "SHA256SUMS",
                "decision.json",
                "manifest.json",
                "production.env",
                "provenance.intoto.json",
                "report.html",
                "sbom.cdx.json",
                "serve.json",
                "tiny-reranker-cpu-cpu-int8.onnx",
                "tiny-reranker-rk3588-int8.rknn",
                "vocab.txt",
            ],
            release.Files.Select(file => file.Name)
        );
        Assert.Equal(
            [("cpu-int8", "cpu"), ("int8", "rk3588")],
            release.Manifest.Files.Where(file => file.Role == PackageRole.Model).Select(file => (file.Variant, file.Platform))
        );

        Assert.True(ReleaseFolder.Write(release, package, Root, cancellation: Packages.Cancellation));
        var folder = Path.Combine(Root, "tiny-reranker", "v0.1.0");
        Assert.Equal(
            ReportJson.Text(release.Manifest),
            ReportJson.Text(PackageCheck.Verify<PackageManifest>(folder, Packages.Cancellation))
        );
        // It throws unless the program ends with 0.
        await Cli.Wrap("sha256sum")
            .WithArguments(["--strict", "--quiet", "-c", "SHA256SUMS"])
            .WithWorkingDirectory(folder)
            .ExecuteAsync(Packages.Cancellation);
    }

    [Fact]
    public async Task Nothing_simulated_failed_unmeasured_or_ungated_is_released()
    {
        var (release, package) = await ReleaseAsync(
            WithoutDevice.Refuse,
            packages.Report("sim", Backend.Simulator),
            packages.Report("predicted", Backend.Rknn),
            packages.Report("failed", Backend.Onnx, scores: "int8_unmasked_normal"),
            packages.Report("slow", Backend.Onnx, gates: [Tau, new(Metric.LatencyP95Ms, null, 100, null)]),
            packages.Report("ungated", Backend.Onnx, gates: []),
            packages.Report("good", Backend.Onnx)
        );
        Assert.False(release.IsCandidate);
        Assert.Equal(["good"], release.Manifest.Variants.Select(variant => variant.Subject.Variant));
        Assert.Equal(["sim", "predicted", "failed", "slow", "ungated"], release.Manifest.Omitted.Select(variant => variant.Variant));
        string[] reasons = ["is a simulation", "no device has run it", "below its minimum 0.900", "needs a device", "no accuracy gate"];
        Assert.All(release.Manifest.Omitted.Zip(reasons), pair => Assert.Contains(pair.Second, pair.First.Reason));

        ReleaseFolder.Write(release, package, Root, cancellation: Packages.Cancellation);
        var folder = ReleaseFolder.PathOf(Root, release.Tag);
        Assert.Equal(
            ["tiny-reranker-cpu-good.onnx"],
            Directory.EnumerateFiles(folder).Select(Path.GetFileName).Where(name => name!.StartsWith("tiny"))
        );
        foreach (var reader in new[] { Path.Combine(folder, "README.md"), folder + ".md" })
            Assert.All(release.Manifest.Omitted, variant => Assert.Contains($"- {variant.Variant} at 1x128: ", File.ReadAllText(reader)));
    }

    [Fact]
    public async Task What_only_a_board_can_decide_about_makes_a_candidate_that_says_what_is_open()
    {
        GateSpec latency = new(Metric.LatencyP95Ms, null, 100, null);
        var (release, package) = await ReleaseAsync(
            packages.Report("sim", Backend.Simulator),
            packages.Report("npu", Backend.Rknn, gates: [Tau, latency]),
            packages.Report("broken", Backend.Rknn, scores: "int8_unmasked_normal"),
            packages.Report("loopback", Backend.Rknn, DeviceKind.Loopback),
            packages.Report("unmeasured", Backend.Rknn, DeviceKind.Ssh, gates: [Tau, latency]),
            packages.Report("cpu", Backend.Onnx)
        );

        Assert.Equal(["npu", "cpu"], release.Manifest.Variants.Select(variant => variant.Subject.Variant));
        Assert.Equal(["sim", "broken", "loopback", "unmeasured"], release.Manifest.Omitted.Select(variant => variant.Variant));
        Assert.Equal(
            [
                "npu at 1x128: no device has run it: its figures are of the toolkit's simulator",
                "npu at 1x128: latency_p95_ms not measured: needs a device",
            ],
            release.Manifest.Open.Select(open => open.Sentence)
        );
        Assert.Equal(("0.1.0-rc", "tiny-reranker/v0.1.0-rc", null), (release.Version, release.Tag, release.Refusal));

        ReleaseFolder.Write(release, package, Root, cancellation: Packages.Cancellation);
        var folder = ReleaseFolder.PathOf(Root, release.Tag);
        Assert.DoesNotContain(Directory.EnumerateFiles(folder), name => name.Contains(".sim."));
        foreach (var reader in new[] { Path.Combine(folder, "README.md"), folder + ".md" })
            Assert.All(release.Manifest.Open, open => Assert.Contains($"- {open.Sentence}", File.ReadAllText(reader)));
        // Nothing of it runs on the NPU in production, and serve.json serves what the CPU can.
        Assert.Contains("NPU_RERANK_ENABLED=0", File.ReadAllText(Path.Combine(folder, "production.env")));
        var serve = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "serve.json")))!;
        Assert.Equal(("cpu", "0.1.0-rc"), ((string?)serve["serve"], (string?)serve["version"]));

        // It is restored as any release is, by its version.
        using var cache = new TemporaryFolder();
        using var fetcher = new SourceFetcher(SourceSettings.FromEnvironment(_ => null) with { Cache = cache.Path, Offline = true });
        var restored = await new ArtifactRestore(fetcher).RunAsync(
            new()
            {
                Model = "tiny-reranker",
                Version = "0.1.0-rc",
                Variant = "npu",
            },
            ReleaseSource.Parse(Root, "/"),
            cancellation: Packages.Cancellation
        );
        Assert.Equal(release.Manifest.Open, restored.Manifest.Open);
        Assert.Contains(restored.Files, file => file.Name == "tiny-reranker-rk3588-npu.rknn");
    }

    [Theory]
    [InlineData("1.2.3", "1.2.3-rc")]
    [InlineData("1.2.3-beta.1", "1.2.3-beta.1.rc")]
    [InlineData("1.2.3+build.7", "1.2.3-rc+build.7")]
    public void A_candidate_is_a_prerelease_of_its_version(string version, string candidate)
    {
        Assert.Equal(candidate, ReleaseVersion.Candidate(version));
        Assert.True(ReleaseVersion.IsPrerelease(candidate));
    }

    [Fact]
    public async Task A_variant_that_fails_at_one_shape_is_left_out_at_all()
    {
        var good = packages.Report("cpu-int8", Backend.Onnx);
        var bad = packages.Report("cpu-int8", Backend.Onnx, scores: "int8_unmasked_normal");
        bad = bad with { Subject = bad.Subject with { Shape = "1x512" } };
        var (folder, model) = await packages.WriteAsync([good]);
        var manifest = PackageCheck.Verify<PackageManifest>(folder, Packages.Cancellation);
        manifest = manifest with { Variants = [.. manifest.Variants, new(bad.Subject, bad.Reference, bad.Figures, bad.Gates)] };
        var release = Release.Of(ReleaseText.Of(model), manifest, Decision(folder));
        Assert.DoesNotContain(release.Files, file => file.Name == good.Subject.Artifact);
        Assert.Equal(["1x128", "1x512"], release.Manifest.Omitted.Select(variant => variant.Shape));
        Assert.Contains("does not pass at another shape", release.Manifest.Omitted[0].Reason);
        Assert.Contains("no variant may be released", release.Refusal);
    }

    [Fact]
    public async Task A_variant_whose_shapes_fail_together_is_left_out()
    {
        var good = packages.Report("cpu-int8", Backend.Onnx);
        var bad = packages.Report("cpu-int8", Backend.Onnx, scores: "int8_unmasked_normal");
        var (folder, model) = await packages.WriteAsync([good]);
        var routing = new VariantRouting("cpu-int8", [], new(0, 0, 0, 0), [], new Dictionary<string, double>(), bad.Gates);
        var release = Release.Of(
            ReleaseText.Of(model),
            PackageCheck.Verify<PackageManifest>(folder, Packages.Cancellation) with
            {
                Routings = [routing],
            },
            Decision(folder)
        );
        Assert.StartsWith("all its shapes together: kendall_tau", release.Manifest.Omitted.Single().Reason);
        Assert.Empty(release.Manifest.Routings);
    }

    [Fact]
    public async Task A_release_whose_environment_runs_what_is_left_out_is_refused()
    {
        // The decision has its own latency limit; a gate that no device measured still keeps the file back.
        var npu = packages.Report("int8", Backend.Rknn, DeviceKind.Ssh, 43.6, [Tau, new("latency_p99_ms", null, 100, null)]);
        var (release, _) = await ReleaseAsync(npu, packages.Report("cpu-int8", Backend.Onnx));
        Assert.Contains("production.env runs tiny-reranker-rk3588-int8.rknn, which may not be released", release.Refusal);
        Assert.Contains("latency_p99_ms not measured", release.Refusal);
    }

    [Fact]
    public async Task The_same_package_gives_the_same_bytes()
    {
        var report = packages.Report("cpu-int8", Backend.Onnx);
        var (first, package) = await ReleaseAsync(report);
        var (second, _) = await ReleaseAsync(report);
        Assert.Equal(first.Files, second.Files);
        ReleaseFolder.Write(first, package, Root, cancellation: Packages.Cancellation);
        Assert.All(
            first.Files,
            file => Assert.Equal(file.Digest, FileDigest.Of(Path.Combine(Root, first.Tag, file.Name), Packages.Cancellation))
        );
    }

    [Fact]
    public async Task Provenance_and_bill_of_materials_name_files_inputs_and_tools_by_digest()
    {
        var (release, _) = await ReleaseAsync(packages.Report("sim", Backend.Simulator), packages.Report("cpu-int8", Backend.Onnx));
        var statement = Json(release, "provenance.intoto.json");
        Assert.Equal("https://in-toto.io/Statement/v1", (string?)statement["_type"]);
        Assert.Equal("https://slsa.dev/provenance/v1", (string?)statement["predicateType"]);
        Assert.Equal(
            release
                .Files.Where(file => file.Name is not ("SHA256SUMS" or "provenance.intoto.json"))
                .Select(file => (file.Name, file.Digest.Sha256)),
            statement["subject"]!.AsArray().Select(subject => ((string)subject!["name"]!, (string)subject["digest"]!["sha256"]!))
        );
        Assert.Equal(
            [("model", new string('a', 64)), ("vocabulary", new string('b', 64))],
            statement["predicate"]!["buildDefinition"]!["resolvedDependencies"]!
                .AsArray()
                .Select(input => ((string)input!["name"]!, (string)input["digest"]!["sha256"]!))
        );

        var bill = Json(release, "sbom.cdx.json");
        Assert.Equal(("CycloneDX", "1.6"), ((string)bill["bomFormat"]!, (string)bill["specVersion"]!));
        var references = bill["components"]!.AsArray().Select(component => (string)component!["bom-ref"]!).ToList();
        Assert.Contains("file:tiny-reranker-cpu-cpu-int8.onnx", references);
        Assert.DoesNotContain(references, reference => reference.Contains("sim.onnx"));
        Assert.Equal(references.Count, references.Distinct().Count());
        references.Add((string)bill["metadata"]!["component"]!["bom-ref"]!);
        Assert.All(
            bill["dependencies"]!.AsArray(),
            dependency =>
            {
                Assert.Contains((string)dependency!["ref"]!, references);
                Assert.All(dependency["dependsOn"]!.AsArray(), other => Assert.Contains((string)other!, references));
            }
        );
    }

    [Fact]
    public async Task A_published_version_never_changes()
    {
        var (release, package) = await ReleaseAsync(packages.Report("cpu-int8", Backend.Onnx));
        Assert.True(ReleaseFolder.Write(release, package, Root, cancellation: Packages.Cancellation));
        Assert.False(ReleaseFolder.Write(release, package, Root, cancellation: Packages.Cancellation));
        var (other, otherPackage) = await ReleaseAsync(packages.Report("cpu-int8", Backend.Onnx, seed: 1));
        var error = Assert.Throws<PipelineException>(() =>
            ReleaseFolder.Write(other, otherPackage, Root, cancellation: Packages.Cancellation)
        );
        Assert.Contains("holds other bytes than this build's tiny-reranker/v0.1.0", error.Message);
        Assert.Contains("Raise version", error.Message);
        Assert.All(
            release.Files,
            file => Assert.Equal(file.Digest, FileDigest.Of(Path.Combine(Root, release.Tag, file.Name), Packages.Cancellation))
        );
        Assert.True(ReleaseFolder.Write(other, otherPackage, Root, replace: true, cancellation: Packages.Cancellation));
        Assert.Equal(
            other.Manifest.Files.Count,
            PackageCheck.Verify<PackageManifest>(Path.Combine(Root, other.Tag), Packages.Cancellation).Files.Count
        );
    }

    [Fact]
    public async Task A_dry_run_looks_at_what_is_in_the_folder()
    {
        var (release, package) = await ReleaseAsync(packages.Report("cpu-int8", Backend.Onnx));
        Assert.IsType<PublishStep.WriteFolder>(Assert.Single((await DryRunAsync(release, package)).Steps));
        Assert.False(Directory.Exists(Root));
        ReleaseFolder.Write(release, package, Root, cancellation: Packages.Cancellation);
        var outcome = await DryRunAsync(release, package);
        Assert.Empty(outcome.Steps);
        Assert.Equal(ReleaseFolder.PathOf(Root, release.Tag), outcome.Url!.LocalPath);
        var (other, otherPackage) = await ReleaseAsync(packages.Report("cpu-int8", Backend.Onnx, seed: 1));
        var error = await Assert.ThrowsAsync<PipelineException>(() => DryRunAsync(other, otherPackage));
        Assert.Contains("holds other bytes than this build's tiny-reranker/v0.1.0", error.Message);

        Task<PublishOutcome> DryRunAsync(Release release, string folder) =>
            new FolderPlace(Root).PublishAsync(
                release,
                folder,
                PublishExtent.DryRun,
                new(new Progress<StageProgress>(), _ => { }, _ => { }, Packages.Cancellation)
            );
    }

    [Fact]
    public async Task A_folder_is_written_whole_or_not_at_all()
    {
        var (release, package) = await ReleaseAsync(packages.Report("cpu-int8", Backend.Onnx));
        File.AppendAllText(Path.Combine(package, "vocab.txt"), "x");
        var error = Assert.Throws<PipelineException>(() =>
            ReleaseFolder.Write(release, package, Root, cancellation: Packages.Cancellation)
        );
        Assert.Contains("vocab.txt has sha256", error.Message);
        Assert.ThrowsAny<OperationCanceledException>(() => ReleaseFolder.Write(release, package, Root, cancellation: new(canceled: true)));
        Assert.Empty(Directory.EnumerateFileSystemEntries(Path.Combine(Root, "tiny-reranker")));
    }

    [Fact]
    public async Task A_part_of_the_declared_variants_is_not_published()
    {
        var (release, _) = await ReleaseAsync(packages.Report("cpu-int8", Backend.Onnx));
        var declared = Packages.Model([packages.Report("cpu-int8", Backend.Onnx), packages.Report("int8", Backend.Rknn)]);
        var error = Assert.Throws<PipelineException>(() => ReleaseStage.RequirePublishable(release, declared));
        Assert.Contains("int8 was not built", error.Message);
        ReleaseStage.RequirePublishable(release, Packages.Model([packages.Report("cpu-int8", Backend.Onnx)]));
    }

    [Fact]
    public async Task Notes_say_what_changed_against_the_last_version()
    {
        var (first, package) = await ReleaseAsync(packages.Report("cpu-int8", Backend.Onnx), packages.Report("old", Backend.Onnx));
        ReleaseFolder.Write(first, package, Root, cancellation: Packages.Cancellation);
        Assert.Contains("This is the first release.", File.ReadAllText(ReleaseFolder.PathOf(Root, first.Tag) + ".md"));
        // A later version that is there already is no predecessor.
        Directory.CreateDirectory(Path.Combine(Root, "tiny-reranker", "v0.10.0"));

        var (folder, model) = await packages.WriteAsync(
            [packages.Report("cpu-int8", Backend.Onnx, scores: "fp16"), packages.Report("int8", Backend.Rknn, DeviceKind.Ssh, 43.6)],
            "0.2.0",
            "1.32.0"
        );
        var second = Release.Of(
            ReleaseText.Of(model),
            PackageCheck.Verify<PackageManifest>(folder, Packages.Cancellation),
            Decision(folder)
        );
        ReleaseFolder.Write(second, folder, Root, cancellation: Packages.Cancellation);
        var notes = File.ReadAllText(ReleaseFolder.PathOf(Root, second.Tag) + ".md");
        Assert.Contains("Against 0.1.0:", notes);
        Assert.Contains("- New: int8 at 1x128.", notes);
        Assert.Contains("- Gone: old at 1x128.", notes);
        Assert.Contains("- Tool onnxruntime: 1.31.1 -> 1.32.0.", notes);
        var (before, now) = (first.Manifest.Variants[0].Figures[Metric.KendallTau], second.Manifest.Variants[0].Figures[Metric.KendallTau]);
        Assert.Contains(
            FormattableString.Invariant($"| cpu-int8 1x128 | Kendall tau | {before:F3} | {now:F3} | +{now - before:F3} |"),
            notes
        );
        Assert.Contains("| int8 | 1x128 | passed | kendall_tau ", notes);
        Assert.Contains("`tiny-reranker-rk3588-int8.rknn` runs on rk3588", notes);
    }

    [Fact]
    public async Task Notes_compare_the_compilers_reports_of_both_versions()
    {
        var report = packages.Report("int8", Backend.Rknn, DeviceKind.Ssh, 43.6);
        var (first, second) = (
            await ManifestAsync("0.1.0", new CompileReport("2.3.2", true, [], [], [], 553.3, 5637)),
            await ManifestAsync("0.2.0", new CompileReport("2.3.2", true, [], [], [], 281.4, 5637))
        );
        var notes = ReleaseNotes.Render(second, first);
        Assert.Contains("| int8 1x128 | internal_kb | 553.3 | 281.4 | changed |", notes);
        Assert.DoesNotContain("weight_kb", notes);

        async Task<PackageManifest> ManifestAsync(string version, CompileReport compiled)
        {
            var (folder, model) = await packages.WriteAsync(
                [report with { Toolkit = new ToolkitFindings(CompileSummary.Of(compiled), new ToolkitNotes([], [], [], [])) }],
                version
            );
            return Release
                .Of(ReleaseText.Of(model), PackageCheck.Verify<PackageManifest>(folder, Packages.Cancellation), Decision(folder))
                .Manifest;
        }
    }

    [Theory]
    [InlineData("1.10.0", "1.9.0")]
    [InlineData("1.0.0", "1.0.0-rc.1")]
    [InlineData("1.0.0-rc.1", "0.9.0")]
    [InlineData("0.0.1", null)]
    public void The_last_version_is_the_highest_lower_one(string version, string? expected) =>
        Assert.Equal(
            expected,
            ReleaseVersion.LastBefore(version, ["1.9.0", "1.10.0", "0.9.0", "1.0.0-rc.1", "1.0.0", "0.0.1", "latest", "2.0.0"])
        );

    private Task<(Release Release, string Package)> ReleaseAsync(params ValidationReport[] reports) =>
        ReleaseAsync(WithoutDevice.Prerelease, reports);

    private async Task<(Release Release, string Package)> ReleaseAsync(WithoutDevice withoutDevice, params ValidationReport[] reports)
    {
        var (folder, model) = await packages.WriteAsync(reports);
        var manifest = PackageCheck.Verify<PackageManifest>(folder, Packages.Cancellation);
        return (Release.Of(ReleaseText.Of(model), manifest, Decision(folder), withoutDevice), folder);
    }

    private static ProductionDecision Decision(string package) =>
        ReportJson.Read<ProductionDecision>(Path.Combine(package, "decision.json"));

    private static JsonNode Json(Release release, string name) => JsonNode.Parse(release.Files.Single(file => file.Name == name).Text!)!;
}
