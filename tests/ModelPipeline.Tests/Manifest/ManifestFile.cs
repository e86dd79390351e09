using ModelPipeline.Core;
using ModelPipeline.Manifest;

namespace ModelPipeline.Tests.Manifest;

/// <summary>A small valid manifest, changed by one edit at a time, loaded from a real file named models.yaml.</summary>
internal static class ManifestFile
{
    /// <summary>Line numbers in the tests refer to this text.</summary>
    public const string Text = """
        defaults:
          target: rk3588
          rewrites: [fold-shapes, mask]
          calibration: { corpus: sample, samples: 100 }
        devices:
          board: { kind: ssh, host: rk.local, user: pi }
        corpora:
          sample:
            passages: corpus/passages.jsonl
            queries: corpus/queries.jsonl
            qrels: corpus/qrels.tsv
            candidates: corpus/candidates.jsonl
        models:
          tiny:
            version: 0.1.0
            task: rerank
            source:
              file: model.onnx
              sha256: 3aed8effbc580bf85b1cfbb7bbba8ead57b517b14e04b2e3304ed54abf14f74e
            tokenizer:
              vocab: { huggingface: { repo: a/b, file: vocab.txt } }
            shapes: [[1, 128], [1, 256]]
            gates: { kendall_tau: { min: 0.9 }, ndcg_at_10: { max_drop: 0.01 } }
            variants:
              int8:
                backend: simulator
                precision: w8a8
                algorithm: normal
                gates: { kendall_tau: { min: 0.8 } }
              fp16:
                backend: simulator
                precision: fp16

        """;

    public static string RepositoryRoot { get; } = Above(AppContext.BaseDirectory);

    /// <summary>The manifest with each (old, new) pair replaced once.</summary>
    public static string With(params ReadOnlySpan<(string Old, string New)> edits)
    {
        var text = Text;
        foreach (var (old, replacement) in edits)
        {
            var at = text.IndexOf(old, StringComparison.Ordinal);
            Assert.True(at >= 0, $"'{old}' is not in the fixture");
            text = text[..at] + replacement + text[(at + old.Length)..];
        }
        return text;
    }

    public static ModelsManifest Load(string text, Func<string, string?>? environment = null, ManifestOverrides? overrides = null) =>
        InFile(text, path => ModelsYaml.Load(path, overrides ?? new ManifestOverrides(), environment ?? (_ => null)));

    /// <summary>The message's lines with the folder of the file taken off.</summary>
    public static string[] Errors(string text, Func<string, string?>? environment = null) =>
        InFile(
            text,
            path =>
            {
                var error = Assert.Throws<PipelineException>(() =>
                    ModelsYaml.Load(path, new ManifestOverrides(), environment ?? (_ => null))
                );
                Assert.Equal(PipelineException.ConfigurationError, error.ExitCode);
                return error.Message.Replace(Path.GetDirectoryName(path) + Path.DirectorySeparatorChar, "").Split('\n');
            }
        );

    private static T InFile<T>(string text, Func<string, T> use)
    {
        var folder = Directory.CreateTempSubdirectory("manifest-");
        try
        {
            var path = Path.Combine(folder.FullName, "models.yaml");
            // As an editor would: half a surrogate pair becomes U+FFFD.
            File.WriteAllText(path, text, new System.Text.UTF8Encoding(encoderShouldEmitUTF8Identifier: false));
            return use(path);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static string Above(string folder) =>
        File.Exists(Path.Combine(folder, "ModelPipeline.sln")) ? folder : Above(Path.GetDirectoryName(folder)!);
}
