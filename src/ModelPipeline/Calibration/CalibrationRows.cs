using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Tasks;
using ModelPipeline.Text;

namespace ModelPipeline.Calibration;

/// <summary>A query and one of its candidate passages, by their ids in the corpus.</summary>
public readonly record struct CalibrationPair(string Query, string Passage);

/// <summary>What goes into a calibration set. The same arguments give the same rows on every machine.</summary>
public static class CalibrationRows
{
    /// <summary>
    /// Chooses <paramref name="samples"/> different pairs, spread over queries: queries in random order each give one random candidate,
    /// then each a second one, and so on.
    /// </summary>
    /// <exception cref="PipelineException">The corpus has fewer pairs.</exception>
    public static IReadOnlyList<CalibrationPair> ChoosePairs(Corpus corpus, int samples, int seed)
    {
        CheckEnough(corpus, samples, corpus.Queries.Sum(query => query.Candidates.Count), "pairs of query and candidate");
        var random = new SplitMix64((ulong)seed);
        var shuffled = random.Shuffle(corpus.Queries).Select(query => (query.Id, Candidates: random.Shuffle(query.Candidates))).ToList();
        var rounds = shuffled.Max(query => query.Candidates.Length);
        var pairs =
            from round in Enumerable.Range(0, rounds)
            from query in shuffled
            where round < query.Candidates.Length
            select new CalibrationPair(query.Id, query.Candidates[round]);
        return [.. pairs.Take(samples)];
    }

    /// <summary>Token rows of length <paramref name="sequence"/> as the model's <see cref="CalibrationSpec"/> asks: pairs for a reranker,
    /// passages for an embedder, or random ids.</summary>
    /// <exception cref="PipelineException">The corpus is too small, or a text does not fit the truncation strategy.</exception>
    internal static IEnumerable<TokenizedInput> Make(ModelSpec model, Corpus corpus, PairTokenizer tokenizer, int sequence) =>
        model.Calibration.Strategy switch
        {
            CalibrationStrategy.Random => Random(model.Calibration, tokenizer, sequence),
            CalibrationStrategy.Text when ModelTask.Named(model.Task).TakesPairs => Pairs(model, corpus, tokenizer, sequence),
            CalibrationStrategy.Text => Passages(model.Calibration, corpus, tokenizer, sequence),
        };

    private static IEnumerable<TokenizedInput> Pairs(ModelSpec model, Corpus corpus, PairTokenizer tokenizer, int sequence)
    {
        var queries = corpus.Queries.ToDictionary(query => query.Id, query => query.Text, StringComparer.Ordinal);
        return ChoosePairs(corpus, model.Calibration.Samples, model.Calibration.Seed)
            .Select(pair => tokenizer.Encode(queries[pair.Query], corpus.Passages[pair.Passage], sequence, model.Tokenizer.Truncation));
    }

    private static IEnumerable<TokenizedInput> Passages(CalibrationSpec spec, Corpus corpus, PairTokenizer tokenizer, int sequence)
    {
        CheckEnough(corpus, spec.Samples, corpus.Passages.Count, "passages");
        return new SplitMix64((ulong)spec.Seed)
            .Shuffle(corpus.Passages.Keys.Order(StringComparer.Ordinal))
            .Take(spec.Samples)
            .Select(id => tokenizer.Encode(corpus.Passages[id], sequence));
    }

    /// <summary>
    /// The recipe of the board project that this pipeline continues: 5 to 25 query ids from 100 to 5,000, [SEP], 50 to 500 passage ids from
    /// 100 to 10,000; clipped to the vocabulary and the sequence length.
    /// </summary>
    private static IEnumerable<TokenizedInput> Random(CalibrationSpec spec, PairTokenizer tokenizer, int sequence)
    {
        var random = new SplitMix64((ulong)spec.Seed);
        var last = tokenizer.VocabularySize - 1;
        for (var sample = 0; sample < spec.Samples; sample++)
        {
            var query = random.Between(5, 25);
            var passage = random.Between(50, 500);
            var length = Math.Min(query + 1 + passage, sequence);
            var (ids, mask, types) = (new long[sequence], new long[sequence], new long[sequence]);
            for (var i = 0; i < length; i++)
            {
                ids[i] =
                    i == query ? tokenizer.SeparatorId : random.Between(Math.Min(100, last), Math.Min(i < query ? 5_000 : 10_000, last));
                mask[i] = 1;
                types[i] = i > query ? 1 : 0;
            }
            ids.AsSpan(length).Fill(tokenizer.PaddingId);
            yield return new TokenizedInput(ids, mask, types, length);
        }
    }

    private static void CheckEnough(Corpus corpus, int samples, int available, string what)
    {
        if (samples > available)
            throw new PipelineException(
                $"calibration.samples: {samples} asked, but corpus '{corpus.Name}' has {available} {what}; ask for fewer or take a larger "
                    + $"corpus.",
                PipelineException.ConfigurationError
            );
    }
}
