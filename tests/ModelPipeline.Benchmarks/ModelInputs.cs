using ModelPipeline.Calibration;
using ModelPipeline.Manifest;
using ModelPipeline.Text;

namespace ModelPipeline.Benchmarks;

/// <summary>One row for a model, and the query it belongs to.</summary>
internal sealed record ModelInput(string Group, string Id, TokenizedInput Tokens)
{
    /// <summary>The candidates of the first queries.</summary>
    public static IReadOnlyList<ModelInput> Pairs(Arguments arguments)
    {
        var (corpus, tokenizer) = Load(arguments);
        return
        [
            .. from query in corpus.Queries.Take(arguments.Queries)
            from passage in query.Candidates
            select new ModelInput(
                query.Id,
                passage,
                tokenizer.Encode(query.Text, corpus.Passages[passage], arguments.Sequence, TruncationStrategy.LongestFirst)
            ),
        ];
    }

    /// <summary>The first passages, two for each query asked for.</summary>
    public static IReadOnlyList<ModelInput> Passages(Arguments arguments)
    {
        var (corpus, tokenizer) = Load(arguments);
        return [.. corpus.Passages.Take(2 * arguments.Queries).Select(passage => Passage(passage, tokenizer, arguments))];
    }

    /// <summary>Pairs of other queries than <see cref="Pairs"/>, for calibration.</summary>
    public static IReadOnlyList<ModelInput> CalibrationPairs(Arguments arguments, int samples)
    {
        var (corpus, tokenizer) = Load(arguments);
        var others = corpus with { Queries = [.. corpus.Queries.Skip(arguments.Queries)] };
        var texts = others.Queries.ToDictionary(query => query.Id, query => query.Text);
        return
        [
            .. CalibrationRows
                .ChoosePairs(others, samples, seed: 42)
                .Select(pair => new ModelInput(
                    pair.Query,
                    pair.Passage,
                    tokenizer.Encode(texts[pair.Query], corpus.Passages[pair.Passage], arguments.Sequence, TruncationStrategy.LongestFirst)
                )),
        ];
    }

    /// <summary>The passages behind those of <see cref="Passages"/>, for calibration.</summary>
    public static IReadOnlyList<ModelInput> CalibrationPassages(Arguments arguments, int samples)
    {
        var (corpus, tokenizer) = Load(arguments);
        return [.. corpus.Passages.Skip(2 * arguments.Queries).Take(samples).Select(passage => Passage(passage, tokenizer, arguments))];
    }

    private static ModelInput Passage(KeyValuePair<string, string> passage, PairTokenizer tokenizer, Arguments arguments) =>
        new("", passage.Key, tokenizer.Encode(passage.Value, arguments.Sequence));

    private static (Corpus Corpus, PairTokenizer Tokenizer) Load(Arguments arguments) =>
        (LoadCorpus(arguments), PairTokenizer.Load(arguments.Vocabulary, lowercase: true));

    public static Corpus LoadCorpus(Arguments arguments)
    {
        string At(string name) => Path.Combine(arguments.Corpus, name);
        return Corpus.Load(
            new CorpusSpec
            {
                Name = "benchmark",
                Queries = At("queries.jsonl"),
                Passages = At("passages.jsonl"),
                Qrels = At("qrels.tsv"),
                Candidates = At("candidates.jsonl"),
            }
        );
    }
}
