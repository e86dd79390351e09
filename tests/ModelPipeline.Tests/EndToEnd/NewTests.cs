using ModelPipeline.Artifacts;
using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Packaging;
using ModelPipeline.Sources;
using ModelPipeline.Stages;
using ModelPipeline.Tests.Onnx;
using ModelPipeline.Tests.Sources;

namespace ModelPipeline.Tests.EndToEnd;

/// <summary>From an empty folder and a name to a gated package: one command each.</summary>
public sealed class NewTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData("bert")]
    [InlineData("roberta")]
    [InlineData("xlmr")]
    public async Task A_repository_of_the_hub_becomes_a_gated_package(string kind)
    {
        var files = kind switch
        {
            "bert" => SmallRepositories.BertReranker(),
            "roberta" => SmallRepositories.RobertaReranker(),
            "xlmr" => SmallRepositories.XlmrReranker(),
            _ => throw new ArgumentOutOfRangeException(nameof(kind)),
        };
        // A mirror that serves files alone will do as well as the hub with its API.
        await using var hub = await HubStandIn.StartAsync("org/some-model", files, lists: kind is "bert" or "roberta");
        var environment = hub.Environment(folder);
        folder.Write("texts.txt", SmallRepositories.Texts());

        var made = (
            await HostProcess.RunAsync(folder.Path, ["--target=New", "--from=hf:org/some-model", "--corpus=texts.txt"], environment)
        ).Succeeded();
        Assert.Contains("models.yaml has some-model now: read it, then build it with --model=some-model", made.Output);
        var model = Assert.Single(Load().Models);
        Assert.Equal(HubStandIn.Commit, model.Source.HuggingFace!.Revision);
        Assert.Equal(64, model.Source.Sha256!.Length);
        Assert.Equal("rerank", model.Task);
        Assert.InRange(Assert.Single(model.Shapes).Sequence, 32, 256);

        await hub.DisposeAsync();
        var run = await HostProcess.RunAsync(folder.Path, ["--offline", "--allow-failed-variants"], environment);
        run.Succeeded();
        var package = PackageCheck.Verify<PackageManifest>(
            folder.File("artifacts/packages/some-model-0.1.0"),
            TestContext.Current.CancellationToken
        );
        Assert.NotEmpty(package.Variants);
        Assert.All(package.Variants.SelectMany(variant => variant.Gates), gate => Assert.Equal(GateResult.Passed, gate.Result));
        Assert.All(package.Variants, variant => Assert.NotEmpty(variant.Gates));
    }

    /// <summary>The commands of "Your own model", with little weights in the place of bge's.</summary>
    [Fact]
    public async Task The_readmes_steps_take_a_newcomer_to_a_package()
    {
        var readme = File.ReadAllText(Path.Combine(RepositoryFiles.Root, "README.md"));
        var section = readme[
            readme.IndexOf("## Your own model", StringComparison.Ordinal)..readme.IndexOf("## models.yaml", StringComparison.Ordinal)
        ];
        var commands = section.Split('\n').Where(line => line.StartsWith("~/ModelPipeline/build.sh ", StringComparison.Ordinal)).ToList();
        Assert.Equal(3, commands.Count);
        await using var hub = await HubStandIn.StartAsync("BAAI/bge-small-en-v1.5", SmallRepositories.ClsEmbedder());
        Directory.CreateDirectory(folder.File("texts"));
        folder.Write("texts/a.txt", SmallRepositories.Texts());
        foreach (var command in commands)
            (await HostProcess.RunAsync(folder.Path, command.Split(' ')[1..], hub.Environment(folder))).Succeeded();

        var model = Assert.Single(Load().Models);
        Assert.Equal(
            ("embed", "cls", true, new TextPrefixes("search: ")),
            (model.Task, model.Pooling, model.Normalize, model.Tokenizer.Prefixes)
        );
        Assert.InRange(Assert.Single(model.Shapes).Sequence, 16, 64);
        var package = folder.File("artifacts/packages/bge-small-en-v1.5-0.1.0");
        Assert.NotEmpty(PackageCheck.Verify<PackageManifest>(package, TestContext.Current.CancellationToken).Variants);
    }

    [Fact]
    public async Task A_folder_is_added_to_a_models_yaml_whose_text_stays()
    {
        var model = Directory.CreateDirectory(folder.File("my-export")).FullName;
        foreach (var (name, content) in SmallRepositories.BertReranker().Where(file => !file.Key.Contains('/')))
            File.WriteAllBytes(Path.Combine(model, name), content);
        // As large exports are: weights in a file beside it.
        TinyReranker.Source.Save(Path.Combine(model, "model.onnx"), mostInline: 0);
        var texts = folder.Write("texts.txt", SmallRepositories.Texts());
        var before = "# mine\r\n" + Existing().ReplaceLineEndings("\r\n") + "  # the end\r\n";
        folder.Write("models.yaml", before);

        var made = await NewAsync(model, texts);
        Assert.Contains(made.Lines, line => line.StartsWith("task rerank", StringComparison.Ordinal));
        Assert.Contains(made.Lines, line => line.StartsWith("data of model.onnx: model.onnx.data", StringComparison.Ordinal));
        var text = File.ReadAllText(folder.File("models.yaml"));
        Assert.All(before.Split("\r\n"), line => Assert.Contains(line, text));
        Assert.DoesNotContain("\n", text.Replace("\r\n", ""));
        var manifest = Load();
        Assert.Equal(["tiny", "my-export"], manifest.Models.Select(each => each.Name));
        Assert.Equal(["c", "texts"], manifest.Corpora.Keys);
        Assert.Equal(("Apache-2.0", Path.Combine(model, "model.onnx")), (manifest.Models[1].Licence, manifest.Models[1].Source.File));

        Assert.Contains("the model 'my-export' is there already", await RefusedAsync(model));
        Assert.Equal(text, File.ReadAllText(folder.File("models.yaml")));
    }

    [Fact]
    public async Task Without_onnx_the_export_is_told_and_nothing_is_written()
    {
        var files = SmallRepositories.BertReranker();
        files.Remove("onnx/model.onnx");
        await using var hub = await HubStandIn.StartAsync("org/some-model", files);
        var message = await RefusedAsync("hf:org/some-model", hub.Address);
        Assert.Contains("has only reduced ONNX files (onnx/model_quantized.onnx)", message);
        Assert.Contains("optimum-cli export onnx --opset 17 --model org/some-model exported", message);
        Assert.False(File.Exists(folder.File("models.yaml")));
        Assert.False(Directory.Exists(folder.File("corpora")));
    }

    [Fact]
    public async Task What_cannot_be_taken_up_is_told_by_name()
    {
        var model = Directory.CreateDirectory(folder.File("m")).FullName;
        File.Copy(TinyReranker.Path, Path.Combine(model, "model.onnx"));
        Assert.Contains("has no tokenizer: expected tokenizer.json", await RefusedAsync(model));
        File.WriteAllText(Path.Combine(model, "tokenizer.json"), """{"model":{"type":"WordLevel","vocab":{"a":0}}}""");
        Assert.Contains("the model 'WordLevel' is not supported", await RefusedAsync(model));
        Assert.Contains("did you mean hf:org/model?", await RefusedAsync("org/model"));
        Assert.Contains("asks the hub, which --offline forbids", await RefusedAsync("hf:org/model"));
        Assert.False(File.Exists(folder.File("models.yaml")));
    }

    private async Task<string> RefusedAsync(string from, Uri? hub = null) =>
        (await Assert.ThrowsAsync<PipelineException>(() => NewAsync(from, null, hub))).Message;

    /// <summary>In this process; offline without a hub.</summary>
    private async Task<NewModel> NewAsync(string from, string? corpus, Uri? hub = null)
    {
        var settings = new SourceSettings { Cache = folder.File("cache"), Offline = hub is null };
        using var fetcher = new SourceFetcher(hub is null ? settings : settings with { Hub = hub });
        var manifest = File.Exists(folder.File("models.yaml")) ? Load() : ModelsManifest.Empty(folder.File("models.yaml"));
        return await NewStage.RunAsync(
            new NewRequest(from, _ => null) { Corpus = corpus },
            manifest,
            new ModelSources(manifest, fetcher),
            new StageContext(new Progress<StageProgress>(), _ => { }, _ => { }, TestContext.Current.CancellationToken)
        );
    }

    private ModelsManifest Load() => ModelsYaml.Load(folder.File("models.yaml"), new ManifestOverrides(), _ => null);

    private static string Existing()
    {
        var vocabulary = RepositoryFiles.Sample("tiny-reranker/vocab.txt");
        return $$"""
            corpora:
                c: { passages: p, queries: q, qrels: r, candidates: c }
            models:
                tiny:
                    version: 1.0.0
                    task: rerank
                    source: { file: {{TinyReranker.Path}} }
                    tokenizer: { vocab: { file: {{vocabulary}} } }
                    shapes: [[1, 128]]
                    calibration: { corpus: c }
                    variants:
                        fp16: { backend: simulator, precision: fp16, gates: { kendall_tau: { min: 0.9 } } }

            """;
    }
}
