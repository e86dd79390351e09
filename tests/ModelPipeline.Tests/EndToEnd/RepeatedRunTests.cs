using ModelPipeline.Core;

namespace ModelPipeline.Tests.EndToEnd;

/// <summary>One finished run on ten queries, to be copied and run again.</summary>
public sealed class QuickRun : IAsyncLifetime
{
    private readonly Workspace workspace = new(Workspace.TenQueries);

    /// <summary>A copy of what the run left.</summary>
    internal Workspace Copy() => workspace.Copy();

    public async ValueTask InitializeAsync() => (await workspace.RunAsync()).Succeeded();

    public ValueTask DisposeAsync()
    {
        workspace.Dispose();
        return ValueTask.CompletedTask;
    }
}

[CollectionDefinition(Name)]
public sealed class QuickRuns : ICollectionFixture<QuickRun>
{
    public const string Name = "Quick runs";
}

/// <summary>What a run does again, and what it leaves as it is.</summary>
[Collection(QuickRuns.Name)]
public sealed class RepeatedRunTests(QuickRun finished)
{
    /// <summary>Scores and the times they took are measured; everything else is judged and told anew from them.</summary>
    private static readonly string[] Retold = ["ranking.json", "validation.json", "report.html", "decision.json", "production.env"];

    [Fact]
    public async Task A_second_run_does_no_work()
    {
        using var workspace = finished.Copy();
        var before = workspace.Files();
        (await workspace.RunAsync()).Succeeded();
        var after = workspace.Files();
        // Among them latency.json, which no two measurements make alike.
        Assert.Equal(Digests(before), Digests(after));
        Assert.Equal([], Changed(before, after).Select(Path.GetFileName).Except(Retold));
        Assert.Equal(before["packages/tiny-reranker-0.1.0.tar.gz"].Changed, after["packages/tiny-reranker-0.1.0.tar.gz"].Changed);
    }

    [Fact]
    public async Task Another_folder_gets_the_same_bytes()
    {
        using var first = finished.Copy();
        using var second = new Workspace(Workspace.TenQueries);
        (await second.RunAsync($"--artifacts={second.Folder}/artifacts", "--target=Release:tiny-reranker")).Succeeded();
        var before = Digests(first.Files());
        Assert.Contains("packages/tiny-reranker-0.1.0.tar.gz", before.Keys);
        Assert.Contains("packages/tiny-reranker-0.1.0/SHA256SUMS", before.Keys);
        Assert.Equal(Reproducible(before), Reproducible(Digests(second.Files())));

        static IEnumerable<KeyValuePair<string, FileDigest>> Reproducible(IReadOnlyDictionary<string, FileDigest> files) =>
            files.Where(file => Path.GetFileName(file.Key) is not ("latency.json" or "measure.stage.json"));
    }

    [Fact]
    public async Task Forced_conversion_builds_the_same_artifacts_again()
    {
        using var workspace = finished.Copy();
        var before = workspace.Files();
        (await workspace.RunAsync(("FORCE_CONVERT", "1"))).Succeeded();
        var after = workspace.Files();
        Assert.Equal(Digests(before), Digests(after));
        Assert.Equal(
            after.Keys.Where(name => name.StartsWith("models/tiny-reranker/variants/", StringComparison.Ordinal)),
            Changed(before, after).Where(name => !Retold.Contains(Path.GetFileName(name)))
        );
    }

    [Fact]
    public async Task A_regenerated_dataset_has_the_same_bytes()
    {
        using var workspace = finished.Copy();
        var before = workspace.Files();
        (await workspace.RunAsync(("REGENERATE_DATASET", "1"), "--target=Calibrate")).Succeeded();
        var after = workspace.Files();
        Assert.Equal(Digests(before), Digests(after));
        var changed = Changed(before, after).Where(name => !Retold.Contains(Path.GetFileName(name))).ToList();
        Assert.Contains("models/tiny-reranker/calibration/1x128/sample_0000/input_ids.npy", changed);
        Assert.All(changed, name => Assert.StartsWith("models/tiny-reranker/calibration/", name));
    }

    [Fact]
    public async Task Damaged_outputs_are_made_again()
    {
        using var workspace = finished.Copy();
        var before = workspace.Files();
        await File.AppendAllTextAsync(workspace.Artifact(), "x", TestContext.Current.CancellationToken);
        File.Delete(workspace.Built("latency/latency.json"));
        File.Delete(workspace.Built("calibration/1x128/sample_0003/input_ids.npy"));
        File.Delete(Path.Combine(workspace.Package, "vocab.txt"));
        (await workspace.RunAsync()).Succeeded();
        var after = workspace.Files();
        Assert.Equal(before.Keys, after.Keys);
        Assert.Equal(before["packages/tiny-reranker-0.1.0.tar.gz"].Digest, after["packages/tiny-reranker-0.1.0.tar.gz"].Digest);
        workspace.VerifiedPackage();
    }

    [Fact]
    public async Task Clean_deletes_what_was_built_and_nothing_else()
    {
        using var workspace = finished.Copy();
        var kept = Path.Combine(workspace.Folder, "artifacts", "notes.txt");
        await File.WriteAllTextAsync(kept, "mine", TestContext.Current.CancellationToken);
        (await workspace.RunAsync("--target=Clean")).Succeeded();
        Assert.Equal(["notes.txt"], workspace.Files().Keys);
        Assert.True(File.Exists(workspace.Manifest));
    }

    private static Dictionary<string, FileDigest> Digests(IReadOnlyDictionary<string, BuiltFile> files) =>
        files.ToDictionary(file => file.Key, file => file.Value.Digest);

    private static IEnumerable<string> Changed(
        IReadOnlyDictionary<string, BuiltFile> before,
        IReadOnlyDictionary<string, BuiltFile> after
    ) => after.Where(file => before.GetValueOrDefault(file.Key)?.Changed != file.Value.Changed).Select(file => file.Key);
}
