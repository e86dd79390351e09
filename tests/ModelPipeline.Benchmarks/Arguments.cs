using System.Globalization;
using ModelPipeline.Core;

namespace ModelPipeline.Benchmarks;

/// <summary>Options of the form <c>--name=value</c>; the defaults are the sample model and corpus of the repository.</summary>
internal sealed record Arguments
{
    public string Model { get; init; } = Sample("tiny-reranker/model.onnx");

    public string Vocabulary { get; init; } = Sample("tiny-reranker/vocab.txt");

    /// <summary>A folder of queries.jsonl, passages.jsonl, qrels.tsv and candidates.jsonl.</summary>
    public string Corpus { get; init; } = Sample("corpus");

    /// <summary>A folder of models/minilm-l12-reranker, models/all-minilm-l6-v2 (each a model.onnx or model.onnx.gz, and a vocab.txt) and
    /// data/debian (a corpus), or of tokenizers: a folder of files and cases.jsonl each; or fixtures/families.</summary>
    public string? Reference { get; init; }

    /// <summary>The first so many queries of the corpus, or twice as many passages for an embedder.</summary>
    public int Queries { get; init; } = 20;

    public int Sequence { get; init; } = 128;

    /// <summary>Size of a download.</summary>
    public int Megabytes { get; init; } = 400;

    /// <summary>Generated texts for each tokenizer.</summary>
    public int Texts { get; init; } = 10_000;

    /// <summary>Of what is generated.</summary>
    public int Seed { get; init; } = 1;

    public static Arguments Parse(IEnumerable<string> options) =>
        options.Aggregate(
            new Arguments(),
            (arguments, option) =>
                option.Split('=', 2) switch
                {
                    ["--model", var file] => arguments with { Model = file },
                    ["--vocab", var file] => arguments with { Vocabulary = file },
                    ["--corpus", var folder] => arguments with { Corpus = folder },
                    ["--reference", var folder] => arguments with { Reference = folder },
                    ["--queries", var number] => arguments with { Queries = Number(option, number) },
                    ["--sequence", var number] => arguments with { Sequence = Number(option, number) },
                    ["--megabytes", var number] => arguments with { Megabytes = Number(option, number) },
                    ["--texts", var number] => arguments with { Texts = Number(option, number) },
                    ["--seed", var number] => arguments with { Seed = Number(option, number) },
                    _ => throw new PipelineException(
                        $"'{option}' is not an option; known are --model=, --vocab=, --corpus=, --reference=, --queries=, --sequence=, "
                            + $"--megabytes=, --texts=, --seed=."
                    ),
                }
        );

    private static int Number(string option, string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number > 0
            ? number
            : throw new PipelineException($"{option}: expected a positive number.");

    private static string Sample(string name) => InRepository($"pipeline/sample/{name}");

    public static string InRepository(string path)
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "ModelPipeline.sln")))
            folder =
                Path.GetDirectoryName(folder)
                ?? throw new PipelineException("The benchmarks read the sample model and corpus: run them inside the repository.");
        return Path.Combine(folder, path);
    }
}
