using System.Text.Json;
using ModelPipeline.Artifacts;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Packaging;
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
    [InlineData("cls")]
    [InlineData("roberta")]
    [InlineData("xlmr")]
    public async Task A_repository_of_the_hub_becomes_a_gated_package(string kind)
    {
        var files = kind switch
        {
            "bert" => SmallRepositories.BertReranker(),
            "cls" => SmallRepositories.ClsEmbedder(),
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
        Assert.Equal(kind == "cls" ? "embed" : "rerank", model.Task);
        Assert.InRange(Assert.Single(model.Shapes).Sequence, 32, kind == "cls" ? 64 : 256);
        if (kind == "cls")
            Assert.Equal(("cls", true, new TextPrefixes("search: ")), (model.Pooling, model.Normalize, model.Tokenizer.Prefixes));

        await hub.DisposeAsync();
        var run = await HostProcess.RunAsync(folder.Path, ["--offline", "--allow-failed-variants"], environment);
        run.Succeeded();
        var package = PackageCheck.Verify<PackageManifest>(folder.File("artifacts/packages/some-model-0.1.0"));
        Assert.Contains(package.Variants, variant => variant.Subject.Variant == "fp16" && variant.Gates.Count > 0);
    }

    [Fact]
    public async Task A_folder_is_added_to_a_models_yaml_whose_text_stays()
    {
        var model = Directory.CreateDirectory(folder.File("my-export")).FullName;
        foreach (var (name, content) in SmallRepositories.BertReranker().Where(file => !file.Key.Contains('/')))
            File.WriteAllBytes(Path.Combine(model, name), content);
        File.Copy(TinyReranker.Path, Path.Combine(model, "model.onnx"));
        folder.Write("texts.txt", SmallRepositories.Texts());
        var before = "# mine\r\n" + Existing().ReplaceLineEndings("\r\n") + "  # the end\r\n";
        folder.Write("models.yaml", before);

        var made = (await HostProcess.RunAsync(folder.Path, ["--target=New", "--from=my-export", "--corpus=texts.txt"])).Succeeded();
        Assert.Contains("task rerank", made.Output);
        var text = File.ReadAllText(folder.File("models.yaml"));
        Assert.All(before.Split("\r\n"), line => Assert.Contains(line, text));
        Assert.DoesNotContain("\n", text.Replace("\r\n", ""));
        var manifest = Load();
        Assert.Equal(["tiny", "my-export"], manifest.Models.Select(each => each.Name));
        Assert.Equal(["c", "texts"], manifest.Corpora.Keys);
        Assert.Equal(("Apache-2.0", Path.Combine(model, "model.onnx")), (manifest.Models[1].Licence, manifest.Models[1].Source.File));

        var again = await HostProcess.RunAsync(folder.Path, ["--target=New", "--from=my-export", "--corpus=texts.txt"]);
        Assert.Equal(2, again.ExitCode);
        Assert.Contains("the model 'my-export' is there already", again.Error + again.Output);
        Assert.Equal(text, File.ReadAllText(folder.File("models.yaml")));
    }

    [Fact]
    public async Task Without_onnx_the_export_is_told_and_nothing_is_written()
    {
        var files = SmallRepositories.BertReranker();
        files.Remove("onnx/model.onnx");
        await using var hub = await HubStandIn.StartAsync("org/some-model", files);
        var run = await HostProcess.RunAsync(folder.Path, ["--target=New", "--from=hf:org/some-model"], hub.Environment(folder));
        Assert.Equal(2, run.ExitCode);
        Assert.Contains("has only reduced ONNX files (onnx/model_quantized.onnx)", run.Error + run.Output);
        Assert.Contains("optimum-cli export onnx --opset 17 --model org/some-model exported", run.Error + run.Output);
        Assert.False(File.Exists(folder.File("models.yaml")));
        Assert.False(Directory.Exists(folder.File("corpora")));
    }

    [Fact]
    public async Task What_cannot_be_taken_up_is_told_by_name()
    {
        var model = Directory.CreateDirectory(folder.File("m")).FullName;
        File.Copy(TinyReranker.Path, Path.Combine(model, "model.onnx"));
        await FailsAsync("has no tokenizer: expected tokenizer.json", "--from=m");
        File.WriteAllText(Path.Combine(model, "tokenizer.json"), """{"model":{"type":"WordLevel","vocab":{"a":0}}}""");
        await FailsAsync("the model 'WordLevel' is not supported", "--from=m");
        await FailsAsync("did you mean hf:org/model?", "--from=org/model");
        await FailsAsync("asks the hub, which --offline forbids", "--from=hf:org/model", "--offline");
        await FailsAsync("--target=New needs --from=", "--verbosity=normal");
        Assert.False(File.Exists(folder.File("models.yaml")));
    }

    private async Task FailsAsync(string message, params string[] options)
    {
        var run = await HostProcess.RunAsync(folder.Path, ["--target=New", .. options]);
        Assert.NotEqual(0, run.ExitCode);
        Assert.Contains(message, run.Error + run.Output);
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
