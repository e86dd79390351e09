using ModelPipeline.Manifest;
using ModelPipeline.Sources;
using ModelPipeline.Stages;
using ModelPipeline.Toolkit;

namespace ModelPipeline.Tests.Toolkit;

/// <summary>The quantize stage with backend rknn, from models.yaml to the artifact.</summary>
public sealed class QuantizeWithToolkitTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly RecordedToolkit toolkit = new();
    private readonly List<string> warnings = [];

    [Fact]
    public async Task The_stage_makes_the_real_file_once_and_again_only_when_something_changed()
    {
        Environment.SetEnvironmentVariable(ToolkitEnvironment.PythonVariable, toolkit.Python);
        var expected = File.ReadAllBytes(Recordings.File("tiny-int8.rknn"));

        var artifact = await QuantizeAsync();
        Assert.Equal(expected, File.ReadAllBytes(artifact));
        Assert.EndsWith("/variants/int8/1x128/tiny-reranker-0.1.0-rk3588-int8.rknn", artifact);
        Assert.Contains(warnings, warning => warning.Contains("logits is int8"));
        var compile = ReportJson.Read<CompileReport>(Path.Combine(Path.GetDirectoryName(artifact)!, "compile.json"));
        Assert.Equal((103_067, 72, 4855.75), (compile.Cycles, compile.Layers.Count, compile.WeightKb));

        var first = File.GetLastWriteTimeUtc(artifact);
        await QuantizeAsync();
        Assert.Equal(first, File.GetLastWriteTimeUtc(artifact));
        await QuantizeAsync(forced: true);
        var second = File.GetLastWriteTimeUtc(artifact);
        Assert.True(second > first);
        await QuantizeAsync(fp16: "[head]");
        Assert.True(File.GetLastWriteTimeUtc(artifact) > second);
    }

    [Fact]
    public void Without_an_environment_the_command_that_makes_one_is_named()
    {
        var missing = Assert.Throws<PipelineException>(() => ToolkitEnvironment.Find("2.3.2", folder.Path, _ => null));
        Assert.Contains("./build.sh --target=Provision", missing.Message);
        Assert.Contains("known are 2.3.2, 2.5.0", Assert.Throws<PipelineException>(() => ToolkitEnvironment.Find("9.9.9", folder.Path, _ => null)).Message);
        Assert.Contains("RKNN_PYTHON names '/nowhere/python'", Assert.Throws<PipelineException>(() => ToolkitEnvironment.Find("2.3.2", folder.Path, _ => "/nowhere/python")).Message);
    }

    [Fact]
    public void Nothing_that_a_user_runs_leads_to_the_recorded_toolkit()
    {
        Assert.DoesNotContain("recorded", string.Concat(Directory.EnumerateFiles(ToolkitEnvironment.Scripts).Select(File.ReadAllText)));
        Assert.False(ToolkitEnvironment.Scripts.StartsWith(RecordedToolkit.Packages, StringComparison.Ordinal));
        using var plain = new TemporaryFolder();
        RecordedToolkit.Run(RecordedToolkit.SystemPython, "-m", "venv", "--without-pip", plain.Path);
        RecordedToolkit.Run(plain.File("bin/python"), "-I", "-c", "import importlib.util, sys; sys.exit(importlib.util.find_spec('rknn') is not None)");
    }

    public void Dispose()
    {
        folder.Dispose();
        toolkit.Dispose();
    }

    private async Task<string> QuantizeAsync(bool forced = false, string fp16 = "[]")
    {
        var yaml = folder.Write("models.yaml", $$"""
            corpora:
              sample:
                passages: {{RepositoryFiles.Sample("corpus/passages.jsonl")}}
                queries: {{RepositoryFiles.Sample("corpus/queries.jsonl")}}
                qrels: {{RepositoryFiles.Sample("corpus/qrels.tsv")}}
                candidates: {{RepositoryFiles.Sample("corpus/candidates.jsonl")}}
            models:
              tiny-reranker:
                version: 0.1.0
                task: rerank
                source:
                  file: {{RepositoryFiles.Sample("tiny-reranker/model.onnx")}}
                  sha256: 3aed8effbc580bf85b1cfbb7bbba8ead57b517b14e04b2e3304ed54abf14f74e
                tokenizer:
                  vocab:
                    file: {{RepositoryFiles.Sample("tiny-reranker/vocab.txt")}}
                    sha256: fafa0d1f515f7392ce67af721d59b1de5194db32b710a3a157c6041d2af02e60
                shapes: [[1, 128]]
                calibration: { corpus: sample, samples: 3 }
                variants:
                  int8: { backend: rknn, precision: w8a8, rewrites: [fold-shapes, mask], fp16: {{fp16}} }
            """);
        var manifest = ModelsYaml.Load(yaml, new ManifestOverrides { ForceConvert = forced }, _ => null);
        var model = manifest.Models[0];
        var build = new ModelBuild(manifest, model, folder.File("artifacts"), new ModelSources(manifest, new SourceFetcher(new SourceSettings { Cache = folder.File("cache"), Offline = true })));
        var context = new StageContext(new Progress<StageProgress>(), _ => { }, warnings.Add, TestContext.Current.CancellationToken);
        return await QuantizeStage.RunAsync(build, model.Variants[0], model.Shapes[0], context);
    }
}
