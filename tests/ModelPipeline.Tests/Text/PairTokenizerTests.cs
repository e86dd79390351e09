using System.Text.Json;
using System.Text.Json.Serialization;
using CsCheck;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Text;

namespace ModelPipeline.Tests.Text;

public class PairTokenizerTests
{
    private static readonly PairTokenizer Tiny = PairTokenizer.Load(RepositoryFiles.Sample("tiny-reranker/vocab.txt"), lowercase: true);

    /// <summary>Any text: all planes, controls, lone surrogates, and special tokens in the middle of it.</summary>
    private static readonly Gen<string> AnyText = Gen.Select(
        Gen.String,
        Gen.OneOf("", "[SEP]", " [CLS]x", "é", "中", "  "),
        Gen.String,
        (a, b, c) => a + b + c
    );

    [Fact]
    public void Ids_and_types_equal_the_reference_tokenizers_on_every_line()
    {
        var lines = File.ReadLines(RepositoryFiles.Fixture("tiny-vocab.jsonl"))
            .Select(line => JsonSerializer.Deserialize<Reference>(line)!)
            .ToList();
        Assert.Equal(224, lines.Count);
        foreach (var (index, line) in lines.Index())
        {
            var actual = Tiny.Encode(
                line.Query,
                line.Passage,
                line.MaxLength,
                line.Truncation switch
                {
                    "longest_first" => TruncationStrategy.LongestFirst,
                    "only_second" => TruncationStrategy.OnlySecond,
                    var other => throw new InvalidOperationException(other),
                }
            );
            var padding = line.MaxLength - line.InputIds.Length;
            Assert.True(
                line.InputIds.SequenceEqual(actual.InputIds[..actual.Length]),
                $"line {index + 1}: expected {string.Join(' ', line.InputIds)}, got {string.Join(' ', actual.InputIds)}"
            );
            Assert.Equal([.. line.TokenTypeIds, .. new long[padding]], actual.TokenTypeIds);
            Assert.Equal([.. Enumerable.Repeat(1L, line.InputIds.Length), .. new long[padding]], actual.AttentionMask);
            Assert.Equal(Enumerable.Repeat((long)Tiny.PaddingId, padding), actual.InputIds[actual.Length..]);
        }
    }

    [Fact]
    public void Special_ids_come_from_the_vocabulary()
    {
        using var folder = new TemporaryFolder();
        var tokenizer = PairTokenizer.Load(folder.Write("vocab.txt", "b\n[SEP]\n[MASK]\n[UNK]\na\n[PAD]\n[CLS]\n##b\n"), lowercase: true);

        var input = tokenizer.Encode("a", "ab zz", 8, TruncationStrategy.LongestFirst);

        Assert.Equal([6, 4, 1, 4, 7, 3, 1, 5], input.InputIds);
        Assert.Equal(7, input.Length);
        Assert.Equal(8, tokenizer.VocabularySize);
    }

    [Fact]
    public void A_single_text_is_classification_text_separator()
    {
        var input = Tiny.Encode("the device", 6);
        Assert.Equal([2, 200, 1330, 3, 0, 0], input.InputIds);
        Assert.Equal([1, 1, 1, 1, 0, 0], input.AttentionMask);
        Assert.Equal(new long[6], input.TokenTypeIds);
        Assert.Equal([2, 200, 3], Tiny.Encode("the device", 3).InputIds);
    }

    [Fact]
    public void Cased_models_keep_case_and_accents()
    {
        using var folder = new TemporaryFolder();
        var vocabulary = folder.Write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nCafé\ncafe\n");
        Assert.Equal([2, 5, 3], PairTokenizer.Load(vocabulary, lowercase: false).Encode("Café", 3).InputIds);
        Assert.Equal([2, 6, 3], PairTokenizer.Load(vocabulary, lowercase: true).Encode("Café", 3).InputIds);
    }

    [Fact]
    public void Words_are_bounded_in_code_points_not_utf16_units()
    {
        using var folder = new TemporaryFolder();
        var tokenizer = PairTokenizer.Load(folder.Write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n😀\n##😀\n"), lowercase: true);
        string Faces(int count) => string.Concat(Enumerable.Repeat("😀", count));
        Assert.Equal(102, tokenizer.Encode(Faces(100), 200).Length);
        Assert.Equal([2, 1, 3], tokenizer.Encode(Faces(101), 200).InputIds[..3]);
    }

    [Fact]
    public void A_query_that_fills_the_sequence_is_an_error_when_only_the_passage_may_be_cut()
    {
        var query = string.Join(' ', Enumerable.Repeat("the", 30));
        Assert.Equal(33, Tiny.Encode(query[..^4], "device", 33, TruncationStrategy.OnlySecond).Length);
        var error = Assert.Throws<PipelineException>(() => Tiny.Encode(query, "device", 32, TruncationStrategy.OnlySecond));
        Assert.Contains("30 tokens", error.Message);
        Assert.Contains("longest_first", error.Message);
    }

    [Theory]
    [InlineData("[PAD]\n[UNK]\n[CLS]\n[MASK]\n", "lacks [SEP]")]
    [InlineData("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n[SEP]\n", ":7: token '[SEP]' is on line 4 already")]
    [InlineData("[PAD]\n[UNK]\n\n[CLS]\n[SEP]\n[MASK]\n", ":3: an empty token")]
    [InlineData("", "lacks [PAD], [UNK], [CLS], [SEP], [MASK]")]
    public void A_broken_vocabulary_is_refused(string text, string expected)
    {
        using var folder = new TemporaryFolder();
        var error = Assert.Throws<PipelineException>(() => PairTokenizer.Load(folder.Write("vocab.txt", text), lowercase: true));
        Assert.Contains(expected, error.Message);
        Assert.Contains("vocab.txt", error.Message);
    }

    [Fact]
    public void An_oversized_vocabulary_is_refused()
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("vocab.txt", string.Concat(Enumerable.Range(0, 20).Select(i => $"{i}{new string('a', 1_000_000)}\n")));
        Assert.Contains(
            "vocab.txt:17: longer than 16777216 characters",
            Assert.Throws<PipelineException>(() => PairTokenizer.Load(path, lowercase: true)).Message
        );
    }

    [Fact]
    public void Any_two_texts_give_a_well_formed_row() =>
        Gen.Select(AnyText, AnyText, Gen.Int[3, 40])
            .Sample(
                (query, passage, length) =>
                {
                    var input = Tiny.Encode(query, passage, length, TruncationStrategy.LongestFirst);
                    Assert.All([input.InputIds, input.AttentionMask, input.TokenTypeIds], row => Assert.Equal(length, row.Length));
                    Assert.InRange(input.Length, 3, length);
                    Assert.Equal(2, input.InputIds[0]);
                    Assert.Equal(Tiny.SeparatorId, input.InputIds[input.Length - 1]);
                    Assert.Equal(input.Length, input.AttentionMask.Sum());
                    Assert.All(input.InputIds, id => Assert.InRange(id, 0, Tiny.VocabularySize - 1));
                }
            );

    [Fact]
    public void An_input_of_another_name_is_an_error() =>
        Assert.Contains("'position_ids'", Assert.Throws<PipelineException>(() => Tiny.Encode("a", 4)["position_ids"]).Message);

    private sealed record Reference(
        [property: JsonPropertyName("query")] string Query,
        [property: JsonPropertyName("passage")] string Passage,
        [property: JsonPropertyName("max_length")] int MaxLength,
        [property: JsonPropertyName("truncation")] string Truncation,
        [property: JsonPropertyName("input_ids")] long[] InputIds,
        [property: JsonPropertyName("token_type_ids")] long[] TokenTypeIds
    );
}
