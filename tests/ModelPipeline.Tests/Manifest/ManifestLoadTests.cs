using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;
using ModelPipeline.Manifest;

namespace ModelPipeline.Tests.Manifest;

public sealed class ManifestLoadTests
{
    [Fact]
    public void A_manifest_without_defaults_gets_those_that_the_records_state()
    {
        var manifest = ManifestFile.Load(
            ManifestFile.With(
                ("  target: rk3588\n  rewrites: [fold-shapes, mask]\n", ""),
                ("corpus: sample, samples: 100", "corpus: sample")
            )
        );
        var model = manifest.Models[0];
        var variant = model.Variants[0];
        var bare = new VariantSpec
        {
            Name = "int8",
            Backend = Backend.Simulator,
            Precision = Precision.W8A8,
            Rewrites = variant.Rewrites,
            Gates = variant.Gates,
        };
        Assert.Equal(bare with { Fp16 = variant.Fp16 }, variant);
        Assert.Empty(variant.Fp16);
        Assert.Equal(["families"], variant.Rewrites);
        Assert.Equal(new CalibrationSpec { Corpus = "sample" }, model.Calibration);
        Assert.Equal(new ValidationSpec { Corpus = "sample", Device = "simulator" }, model.Validation);
        Assert.Equal(new DeviceSpec { Name = "simulator", Kind = DeviceKind.Simulator }, manifest.Devices["simulator"]);
        Assert.Equal(
            new DeviceSpec
            {
                Name = "board",
                Kind = DeviceKind.Ssh,
                Host = "rk.local",
                User = "pi",
            },
            manifest.Devices["board"]
        );
        var vocab = new SourceSpec { HuggingFace = new HuggingFaceSource("a/b", "main", "vocab.txt") };
        Assert.Equal(new TokenizerSpec { Vocab = vocab }, model.Tokenizer);
        Assert.True(model.Default);
    }

    [Fact]
    public void A_tokenizer_is_declared_by_its_files()
    {
        static SourceSpec Hub(string file) => new() { HuggingFace = new HuggingFaceSource("a/b", "main", file) };
        static TokenizerSpec Load(string lines) =>
            ManifestFile
                .Load(ManifestFile.With(("      vocab: { huggingface: { repo: a/b, file: vocab.txt } }\n", lines)))
                .Models[0]
                .Tokenizer;

        Assert.Equal(
            new TokenizerSpec
            {
                Vocab = Hub("tokenizer.json"),
                Config = Hub("tokenizer_config.json"),
                SpecialTokens = Hub("special_tokens_map.json"),
                Lowercase = null,
            },
            Load(
                """
                      file: { huggingface: { repo: a/b, file: tokenizer.json } }
                      config: { huggingface: { repo: a/b, file: tokenizer_config.json } }
                      special_tokens: { huggingface: { repo: a/b, file: special_tokens_map.json } }

                """
            )
        );
        Assert.Equal(
            new TokenizerSpec
            {
                Vocab = Hub("vocab.json"),
                Merges = Hub("merges.txt"),
                Lowercase = null,
                Prefixes = new TextPrefixes("query: "),
            },
            Load(
                """
                      file: { huggingface: { repo: a/b, file: vocab.json } }
                      merges: { huggingface: { repo: a/b, file: merges.txt } }
                      prefixes: { query: "query: " }

                """
            )
        );
        Assert.Equal(
            new TokenizerSpec
            {
                Vocab = Hub("vocab.txt"),
                Lowercase = true,
                StripAccents = false,
                TokenizeChineseChars = false,
            },
            Load(
                """
                      vocab: { huggingface: { repo: a/b, file: vocab.txt } }
                      strip_accents: false
                      tokenize_chinese_chars: false

                """
            )
        );
    }

    [Fact]
    public void Without_decide_nobody_elses_variables_are_there()
    {
        var decision = ManifestFile.Load(ManifestFile.Text).Models[0].Decision;
        Assert.Equal((100, null, null), (decision.LatencyP95Ms, decision.Npu, decision.Cpu));
    }

    [Fact]
    public void A_variant_wins_over_its_model_and_a_model_over_the_defaults()
    {
        var manifest = ManifestFile.Load(
            ManifestFile.With(
                (
                    "    task: rerank",
                    "    task: rerank\n    target: rk3576\n    calibration: { seed: 7 }\n    decide: { latency_p95_ms: 50 }"
                ),
                (
                    "        algorithm: normal",
                    "        algorithm: mmse\n        target: rk3566\n        rewrites: []\n        fp16: ['*/output/Add*']"
                )
            )
        );
        var model = manifest.Models[0];
        Assert.Equal(
            new CalibrationSpec
            {
                Corpus = "sample",
                Samples = 100,
                Seed = 7,
            },
            model.Calibration
        );
        Assert.Equal(50, model.Decision.LatencyP95Ms);
        Assert.Equal(["rk3566", "rk3576"], model.Variants.Select(variant => variant.Target));
        Assert.Equal([QuantizationAlgorithm.Mmse, QuantizationAlgorithm.Normal], model.Variants.Select(variant => variant.Algorithm));
        Assert.Empty(model.Variants[0].Rewrites);
        Assert.Equal(["fold-shapes", "mask"], model.Variants[1].Rewrites);
        Assert.Equal(["*/output/Add*"], model.Variants[0].Fp16);
    }

    [Fact]
    public void A_variants_gate_replaces_the_models_gate_of_the_same_metric_and_keeps_the_others()
    {
        var variants = ManifestFile.Load(ManifestFile.With(("kendall_tau: { min: 0.8 }", "kendall_tau: { max: 0.8 }"))).Models[0].Variants;
        Assert.Equal([new GateSpec("kendall_tau", null, 0.8, null), new GateSpec("ndcg_at_10", null, null, 0.01)], variants[0].Gates);
        Assert.Equal([new GateSpec("kendall_tau", 0.9, null, null), new GateSpec("ndcg_at_10", null, null, 0.01)], variants[1].Gates);
    }

    [Fact]
    public void Paths_start_from_the_folder_of_the_file_and_may_lead_out_of_it()
    {
        var manifest = ManifestFile.Load(
            ManifestFile.With(("file: model.onnx", "file: ../model.onnx"), ("corpus/qrels.tsv", "/data/qrels.tsv"))
        );
        var folder = Path.GetDirectoryName(manifest.Path)!;
        Assert.Equal(Path.Combine(Path.GetDirectoryName(folder)!, "model.onnx"), manifest.Models[0].Source.File);
        Assert.Equal(Path.Combine(folder, "corpus", "queries.jsonl"), manifest.Corpora["sample"].Queries);
        Assert.Equal("/data/qrels.tsv", manifest.Corpora["sample"].Qrels);
    }

    [Fact]
    public void Every_kind_of_source_and_device_is_read()
    {
        var manifest = ManifestFile.Load(
            ManifestFile.With(
                ("      file: model.onnx", "      url: https://example.org/model.onnx\n      max_bytes: 1000"),
                ("3aed8eff", "3AED8EFF"),
                (
                    "kind: ssh, host: rk.local, user: pi",
                    "kind: ssh, host: rk.local, port: 2222, identity_file: key, runtime_library: /usr/lib/librknnrt.so"
                )
            )
        );
        var source = manifest.Models[0].Source;
        Assert.Equal(new Uri("https://example.org/model.onnx"), source.Url);
        Assert.Equal(1000, source.MaxBytes);
        Assert.StartsWith("3aed8eff", source.Sha256);
        Assert.Equal(2222, manifest.Devices["board"].Port);
        Assert.Equal(Path.Combine(Path.GetDirectoryName(manifest.Path)!, "key"), manifest.Devices["board"].IdentityFile);
        Assert.Equal("/usr/lib/librknnrt.so", manifest.Devices["board"].RuntimeLibrary);
    }

    [Fact]
    public void A_file_that_cannot_be_read_is_named_as_it_was_given()
    {
        var missing = Assert.Throws<PipelineException>(() => ModelsYaml.Load("no/such/models.yaml", new ManifestOverrides(), _ => null));
        Assert.StartsWith("no/such/models.yaml: cannot be read: ", missing.Message);
        Assert.Equal(PipelineException.ConfigurationError, missing.ExitCode);
        var folder = Assert.Throws<PipelineException>(() => ModelsYaml.Load("/", new ManifestOverrides(), _ => null));
        Assert.StartsWith("/: cannot be read: ", folder.Message);
    }

    [Fact]
    public void Files_that_are_too_large_or_not_text_are_refused()
    {
        Assert.Equal(
            ["models.yaml: larger than 262144 bytes; this cannot be a models.yaml"],
            ManifestFile.Errors(new string('#', (1 << 18) + 1))
        );
        var path = Path.GetTempFileName();
        File.WriteAllBytes(path, [(byte)'a', (byte)':', 0xff]);
        var error = Assert.Throws<PipelineException>(() => ModelsYaml.Load(path, new ManifestOverrides(), _ => null));
        Assert.Equal($"{path}: not UTF-8 text; save it as UTF-8", error.Message);
        File.Delete(path);
    }
}
