using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;
using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Sources;
using ModelPipeline.Tests.Artifacts.Downloads;

namespace ModelPipeline.Tests.Sources;

/// <summary>models.lock.json: what a branch stood for is written down once and then held to.</summary>
public sealed class ModelSourcesTests : IDisposable
{
    private const string First = "1111111111111111111111111111111111111111";
    private const string Second = "2222222222222222222222222222222222222222";
    private static readonly byte[] Vocabulary = Encoding.UTF8.GetBytes("[PAD]\n[UNK]\n");

    private readonly TemporaryFolder _folder = new();
    private string _head = First;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_branch_is_looked_up_once_and_then_held_to_until_update()
    {
        await using var hub = await StartHubAsync();
        var first = await FetchAsync(hub);
        Assert.Equal(First, first.Model.Commit);
        Assert.Equal(Model(First), File.ReadAllBytes(first.Model.Path));
        Assert.Equal(Vocabulary, File.ReadAllBytes(first.Vocabulary.Path));
        var locked = File.ReadAllText(_folder.File("models.lock.json"));
        Assert.Contains($"\"commit\": \"{First}\"", locked);
        Assert.Contains($"\"sha256\": \"{first.Model.Sha256}\"", locked);
        Assert.DoesNotContain(_folder.Path, locked);

        _head = Second;
        hub.Requests.Clear();
        Assert.Equal(first, await FetchAsync(hub));
        Assert.Empty(hub.Requests);

        // Another machine: an empty cache, the same lock.
        Directory.Delete(_folder.File("cache"), recursive: true);
        Assert.Equal(first, await FetchAsync(hub, locked: true));
        Assert.All(hub.Requests, request => Assert.Equal("GET", request.Method));
        Assert.Equal(locked, File.ReadAllText(_folder.File("models.lock.json")));

        Assert.Equal(
            [
                $"tiny.source.commit: \"{First}\" -> \"{Second}\"",
                $"tiny.source.sha256: \"{Hash(Model(First))}\" -> \"{Hash(Model(Second))}\"",
                "tiny.source.size: 41 -> 82",
                $"tiny.vocab.commit: \"{First}\" -> \"{Second}\"",
            ],
            await UpdateAsync(hub)
        );
        Assert.Empty(await UpdateAsync(hub));
        Assert.Equal(Model(Second), File.ReadAllBytes((await FetchAsync(hub, locked: true)).Model.Path));
    }

    [Fact]
    public async Task A_file_without_sha256_is_held_to_what_it_was_at_first_until_update()
    {
        await using var hub = await StartHubAsync();
        var path = _folder.Write("model.onnx", "first");
        var (source, vocab) = ("{ file: model.onnx }", $"{{ file: {_folder.Write("vocab.txt", Vocabulary)} }}");
        var first = await FetchAsync(hub, source: source, vocab: vocab);
        Assert.Equal(Hash(Encoding.UTF8.GetBytes("first")), first.Model.Sha256);
        Assert.Contains(first.Model.Sha256, File.ReadAllText(_folder.File("models.lock.json")));
        Assert.Equal(first, await FetchAsync(hub, locked: true, source: source, vocab: vocab));

        File.WriteAllText(path, "second");
        var failure = await Assert.ThrowsAsync<PipelineException>(() => FetchAsync(hub, source: source, vocab: vocab));
        Assert.Contains($"but was {first.Model.Sha256} when models.lock.json was written", failure.Message);

        Assert.Equal(2, (await UpdateAsync(hub, source, vocab)).Count);
        Assert.NotEqual(first.Model.Sha256, (await FetchAsync(hub, source: source, vocab: vocab)).Model.Sha256);
        Assert.Empty(hub.Requests);
    }

    [Fact]
    public async Task Locked_refuses_another_setting_or_source_by_name_before_any_request()
    {
        await using var hub = await StartHubAsync();
        Assert.Contains(
            "models.lock.json: tiny is not in it, and --locked forbids to add it; run --target=Update --model=tiny",
            await FailsAsync(hub, locked: true)
        );
        Assert.Empty(hub.Requests);
        Assert.False(File.Exists(_folder.File("models.lock.json")));

        Assert.StartsWith("tiny: new, ", Assert.Single(await UpdateAsync(hub)));
        hub.Requests.Clear();
        Assert.Contains(
            "tiny.settings.calibration.samples: 100 -> 50",
            await FailsAsync(hub, locked: true, settings: "    calibration: { corpus: c, samples: 50 }\n")
        );
        Assert.Contains("tiny.settings.variants.fp16.gates.kendall_tau.min: 0.9 -> 0.8", await FailsAsync(hub, locked: true, gate: "0.8"));
        Assert.Contains(
            "tiny.source.from: \"huggingface:org/tiny@main:model.onnx\" -> \"huggingface:org/tiny@dev:model.onnx\"",
            await FailsAsync(hub, locked: true, revision: "dev")
        );
        Assert.Empty(hub.Requests);
    }

    [Fact]
    public async Task Another_source_in_models_yaml_is_looked_up_anew()
    {
        await using var hub = await StartHubAsync();
        await FetchAsync(hub);
        _head = Second;
        Assert.Equal(Second, (await FetchAsync(hub, revision: "dev")).Model.Commit);
        Assert.Contains("org/tiny@dev", File.ReadAllText(_folder.File("models.lock.json")));
    }

    [Fact]
    public async Task A_hub_that_serves_other_bytes_under_the_locked_commit_is_refused()
    {
        await using (var hub = await StartHubAsync())
            await FetchAsync(hub);
        Directory.Delete(_folder.File("cache"), recursive: true);
        await using var liar = await LoopbackServer.StartAsync(context => context.Response.Body.WriteAsync(new byte[41]).AsTask());
        Assert.Contains($"sha256 is {Hash(new byte[41])}, but {Hash(Model(First))} is expected", await FailsAsync(liar));
    }

    [Fact]
    public async Task Offline_takes_what_the_cache_has_and_names_what_it_has_not()
    {
        await using var hub = await StartHubAsync();
        Assert.Contains(
            "what this revision stands for is not known offline; run once without --offline",
            await FailsAsync(hub, offline: true)
        );
        var fetched = await FetchAsync(hub);
        hub.Requests.Clear();
        Assert.Equal(fetched, await FetchAsync(hub, offline: true));
        File.Delete(fetched.Model.Path);
        Assert.Contains("not in the cache", await FailsAsync(hub, offline: true));
        Assert.Empty(hub.Requests);
    }

    [Fact]
    public async Task Files_that_models_yaml_pins_itself_are_locked_by_update_alone()
    {
        await using var hub = await StartHubAsync();
        var pinned = $"{{ file: vocab.txt, sha256: {Hash(Vocabulary)} }}";
        _folder.Write("vocab.txt", Vocabulary);
        await FetchAsync(hub, source: pinned, vocab: pinned);
        Assert.False(File.Exists(_folder.File("models.lock.json")));
        await UpdateAsync(hub, source: pinned, vocab: pinned);
        Assert.Contains("\"from\": \"vocab.txt\"", File.ReadAllText(_folder.File("models.lock.json")));
        await FetchAsync(hub, locked: true, source: pinned, vocab: pinned);
    }

    [Fact]
    public async Task The_other_files_of_a_tokenizer_are_fetched_and_held_to_as_well()
    {
        await using var hub = await StartHubAsync();
        const string Vocab =
            "{ huggingface: { repo: org/tiny, file: vocab.json } }, merges: { huggingface: { repo: org/tiny, file: merges.txt } }";
        var first = await FetchAsync(hub, vocab: Vocab);
        Assert.Equal(Vocabulary, File.ReadAllBytes(first.Companions["merges"].Path));
        Assert.Equal("merges.txt", Path.GetFileName(first.Companions["merges"].Path));
        Assert.Contains("\"from\": \"huggingface:org/tiny@main:merges.txt\"", File.ReadAllText(_folder.File("models.lock.json")));

        hub.Requests.Clear();
        Assert.Equal(first.Companions["merges"], (await FetchAsync(hub, locked: true, vocab: Vocab)).Companions["merges"]);
        Assert.Empty(hub.Requests);
        var error = await Assert.ThrowsAsync<PipelineException>(() =>
            FetchAsync(hub, locked: true, vocab: Vocab.Replace("merges.txt", "other.txt"))
        );
        Assert.Contains(
            "tiny.tokenizer.merges.from: \"huggingface:org/tiny@main:merges.txt\" -> \"huggingface:org/tiny@main:other.txt\"",
            error.Message
        );
        error = await Assert.ThrowsAsync<PipelineException>(() => FetchAsync(hub, locked: true));
        Assert.Contains("tiny.tokenizer.merges.from: \"huggingface:org/tiny@main:merges.txt\" -> (none)", error.Message);
    }

    [Fact]
    public async Task Files_that_say_how_an_embedder_pools_are_fetched_at_the_models_commit_and_locked_and_their_lack_too()
    {
        await using var hub = await StartHubAsync();
        var first = await FetchAsync(hub, task: "embed");
        Assert.Equal("modules.json", Assert.Single(first.Beside).Key);
        Assert.Contains(("GET", $"/org/tiny/resolve/{First}/modules.json"), hub.Requests.Select(request => (request.Method, request.Path)));
        Assert.Contains("\"from\": \"huggingface:org/tiny@main:modules.json\"", File.ReadAllText(_folder.File("models.lock.json")));

        hub.Requests.Clear();
        Assert.Equal(first.Beside, (await FetchAsync(hub, locked: true, task: "embed")).Beside);
        Assert.Empty(hub.Requests);
        Assert.Empty((await FetchAsync(hub, task: "embed", settings: "    pooling: cls\n    normalize: true\n")).Beside);
    }

    [Theory]
    [InlineData("{", "cannot be read as ModelsLock")]
    [InlineData("{\"version\": 2, \"models\": {}}", "version is 2, but this program knows 1")]
    [InlineData("{\"version\": 1, \"models\": {\"tiny\": {}}}", "cannot be read as ModelsLock")]
    public async Task A_damaged_lock_is_named(string text, string expected)
    {
        await using var hub = await StartHubAsync();
        _folder.Write("models.lock.json", text);
        var error = await FailsAsync(hub);
        Assert.Contains("models.lock.json: " + expected, error);
        Assert.DoesNotContain("delete", error, StringComparison.OrdinalIgnoreCase);
    }

    private static byte[] Model(string commit) => Encoding.UTF8.GetBytes(commit == First ? commit + "\n" : commit + "\n" + commit + "\n");

    private static string Hash(byte[] bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));

    private Task<LoopbackServer> StartHubAsync() =>
        LoopbackServer.StartAsync(async context =>
        {
            var parts = context.Request.Path.Value!.Split('/');
            if (parts[5] == "1_Pooling")
            {
                context.Response.StatusCode = StatusCodes.Status404NotFound;
                return;
            }
            var (commit, isModel) = (parts[4] is "main" or "dev" ? _head : parts[4], parts[5] == "model.onnx");
            var content = isModel ? Model(commit) : Vocabulary;
            context.Response.Headers["X-Repo-Commit"] = commit;
            context.Response.Headers.ETag = $"\"{Hash(content)}\"";
            context.Response.ContentLength = content.Length;
            if (HttpMethods.IsGet(context.Request.Method))
                await context.Response.Body.WriteAsync(content);
        });

    private Task<FetchedModel> FetchAsync(
        LoopbackServer hub,
        bool locked = false,
        bool offline = false,
        string revision = "main",
        string settings = "",
        string gate = "0.9",
        string? source = null,
        string? vocab = null,
        string task = "rerank"
    ) =>
        WithSourcesAsync(
            hub,
            locked,
            offline,
            Manifest(revision, settings, gate, source, vocab, task),
            sources => sources.FetchAsync("tiny", null, TestContext.Current.CancellationToken)
        );

    private Task<IReadOnlyList<string>> UpdateAsync(LoopbackServer hub, string? source = null, string? vocab = null) =>
        WithSourcesAsync(
            hub,
            false,
            false,
            Manifest("main", "", "0.9", source, vocab),
            sources => sources.UpdateAsync("tiny", null, TestContext.Current.CancellationToken)
        );

    private async Task<string> FailsAsync(
        LoopbackServer hub,
        bool locked = false,
        bool offline = false,
        string revision = "main",
        string settings = "",
        string gate = "0.9"
    ) => (await Assert.ThrowsAsync<PipelineException>(() => FetchAsync(hub, locked, offline, revision, settings, gate))).Message;

    private async Task<T> WithSourcesAsync<T>(
        LoopbackServer hub,
        bool locked,
        bool offline,
        ModelsManifest manifest,
        Func<ModelSources, Task<T>> use
    )
    {
        using var fetcher = new SourceFetcher(
            new SourceSettings
            {
                Cache = _folder.File("cache"),
                Hub = hub.Address,
                Offline = offline,
                RetryDelay = TimeSpan.FromMilliseconds(1),
            }
        );
        return await use(new ModelSources(manifest, fetcher, locked));
    }

    private ModelsManifest Manifest(string revision, string settings, string gate, string? source, string? vocab, string task = "rerank") =>
        ModelsYaml.Load(
            _folder.Write(
                "models.yaml",
                $$"""
                corpora:
                  c: { passages: p, queries: q, qrels: r, candidates: c }
                defaults:
                  calibration: { corpus: c }
                models:
                  tiny:
                    version: 1.0.0
                    task: {{task}}
                    source: {{source ?? $"{{ huggingface: {{ repo: org/tiny, revision: {revision}, file: model.onnx }} }}"}}
                    tokenizer: { vocab: {{vocab ?? $"{{ huggingface: {{ repo: org/tiny, revision: {revision}, file: vocab.txt }} }}"}} }
                    shapes: [[1, 128]]
                    variants:
                      fp16: { backend: simulator, precision: fp16, gates: { {{(
                    task == "embed" ? "cosine_mean" : "kendall_tau"
                )}}: { min: {{gate}} } } }

                """
                    + settings
            ),
            new ManifestOverrides(),
            _ => null
        );
}
