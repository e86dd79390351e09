using System.Text.Json;
using System.Text.Json.Serialization;
using ModelPipeline.Manifest;
using ModelPipeline.Text;
using ModelPipeline.Text.Tokenization;

namespace ModelPipeline.Tests.Text;

/// <summary>Rows that the reference made for a thousand cases of each kind, from each set of files that the kind comes in.</summary>
public class TokenizerFixtureTests
{
    public static TheoryData<string> Kinds => new(SharedFixtures.Kinds);

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Rows_of_a_tokenizer_json_equal_the_references(string kind)
    {
        var folder = SharedFixtures.Tokenizer(kind);
        Check(
            folder,
            new TokenizerFiles(Path.Combine(folder, "tokenizer.json")) { Config = Path.Combine(folder, "tokenizer_config.json") }
        );
        Check(
            folder,
            new TokenizerFiles(Path.Combine(folder, "tokenizer.json")) { SpecialTokens = Path.Combine(folder, "special_tokens_map.json") }
        );
    }

    [Theory]
    [InlineData("wordpiece-cased")]
    [InlineData("wordpiece-cased-strip")]
    [InlineData("wordpiece-uncased-keep")]
    public void A_vocab_txt_with_its_config_is_the_same(string kind)
    {
        var folder = SharedFixtures.Tokenizer(kind);
        Check(folder, new TokenizerFiles(Path.Combine(folder, "vocab.txt")) { Config = Path.Combine(folder, "tokenizer_config.json") });
    }

    [Theory]
    [InlineData("wordpiece-cased", false, null)]
    [InlineData("wordpiece-cased-strip", false, true)]
    [InlineData("wordpiece-uncased-keep", true, false)]
    public void A_vocab_txt_with_options_is_the_same(string kind, bool lowercase, bool? stripAccents)
    {
        var folder = SharedFixtures.Tokenizer(kind);
        Check(folder, new TokenizerFiles(Path.Combine(folder, "vocab.txt")), new TokenizerOptions(lowercase, stripAccents));
    }

    [Fact]
    public void A_vocab_json_with_merges_is_the_same()
    {
        var folder = SharedFixtures.Tokenizer("roberta-bpe");
        var files = new TokenizerFiles(Path.Combine(folder, "vocab.json")) { Merges = Path.Combine(folder, "merges.txt") };
        Check(folder, files);
        Check(folder, files with { Config = Path.Combine(folder, "tokenizer_config.json") });
        Check(folder, files with { SpecialTokens = Path.Combine(folder, "special_tokens_map.json") });
    }

    [Fact]
    public void A_sentencepiece_model_is_the_same()
    {
        var folder = SharedFixtures.Tokenizer("xlmr-unigram");
        var files = new TokenizerFiles(Path.Combine(folder, "sentencepiece.bpe.model"));
        Check(folder, files);
        Check(folder, files with { Config = Path.Combine(folder, "tokenizer_config.json") });
    }

    private static void Check(string folder, TokenizerFiles files, TokenizerOptions? options = null)
    {
        var tokenizer = PairTokenizer.Load(files, options);
        // Lines end with \n alone: U+0085 and U+2028 stand raw in some texts.
        var lines = File.ReadAllText(Path.Combine(folder, "cases.jsonl")).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(1000, lines.Length);
        foreach (var (index, line) in lines.Index())
        {
            var reference = JsonSerializer.Deserialize<Reference>(line)!;
            var row = reference.Passage is null
                ? tokenizer.Encode(reference.Query, reference.MaxLength)
                : tokenizer.Encode(reference.Query, reference.Passage, reference.MaxLength, TruncationStrategy.LongestFirst);
            Assert.True(
                reference.InputIds.SequenceEqual(row.InputIds),
                $"line {index + 1}: expected {string.Join(' ', reference.InputIds)}, got {string.Join(' ', row.InputIds)}"
            );
            Assert.Equal(reference.TokenTypeIds, row.TokenTypeIds);
            Assert.Equal(reference.AttentionMask, row.AttentionMask);
        }
    }

    private sealed record Reference(
        [property: JsonPropertyName("query")] string Query,
        [property: JsonPropertyName("passage")] string? Passage,
        [property: JsonPropertyName("max_length")] int MaxLength,
        [property: JsonPropertyName("input_ids")] long[] InputIds,
        [property: JsonPropertyName("token_type_ids")] long[] TokenTypeIds,
        [property: JsonPropertyName("attention_mask")] long[] AttentionMask
    );
}
