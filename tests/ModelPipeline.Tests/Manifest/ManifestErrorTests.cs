namespace ModelPipeline.Tests.Manifest;

/// <summary>One edit of the valid manifest, and the exact message it must give.</summary>
public sealed class ManifestErrorTests
{
    [Theory]
    [InlineData(
        "algorithm: normal",
        "algorithm: norml",
        "28:20: models.tiny.variants.int8.algorithm: 'norml' is not one of normal, kl_divergence, mmse (did you mean 'normal'?)"
    )]
    [InlineData(
        "algorithm: normal",
        "algorithm: entropy",
        "28:20: models.tiny.variants.int8.algorithm: 'entropy' is not one of normal, kl_divergence, mmse"
    )]
    [InlineData(
        "algorithm: normal",
        "float_budget_mb: 2",
        "28:26: models.tiny.variants.int8.float_budget_mb: 'float_budget_mb' is for backend onnx with precision w8a8; 'fp16' names what "
            + "another int8 build keeps finer"
    )]
    [InlineData(
        "target: rk3588",
        "target: rk3588s",
        "2:11: defaults.target: 'rk3588s' is not one of rk3562, rk3566, rk3568, rk3576, rk3588, rv1103, rv1106, rv1126b, rk2118 (did you "
            + "mean 'rk3588'?)"
    )]
    [InlineData(
        "target: rk3588",
        "target:",
        "2:10: defaults.target: nothing is not one of rk3562, rk3566, rk3568, rk3576, rk3588, rv1103, rv1106, rv1126b, rk2118"
    )]
    [InlineData(
        "fold-shapes, mask",
        "fold-shape, mask",
        "3:14: defaults.rewrites[0]: 'fold-shape' is not one of families, fold-shapes, positions, nan-guard, mask, opset, gelu-order, "
            + "skew, rank-four, bias-merge, dead-nodes, share-initializers, balance, hidden-split, outlier-split, norm-copy, "
            + "plain-attention (did you mean 'fold-shapes'?)"
    )]
    [InlineData("[fold-shapes, mask]", "mask", "3:13: defaults.rewrites: 'mask' is not a list")]
    [InlineData("fold-shapes, mask", "mask, mask", "3:13: defaults.rewrites: an item is there twice")]
    [InlineData("samples: 100", "samples: many", "4:43: defaults.calibration.samples: 'many' is not a whole number from 1 to 100000")]
    [InlineData("samples: 100", "samples: 0", "4:43: defaults.calibration.samples: 0 is not a whole number from 1 to 100000")]
    [InlineData("samples: 100", "samples: 100001", "4:43: defaults.calibration.samples: 100001 is not a whole number from 1 to 100000")]
    [InlineData("samples: 100", "samples: 1.5", "4:43: defaults.calibration.samples: 1.5 is not a whole number from 1 to 100000")]
    [InlineData("samples: 100", "samples: '100'", "4:43: defaults.calibration.samples: '100' is not a whole number from 1 to 100000")]
    [InlineData(
        "samples: 100",
        "samples: 99999999999999999999",
        "4:43: defaults.calibration.samples: 99999999999999999999 is not a whole number from 1 to 100000"
    )]
    [InlineData("samples: 100", "samples: [1]", "4:43: defaults.calibration.samples: a list of 1 is not a whole number from 1 to 100000")]
    [InlineData("samples: 100", "sampels: 100", "4:34: defaults.calibration.sampels: unknown key 'sampels' (did you mean 'samples'?)")]
    [InlineData(
        "samples: 100",
        "colour: red",
        "4:34: defaults.calibration.colour: unknown key 'colour'; known are corpus, samples, seed, strategy"
    )]
    [InlineData(
        "corpus: sample,",
        "corpus: sampel,",
        "4:26: defaults.calibration.corpus: 'sampel' is none of the corpora: sample (did you mean 'sample'?)"
    )]
    [InlineData(
        "corpus: sample,",
        "",
        "14:3: models.tiny: 'calibration.corpus' is missing here and under defaults: the name of one of the corpora"
    )]
    [InlineData(
        "task: rerank",
        "task: rerank\n    validation: { device: bord }",
        "17:27: models.tiny.validation.device: 'bord' is none of the devices: simulator, board (did you mean 'board'?)"
    )]
    [InlineData("host: rk.local, ", "", "6:3: devices.board: 'host' is missing: a device of kind ssh needs it")]
    [InlineData("kind: ssh, host: rk.local", "kind: local", "6:25: devices.board.user: a device of kind local has no user")]
    [InlineData(
        "user: pi",
        "host_key: MD5:00",
        "6:49: devices.board.host_key: 'MD5:00' is not a fingerprint such as SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8"
    )]
    [InlineData("user: pi", "port: 70000", "6:45: devices.board.port: 70000 is not a whole number from 1 to 65535")]
    [InlineData(
        "    candidates: corpus/candidates.jsonl\n",
        "",
        "8:3: corpora.sample: 'candidates' is missing: JSON Lines file of {\"query_id\", \"passage_ids\"}: what to rerank."
    )]
    [InlineData("corpus/qrels.tsv", "''", "11:12: corpora.sample.qrels: '' is not text, at least one character")]
    [InlineData("models:", "modles:\n  a: 1\nmodels:", "13:1: modles: unknown key 'modles' (did you mean 'models'?)")]
    [InlineData(
        "  tiny:",
        "  tiny model:",
        "14:3: models['tiny model']: 'tiny model' is not a valid name here; it must match ^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
    )]
    [InlineData("version: 0.1.0", "version: 1.0", "15:14: models.tiny.version: 1.0 is not a semantic version such as 1.2.0")]
    [InlineData("version: 0.1.0", "version: v1.0.0", "15:14: models.tiny.version: 'v1.0.0' is not a semantic version such as 1.2.0")]
    [InlineData("    version: 0.1.0\n", "", "14:3: models.tiny: 'version' is missing: Semantic version of what is packaged.")]
    [InlineData(
        "task: rerank",
        "task: rank",
        "16:11: models.tiny.task: 'rank' is not one of rerank, embed, classify (did you mean 'rerank'?)"
    )]
    [InlineData(
        "task: rerank",
        "task: rerank\n    pooling: mean",
        "17:5: models.tiny.pooling: task rerank has no pooling: it is for task embed"
    )]
    [InlineData(
        "task: rerank",
        "task: rerank\n    output: { label: 1, difference: [1, 0] }",
        "17:37: models.tiny.output.difference: 'difference' beside 'label': the score is one of the two"
    )]
    [InlineData("task: rerank", "task: rerank\n    default: yes", "17:14: models.tiny.default: 'yes' is not true or false")]
    [InlineData("task: rerank", "task: rerank\n    licence: 2", "17:14: models.tiny.licence: 2 is not text (put it in quotes)")]
    [InlineData(
        "task: rerank",
        "task: rerank\n    release: { repository: https://github.com/a/b }",
        "17:28: models.tiny.release.repository: 'https://github.com/a/b' is not owner/name"
    )]
    [InlineData("      file: model.onnx\n", "", "17:5: models.tiny.source: needs exactly one of file, url, huggingface")]
    [InlineData(
        "file: model.onnx",
        "file: model.onnx\n      url: https://example.org/m",
        "17:5: models.tiny.source: needs exactly one of file, url, huggingface"
    )]
    [InlineData(
        "file: model.onnx",
        "url: ftp://example.org/m",
        "18:12: models.tiny.source.url: 'ftp://example.org/m' is not an http:// or https:// address"
    )]
    [InlineData("file: model.onnx", "url: 'https://['", "18:12: models.tiny.source.url: 'https://[' is not a valid address")]
    [InlineData(
        "sha256: 3aed",
        "sha256: 3aeg",
        "19:15: models.tiny.source.sha256: '3aeg8effbc580bf85b1cfbb7bbba8ead57b517b14e04b2e3304ed54abf14f74e' is not 64 hex digits, as "
            + "sha256sum prints them"
    )]
    [InlineData(
        "file: model.onnx\n      sha256: 3aed8eff",
        "url: https://example.org/m\n      #",
        "17:5: models.tiny.source: 'sha256' is missing: the SHA-256 of the file in hex, as sha256sum prints it"
    )]
    [InlineData(
        "{ huggingface: { repo: a/b, file: vocab.txt } }",
        "{ url: https://example.org/vocab.txt }",
        "21:7: models.tiny.tokenizer.vocab: 'sha256' is missing: the SHA-256 of the file in hex, as sha256sum prints it"
    )]
    [InlineData(
        "{ huggingface: { repo: a/b, file: vocab.txt } }",
        "{ huggingface: { repo: a/b, file: vocab.txt } }\n      file: { huggingface: { repo: a/b, file: tokenizer.json } }",
        "20:5: models.tiny.tokenizer: needs exactly one of vocab, file"
    )]
    [InlineData(
        "{ huggingface: { repo: a/b, file: vocab.txt } }",
        "{ huggingface: { repo: a/b, file: vocab.txt } }\n      config: { url: https://example.org/tokenizer_config.json }",
        "22:7: models.tiny.tokenizer.config: 'sha256' is missing: the SHA-256 of the file in hex, as sha256sum prints it"
    )]
    [InlineData("repo: a/b", "repo: a/b/c", "21:37: models.tiny.tokenizer.vocab.huggingface.repo: 'a/b/c' is not owner/name")]
    [InlineData("[1, 256]", "[0, 256]", "22:25: models.tiny.shapes[1][0]: 0 is not a whole number from 1 to 256")]
    [InlineData("[1, 256]", "[1, 7]", "22:28: models.tiny.shapes[1][1]: 7 is not a whole number from 8 to 8192")]
    [InlineData("[1, 256]", "[1, 8193]", "22:28: models.tiny.shapes[1][1]: 8193 is not a whole number from 8 to 8192")]
    [InlineData("[1, 256]", "[256]", "22:24: models.tiny.shapes[1]: a list of 1 is not a list of 2")]
    [InlineData("[1, 256]", "[1, 128]", "22:13: models.tiny.shapes: an item is there twice")]
    [InlineData(
        "[[1, 128], [1, 256]]",
        "[]",
        "22:13: models.tiny.shapes: a list of 0 is not a list of 1 to 16 shapes such as [[1, 128]], or auto"
    )]
    [InlineData(
        "kendall_tau: { min: 0.9 }",
        "kendal_tau: { min: 0.9 }",
        "23:14: models.tiny.gates.kendal_tau: unknown key 'kendal_tau' (did you mean 'kendall_tau'?)"
    )]
    [InlineData("{ min: 0.9 }", "{ min: 0.9, max: 1 }", "23:14: models.tiny.gates.kendall_tau: needs exactly one of min, max, max_drop")]
    [InlineData("{ min: 0.9 }", "{}", "23:14: models.tiny.gates.kendall_tau: needs exactly one of min, max, max_drop")]
    [InlineData("{ min: 0.9 }", "0.9", "23:27: models.tiny.gates.kendall_tau: 0.9 is not a mapping")]
    [InlineData("{ min: 0.9 }", "{ min: .nan }", "23:34: models.tiny.gates.kendall_tau.min: '.nan' is not a number")]
    [InlineData("{ min: 0.9 }", "{ min: '95%' }", "23:34: models.tiny.gates.kendall_tau.min: '95%' is not a number")]
    [InlineData(
        "{ min: 0.9 }",
        "{ min: 0.9, confidence: 95 }",
        "23:51: models.tiny.gates.kendall_tau.confidence: 95 is not a number above 0.5 and below 1"
    )]
    [InlineData(
        "precision: w8a8",
        "precision: fp32",
        "27:20: models.tiny.variants.int8.precision: backend simulator builds fp16 and w8a8, not fp32"
    )]
    [InlineData(
        "backend: simulator\n        precision: fp16",
        "backend: onnx\n        precision: fp16",
        "32:20: models.tiny.variants.fp16.precision: backend onnx builds fp32 and w8a8, not fp16"
    )]
    [InlineData("precision: w8a8", "precision: int8", "27:20: models.tiny.variants.int8.precision: 'int8' is not one of fp32, fp16, w8a8")]
    [InlineData("      fp16:", "      INT8:", "30:7: models.tiny.variants: duplicate key 'INT8': it is already at 25:7")]
    [InlineData("target: rk3588", "target: rk3588\n  target: rk3576", "3:3: defaults: duplicate key 'target': it is already at 2:3")]
    [InlineData("target: rk3588", "decide: { latency_p95_ms: 0 }", "2:29: defaults.decide.latency_p95_ms: 0 is not a number above 0")]
    [InlineData(
        "target: rk3588",
        "decide: { npu: { NPU_RERANK_ENABLED: 1 } }",
        "2:40: defaults.decide.npu.NPU_RERANK_ENABLED: 1 is not text (put it in quotes)"
    )]
    [InlineData(
        "target: rk3588",
        "decide: { npu: { A: \"1\\nEVIL=1\" } }",
        "2:23: defaults.decide.npu.A: line breaks and other control characters are not allowed in values"
    )]
    [InlineData(
        "algorithm: normal",
        "auto_hybrid: {}",
        "28:9: models.tiny.variants.int8.auto_hybrid: backend simulator has no auto_hybrid: it is the toolkit's, backend rknn"
    )]
    [InlineData(
        "precision: fp16",
        "precision: fp16\n        toolkit_simulator: true",
        "33:9: models.tiny.variants.fp16.toolkit_simulator: backend simulator has no toolkit_simulator: it is the toolkit's, backend rknn"
    )]
    [InlineData(
        "backend: simulator\n        precision: fp16",
        "backend: rknn\n        precision: fp16\n        accuracy_analysis: true",
        "33:9: models.tiny.variants.fp16.accuracy_analysis: precision fp16 has no accuracy_analysis: it tells what a w8a8 build loses"
    )]
    [InlineData(
        "{ min: 0.9 }",
        "{ min: 0.9 }, compile: { weight_mb: 0 }",
        "23:63: models.tiny.gates.compile.weight_mb: 0 is not a number above 0"
    )]
    [InlineData(
        "{ min: 0.9 }",
        "{ min: 0.9 }, compile: { cpu_op: [] }",
        "23:52: models.tiny.gates.compile.cpu_op: unknown key 'cpu_op' (did you mean 'cpu_ops'?)"
    )]
    [InlineData(
        "{ min: 0.9 }",
        "{ min: 95 }",
        "23:34: models.tiny.gates.kendall_tau.min: min 95 of kendall_tau can never decide: the figure is from -1 to 1"
    )]
    [InlineData(
        "{ min: 0.9 }",
        "{ min: 0.9 }, cosine_mean: { min: 0.9 }",
        "23:41: models.tiny.gates.cosine_mean: task rerank gives no cosine_mean; it gives ndcg_at_10, ndcg_at_10_tie_averaged, mrr_at_10, "
            + "recall_at_5, recall_at_10, kendall_tau, spearman, top1_agreement, top3_agreement, tied_pairs, distinct_scores, "
            + "max_score_difference, mean_score_difference, within_query_residual"
    )]
    public void One_mistake_gives_one_message(string old, string replacement, string expected) =>
        Assert.Equal(["models.yaml:" + expected], ManifestFile.Errors(ManifestFile.With((old, replacement))));

    [Fact]
    public void All_mistakes_are_reported_at_once_in_the_order_of_the_file()
    {
        var errors = ManifestFile.Errors(
            ManifestFile.With(
                ("precision: fp16", "precision:"),
                ("algorithm: normal", "algorithm:"),
                ("target: rk3588", "tarjet: rk3588"),
                ("corpus: sample,", "corpus: sampel,")
            )
        );
        Assert.Equal(
            [
                "models.yaml:2:3: defaults.tarjet: unknown key 'tarjet' (did you mean 'target'?)",
                "models.yaml:4:26: defaults.calibration.corpus: 'sampel' is none of the corpora: sample (did you mean 'sample'?)",
                "models.yaml:28:19: models.tiny.variants.int8.algorithm: nothing is not one of normal, kl_divergence, mmse",
                "models.yaml:32:19: models.tiny.variants.fp16.precision: nothing is not one of fp32, fp16, w8a8",
            ],
            errors
        );
    }

    [Fact]
    public void A_root_that_is_no_mapping_is_refused() =>
        Assert.Equal(["models.yaml:1:1: a list of 1 is not a mapping"], ManifestFile.Errors("- a\n"));
}
