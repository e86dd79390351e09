using System.Globalization;
using ModelPipeline.Manifest;
using ModelPipeline.Text;

namespace ModelPipeline.Benchmarks;

/// <summary>One row for a model, and the query it belongs to.</summary>
internal sealed record ModelInput(string Group, string Id, TokenizedInput Tokens)
{
    /// <summary>The candidates of the first queries, from tokenized pairs if given, else from the corpus.</summary>
    public static IReadOnlyList<ModelInput> Pairs(Arguments arguments)
    {
        var all = arguments.Pairs is { } file ? File.ReadLines(file).Select((line, i) => Parse(line, $"{file}:{i + 1}")) : FromCorpus(arguments);
        return [.. all.GroupBy(input => input.Group).Take(arguments.Queries).SelectMany(group => group)];
    }

    /// <summary>The first passages of the corpus, two for each query asked for.</summary>
    public static IReadOnlyList<ModelInput> Passages(Arguments arguments)
    {
        var tokenizer = PairTokenizer.Load(arguments.Vocabulary, lowercase: true);
        return [.. Load(arguments).Passages.Take(2 * arguments.Queries).Select(passage => new ModelInput("", passage.Key, tokenizer.Encode(passage.Value, arguments.Sequence)))];
    }

    private static IEnumerable<ModelInput> FromCorpus(Arguments arguments)
    {
        var (corpus, tokenizer) = (Load(arguments), PairTokenizer.Load(arguments.Vocabulary, lowercase: true));
        return from query in corpus.Queries
               from passage in query.Candidates
               select new ModelInput(query.Id, passage, tokenizer.Encode(query.Text, corpus.Passages[passage], arguments.Sequence, TruncationStrategy.LongestFirst));
    }

    private static Corpus Load(Arguments arguments)
    {
        string At(string name) => Path.Combine(arguments.Corpus, name);
        return Corpus.Load(new CorpusSpec
        {
            Name = "benchmark",
            Queries = At("queries.jsonl"),
            Passages = At("passages.jsonl"),
            Qrels = At("qrels.tsv"),
            Candidates = At("candidates.jsonl"),
        });
    }

    private static ModelInput Parse(string line, string where)
    {
        var cells = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        var numbers = cells.Skip(2).Select(cell => long.TryParse(cell, CultureInfo.InvariantCulture, out var number)
            ? number
            : throw new PipelineException($"{where}: '{cell}' is not a number.")).ToArray();
        if (numbers.Length == 0 || numbers.Length % 3 != 0)
            throw new PipelineException($"{where}: expected a query id, a passage id and three times as many numbers as tokens.");
        var length = numbers.Length / 3;
        var mask = numbers[length..(2 * length)];
        return new ModelInput(cells[0], cells[1], new TokenizedInput(numbers[..length], mask, numbers[(2 * length)..], (int)mask.Sum()));
    }
}
