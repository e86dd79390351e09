using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Sources;
using ModelPipeline.Stages;

namespace ModelPipeline.Tests.Stages;

/// <summary>A model of the sample corpus on its way through the stages, in a folder of its own.</summary>
internal sealed class SampleBuild : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly SourceFetcher fetcher;

    /// <param name="task">rerank or embed.</param>
    /// <param name="model">Path of the ONNX file.</param>
    /// <param name="settings">Of the model in models.yaml: lines indented by four spaces.</param>
    /// <param name="device">simulator; here: this machine as a device of kind local; or loopback.</param>
    public SampleBuild(string task, string model, string settings, string device = "simulator")
    {
        var vocabulary = RepositoryFiles.Sample("tiny-reranker/vocab.txt");
        var corpus = RepositoryFiles.Sample("corpus");
        var manifest = folder.Write(
            "models.yaml",
            $$"""
            devices:
              here: { kind: local }
              loopback: { kind: loopback }
            corpora:
              sample: { passages: {{corpus}}/passages.jsonl, queries: {{corpus}}/queries.jsonl, qrels: {{corpus}}/qrels.tsv, candidates: {{corpus}}/candidates.jsonl }
            models:
              sample:
                version: 1.0.0
                task: {{task}}
                source: { file: {{model}}, sha256: {{FileDigest.Of(model).Sha256}} }
                tokenizer: { vocab: { file: {{vocabulary}}, sha256: {{FileDigest.Of(vocabulary).Sha256}} } }
                calibration: { corpus: sample, samples: 8 }
                validation: { corpus: sample, queries: 5, device: {{device}} }

            """ + settings
        );
        var loaded = ModelsYaml.Load(manifest, new ManifestOverrides(), _ => null);
        fetcher = new SourceFetcher(new SourceSettings { Cache = folder.File("cache"), Offline = true });
        Build = new ModelBuild(loaded, loaded.Models[0], folder.File("artifacts"), new ModelSources(loaded, fetcher));
        Stage = new StageContext(new Progress<StageProgress>(), Notes.Add, Warnings.Add, TestContext.Current.CancellationToken);
    }

    public ModelBuild Build { get; }

    /// <summary>The build of another run with other settings, in the same folder.</summary>
    public ModelBuild Again(ModelSpec model) =>
        new(Build.Manifest, model, folder.File("artifacts"), new ModelSources(Build.Manifest, fetcher));

    public StageContext Stage { get; }

    /// <summary>What the stages told.</summary>
    public List<string> Notes { get; } = [];

    /// <summary>What the stages warned of.</summary>
    public List<string> Warnings { get; } = [];

    public void Dispose()
    {
        fetcher.Dispose();
        folder.Dispose();
    }
}
