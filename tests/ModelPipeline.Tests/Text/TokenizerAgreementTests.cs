using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using ModelPipeline.Benchmarks;
using ModelPipeline.Text;
using ModelPipeline.Text.Tokenization;
using Reference = Tokenizers.DotNet.Tokenizer;

namespace ModelPipeline.Tests.Text;

/// <summary>Ids of generated texts against the reference's own core, for the forms of tokenizer.json that the families have, around small
/// vocabularies.</summary>
public class TokenizerAgreementTests
{
    private const int Texts = 2_000;

    private static readonly string[] Real =
    [
        .. File.ReadLines(RepositoryFiles.Sample("corpus/passages.jsonl"))
            .Select(line => JsonDocument.Parse(line).RootElement.GetProperty("text").GetString()!),
    ];

    private static readonly string[] Pieces = [.. File.ReadLines(RepositoryFiles.Sample("tiny-reranker/vocab.txt"))];

    /// <summary>Normalizers with the other parts of BERT's form.</summary>
    public static TheoryData<string> Normalizers =>
        [
            """{"type":"NFC"}""",
            """{"type":"NFD"}""",
            """{"type":"NFKC"}""",
            """{"type":"NFKD"}""",
            """{"type":"Lowercase"}""",
            """{"type":"StripAccents"}""",
            """{"type":"Strip","strip_left":true,"strip_right":true}""",
            """{"type":"Prepend","prepend":"x"}""",
            """{"type":"Replace","pattern":{"String":"a"},"content":" b"}""",
            """{"type":"Replace","pattern":{"Regex":" {2,}|[^\\s\\p{L}]+(?=a)"},"content":"-"}""",
            """{"type":"Sequence","normalizers":[{"type":"NFKD"},{"type":"StripAccents"},{"type":"Lowercase"},{"type":"NFC"}]}""",
            """{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true}""",
            """{"type":"BertNormalizer","clean_text":false,"handle_chinese_chars":false,"strip_accents":true,"lowercase":false}""",
            """{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":false,"strip_accents":false,"lowercase":true}""",
        ];

    public static TheoryData<string> PreTokenizers =>
        [
            "null",
            """{"type":"WhitespaceSplit"}""",
            """{"type":"BertPreTokenizer"}""",
            """{"type":"Metaspace","replacement":"\u2581","prepend_scheme":"never","split":true}""",
            """{"type":"Metaspace","replacement":"\u2581","prepend_scheme":"always","split":false}""",
            """{"type":"Metaspace","replacement":"_","add_prefix_space":true}""",
            """{"type":"Split","pattern":{"String":" "},"behavior":"Removed","invert":false}""",
            """{"type":"Split","pattern":{"Regex":"\\p{N}|\\s"},"behavior":"Isolated","invert":false}""",
            """{"type":"Split","pattern":{"Regex":"\\s"},"behavior":"MergedWithPrevious","invert":false}""",
            """{"type":"Split","pattern":{"Regex":"[\\s\\p{P}]"},"behavior":"MergedWithNext","invert":false}""",
            """{"type":"Split","pattern":{"Regex":"\\s|a"},"behavior":"Contiguous","invert":false}""",
            """{"type":"Split","pattern":{"Regex":"\\p{L}+"},"behavior":"Removed","invert":true}""",
            """{"type":"Split","pattern":{"Regex":"(?i:'s|'t|k)|\\p{Lu}?\\p{Ll}+|\\d{1,3}?|.|\\s*[\\r\\n]+"},"behavior":"Isolated","invert":false}""",
        ];

    public static TheoryData<string> Flags =>
        [
            """{"normalized":false,"lstrip":true,"rstrip":true}""",
            """{"normalized":true,"lstrip":false,"rstrip":true}""",
            """{"normalized":true,"single_word":true}""",
            """{"normalized":false,"single_word":true,"lstrip":true}""",
        ];

    [Theory]
    [MemberData(nameof(Normalizers))]
    public void Normalizers_agree(string normalizer) =>
        Agree(Tokenizer(JsonNode.Parse(normalizer), Node("""{"type":"BertPreTokenizer"}"""), Characters()));

    [Theory]
    [MemberData(nameof(PreTokenizers))]
    public void Pre_tokenizers_agree(string preTokenizer) => Agree(Tokenizer(null, JsonNode.Parse(preTokenizer), Characters()));

    [Theory]
    [MemberData(nameof(Flags))]
    public void Flags_of_added_tokens_agree(string flags)
    {
        var form = Tokenizer(Node("""{"type":"Lowercase"}"""), Node("""{"type":"WhitespaceSplit"}"""), Characters());
        foreach (var token in form["added_tokens"]!.AsArray())
        {
            foreach (var (key, value) in Node(flags).AsObject())
                token![key] = value!.DeepClone();
        }
        Agree(form);
    }

    [Fact]
    public void Word_pieces_agree()
    {
        var vocabulary = new JsonObject(Pieces.Index().Select(piece => KeyValuePair.Create(piece.Item, (JsonNode?)piece.Index)));
        var model = new JsonObject
        {
            ["type"] = "WordPiece",
            ["unk_token"] = "[UNK]",
            ["continuing_subword_prefix"] = "##",
            ["max_input_chars_per_word"] = 60,
            ["vocab"] = vocabulary,
        };
        Agree(
            Tokenizer(
                Node("""{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true}"""),
                Node("""{"type":"BertPreTokenizer"}"""),
                model
            )
        );
    }

    /// <summary>ALBERT's form and DeBERTa-v2's, with the map of the fixture.</summary>
    [Theory]
    [InlineData(
        """[{"type":"Replace","pattern":{"String":"``"},"content":"\""},{"type":"Replace","pattern":{"String":"''"},"content":"\""},{"type":"NFKD"},{"type":"StripAccents"},{"type":"Lowercase"},{"type":"Precompiled"},{"type":"Replace","pattern":{"Regex":" {2,}"},"content":" "}]""",
        """{"type":"Metaspace","replacement":"\u2581","prepend_scheme":"always","split":true}"""
    )]
    [InlineData(
        """[{"type":"Strip","strip_left":true,"strip_right":true},{"type":"Precompiled"},{"type":"Replace","pattern":{"Regex":" {2,}"},"content":" "}]""",
        """{"type":"Sequence","pretokenizers":[{"type":"Metaspace","replacement":"\u2581","prepend_scheme":"always","split":true}]}"""
    )]
    public void Unigram_families_agree(string steps, string preTokenizer)
    {
        var fixture = JsonNode.Parse(File.ReadAllText(Path.Combine(SharedFixtures.Tokenizer("xlmr-unigram"), "tokenizer.json")))!;
        var map = fixture["normalizer"]!["normalizers"]![0]!["precompiled_charsmap"]!;
        var normalizers = Node(steps).AsArray();
        normalizers.Single(step => (string)step!["type"]! == "Precompiled")!["precompiled_charsmap"] = map.DeepClone();
        fixture["normalizer"] = new JsonObject { ["type"] = "Sequence", ["normalizers"] = normalizers };
        fixture["pre_tokenizer"] = JsonNode.Parse(preTokenizer);
        Agree(fixture, padding: "<pad>");
    }

    /// <summary>A Unigram of characters, of which generated text has all ASCII and some others: what splits and changes is seen in the
    /// ids.</summary>
    private static JsonObject Characters()
    {
        var characters = Enumerable
            .Range(0x21, 0x5E)
            .Concat(Enumerable.Range(0xA1, 0x2000))
            .Append(0x2581)
            .Concat(Enumerable.Range(0x3041, 0x90))
            .Concat([0x4E2D, 0x6587, 0x1F600, 0x20000])
            .Select(char.ConvertFromUtf32)
            .Concat(["the", "and", "\u2581a", " b", "'s"]);
        var pieces = new JsonArray(new JsonArray("<unk>", 0.0), new JsonArray("[PAD]", 0.0));
        foreach (var (index, piece) in characters.Index())
            pieces.Add(new JsonArray(piece, -1 - index % 97 / 8.0));
        return new JsonObject
        {
            ["type"] = "Unigram",
            ["unk_id"] = 0,
            ["vocab"] = pieces,
        };
    }

    private static JsonObject Tokenizer(JsonNode? normalizer, JsonNode? preTokenizer, JsonObject model)
    {
        var unigram = model["vocab"] is JsonArray;
        var next = unigram ? model["vocab"]!.AsArray().Count : model["vocab"]!.AsObject().Count;
        string[] contents = unigram ? ["[MASK]", "<mask>", "Ab", "  "] : ["[MASK]", "[SEP]", "<mask>"];
        return new JsonObject
        {
            ["version"] = "1.0",
            ["truncation"] = null,
            ["padding"] = null,
            ["added_tokens"] = new JsonArray([
                .. contents.Select(content => new JsonObject
                {
                    ["id"] = Array.IndexOf(Pieces, content) is >= 0 and var id && !unigram ? id : next++,
                    ["content"] = content,
                    ["single_word"] = false,
                    ["lstrip"] = false,
                    ["rstrip"] = false,
                    ["normalized"] = false,
                    ["special"] = content != "Ab",
                }),
            ]),
            ["normalizer"] = normalizer,
            ["pre_tokenizer"] = preTokenizer,
            ["post_processor"] = null,
            ["decoder"] = null,
            ["model"] = model,
        };
    }

    private static JsonNode Node(string json) => JsonNode.Parse(json)!;

    private static void Agree(JsonNode form, string padding = "[PAD]")
    {
        Assert.SkipUnless(
            OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture == Architecture.X64,
            "the reference's core is packaged for Linux on x86-64 here"
        );
        using var folder = new TemporaryFolder();
        var file = folder.Write("tokenizer.json", form.ToJsonString());
        var tokenizer = PairTokenizer.Load(
            new TokenizerFiles(file)
            {
                Config = folder.Write("tokenizer_config.json", new JsonObject { ["pad_token"] = padding }.ToJsonString()),
            }
        );
        using var reference = new Reference(file);
        foreach (var text in new GeneratedTexts(seed: 5, Real).Take(Texts))
        {
            var (expected, actual) = (
                reference.Encode(text).Select(id => (long)id),
                tokenizer.Encode(text, Math.Max(1, tokenizer.Count(text))).InputIds[..tokenizer.Count(text)]
            );
            Assert.True(
                expected.SequenceEqual(actual),
                $"{string.Join(' ', text.EnumerateRunes().Select(rune => rune.Value.ToString("X4")))}: expected "
                    + $"{string.Join(' ', expected)}, got {string.Join(' ', actual)}"
            );
        }
    }
}
