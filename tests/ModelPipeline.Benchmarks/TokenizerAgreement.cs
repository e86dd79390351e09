using System.Diagnostics;
using System.Text;
using System.Text.Json;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Text;
using ModelPipeline.Text.Tokenization;

namespace ModelPipeline.Benchmarks;

/// <summary>Ids against the reference tokenizer's own core, and pairs a second on one core, for each tokenizer of a folder.</summary>
internal static class TokenizerAgreement
{
    private const int LongWord = 1 << 20;

    public static IEnumerable<Row> Run(Arguments arguments)
    {
        var root =
            arguments.Reference
            ?? throw new PipelineException(
                "--reference=FOLDER is missing: a folder of tokenizers, each with its tokenizer.json and cases.jsonl."
            );
        return Directory
            .EnumerateDirectories(root)
            .Where(folder => File.Exists(Path.Combine(folder, "cases.jsonl")))
            .Order(StringComparer.Ordinal)
            .SelectMany(folder => Rows(folder, arguments));
    }

    private static IEnumerable<Row> Rows(string folder, Arguments arguments)
    {
        var kind = Path.GetFileName(folder);
        var files = new TokenizerFiles(Path.Combine(folder, "tokenizer.json")) { Config = Path.Combine(folder, "tokenizer_config.json") };
        var tokenizer = PairTokenizer.Load(files);
        var cases = File.ReadAllText(Path.Combine(folder, "cases.jsonl"))
            .Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => JsonSerializer.Deserialize<JsonElement>(line))
            .ToList();
        yield return new Row($"{kind}: cases that differ, of {cases.Count}", cases.Count(each => Differs(tokenizer, each)), "", "0");

        var texts = cases
            .SelectMany(each => new[] { each.GetProperty("query").GetString(), each.GetProperty("passage").GetString() })
            .Where(text => !string.IsNullOrEmpty(text))
            .ToList();
        var generated = new GeneratedTexts(arguments.Seed, texts!).Take(arguments.Texts);
        yield return new Row(
            $"{kind}: generated texts that differ, of {arguments.Texts}",
            Differing(tokenizer, files.Vocabulary, generated),
            "",
            "0"
        );

        var pairs = cases
            .Where(each => each.GetProperty("passage").ValueKind == JsonValueKind.String)
            .Select(each => (each.GetProperty("query").GetString()!, each.GetProperty("passage").GetString()!))
            .ToList();
        var target = kind.Contains("unigram", StringComparison.Ordinal) ? ">= 8,000" : ">= 20,000";
        yield return new Row($"{kind}: pairs a second of one core", PairsPerSecond(tokenizer, pairs), "", target);
        (string, string)[] words =
        [
            ("one letter", new string('a', LongWord)),
            ("letters at random", RandomWord()),
            ("spaces", new string(' ', LongWord)),
        ];
        foreach (var (what, word) in words)
        {
            var clock = Stopwatch.StartNew();
            tokenizer.Encode(word, 512);
            yield return new Row($"{kind}: a word of 1 MB, {what}", clock.Elapsed.TotalSeconds, "s");
        }
    }

    private static bool Differs(PairTokenizer tokenizer, JsonElement each)
    {
        var (query, length) = (each.GetProperty("query").GetString()!, each.GetProperty("max_length").GetInt32());
        var strategy =
            each.GetProperty("truncation").GetString() == "only_second" ? TruncationStrategy.OnlySecond : TruncationStrategy.LongestFirst;
        var row = each.GetProperty("passage").GetString() is { } passage
            ? tokenizer.Encode(query, passage, length, strategy)
            : tokenizer.Encode(query, length);
        return !(Same(row.InputIds, "input_ids") && Same(row.TokenTypeIds, "token_type_ids") && Same(row.AttentionMask, "attention_mask"));

        bool Same(long[] actual, string name) => each.GetProperty(name).EnumerateArray().Select(id => id.GetInt64()).SequenceEqual(actual);
    }

    private static int Differing(PairTokenizer tokenizer, string file, IEnumerable<string> texts)
    {
        using var reference = new global::Tokenizers.DotNet.Tokenizer(file);
        var differing = 0;
        foreach (var text in texts)
        {
            var expected = reference.Encode(text).Select(id => (long)id).ToArray();
            var actual = tokenizer.Encode(text, Math.Max(tokenizer.Count(text), 2)).InputIds;
            if (expected.SequenceEqual(actual) || differing++ >= 5)
                continue;
            Console.Error.WriteLine($"{file}: {string.Join(' ', text.EnumerateRunes().Select(rune => rune.Value.ToString("X4")))}");
            Console.Error.WriteLine($"  reference {string.Join(' ', expected)}\n  here      {string.Join(' ', actual)}");
        }
        return differing;
    }

    /// <summary>Pairs a second of processor time, the collector's included: the median of five runs of a second each, behind one that is
    /// not counted.</summary>
    private static double PairsPerSecond(PairTokenizer tokenizer, List<(string Query, string Passage)> pairs)
    {
        var rates = Enumerable
            .Range(0, 6)
            .Select(_ =>
            {
                var (start, spent, done) = (Environment.CpuUsage.TotalTime, TimeSpan.Zero, 0);
                for (; spent.TotalSeconds < 1; spent = Environment.CpuUsage.TotalTime - start)
                {
                    foreach (var (query, passage) in pairs)
                        tokenizer.Encode(query, passage, 64, TruncationStrategy.LongestFirst);
                    done += pairs.Count;
                }
                return done / spent.TotalSeconds;
            })
            .Skip(1)
            .Order()
            .ToList();
        return rates[rates.Count / 2];
    }

    private static string RandomWord()
    {
        var random = new Random(1);
        var word = new StringBuilder(LongWord);
        for (var i = 0; i < LongWord; i++)
            word.Append((char)random.Next('a', 'z' + 1));
        return word.ToString();
    }
}
