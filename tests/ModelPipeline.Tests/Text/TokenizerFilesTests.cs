using System.Text;
using CsCheck;
using Google.Protobuf;
using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Text;
using ModelPipeline.Text.Tokenization;
using ModelPipeline.Text.Tokenization.Wire;

namespace ModelPipeline.Tests.Text;

/// <summary>What files of a tokenizer say is followed; what cannot be reproduced or is broken is refused by file and key.</summary>
public sealed class TokenizerFilesTests : IDisposable
{
    private const string WordPiece = """
        {"added_tokens":[{"id":5,"content":"<x>","special":true,"normalized":false}],
         "normalizer":{"type":"BertNormalizer","lowercase":true},"pre_tokenizer":{"type":"BertPreTokenizer"},
         "post_processor":{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"e","type_id":2}}],
            "pair":[{"Sequence":{"id":"B","type_id":1}},{"SpecialToken":{"id":"e","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],
            "special_tokens":{"e":{"id":"e","ids":[3,4],"tokens":["c","d"]}}},
         "model":{"type":"WordPiece","unk_token":"u","continuing_subword_prefix":"##","max_input_chars_per_word":9,"vocab":{"u":0,"a":1,"##a":2,"c":3,"d":4}}}
        """;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Templates_types_and_padding_are_the_files()
    {
        var tokenizer = Load(WordPiece, """{"pad_token":"<x>"}""");

        var single = tokenizer.Encode("AA<x>", 8);
        Assert.Equal([1, 2, 5, 3, 4, 5, 5, 5], single.InputIds);
        Assert.Equal([0, 0, 0, 2, 2, 0, 0, 0], single.TokenTypeIds);
        var pair = tokenizer.Encode("a", "c a", 6, TruncationStrategy.LongestFirst);
        Assert.Equal([3, 1, 3, 4, 1, 5], pair.InputIds);
        Assert.Equal([1, 1, 0, 0, 0, 0], pair.TokenTypeIds);
        Assert.Equal([1, 1, 1, 1, 1, 0], pair.AttentionMask);
        Assert.Equal(6, tokenizer.VocabularySize);
    }

    [Fact]
    public void Prefixes_stand_before_queries_and_passages()
    {
        var file = new TokenizerFiles(_folder.Write("tokenizer.json", WordPiece))
        {
            Config = _folder.Write("tokenizer_config.json", """{"pad_token":"<x>"}"""),
        };
        var tokenizer = PairTokenizer.Load(
            file,
            new TokenizerSpec
            {
                Vocab = new SourceSpec(),
                Lowercase = null,
                Prefixes = new TextPrefixes("c ", "d "),
            }
        );

        Assert.Equal([4, 1, 3, 4], tokenizer.Encode("a", 4).InputIds);
        Assert.Equal([4, 1, 3, 4, 3, 1], tokenizer.Encode("a", "a", 6, TruncationStrategy.LongestFirst).InputIds);
        Assert.Equal((4, 6), (tokenizer.Count("a"), tokenizer.Count("a", "a")));
    }

    [Theory]
    [InlineData("\"BertNormalizer\"", "\"Nmt\"", "tokenizer.json: normalizer.type: the normalizer 'Nmt' is not supported")]
    [InlineData("\"BertPreTokenizer\"", "\"Digits\"", "pre_tokenizer.type: the pre_tokenizer 'Digits' is not supported")]
    [InlineData("\"TemplateProcessing\"", "\"Other\"", "post_processor.type: the post_processor 'Other' is not supported")]
    [InlineData("\"WordPiece\"", "\"WordLevel\"", "model.type: the model 'WordLevel' is not supported")]
    [InlineData(
        "{\"type\":\"BertPreTokenizer\"}",
        """{"type":"Split","pattern":{"Regex":"\\b"},"behavior":"Removed"}""",
        "pre_tokenizer.pattern.Regex: the regular expression '\\b' has \\b"
    )]
    [InlineData("{\"type\":\"BertPreTokenizer\"}", """{"type":"Split","pattern":{"Regex":"(?<=a)b"},"behavior":"Removed"}""", "has (?<=")]
    [InlineData(
        "{\"type\":\"BertPreTokenizer\"}",
        """{"type":"Split","pattern":{"Regex":"\\p{Han}"},"behavior":"Removed"}""",
        "has \\p{Han"
    )]
    [InlineData(
        "{\"type\":\"BertPreTokenizer\"}",
        """{"type":"Split","pattern":{"Regex":"a++"},"behavior":"Removed"}""",
        "has a quantifier behind +"
    )]
    [InlineData(
        "{\"type\":\"BertPreTokenizer\"}",
        """{"type":"Split","pattern":{"Regex":"(a"},"behavior":"Removed"}""",
        "is no regular expression"
    )]
    [InlineData(
        "{\"type\":\"BertPreTokenizer\"}",
        """{"type":"Metaspace","replacement":"_","prepend_scheme":"first"}""",
        "pre_tokenizer.prepend_scheme: 'first' is not supported"
    )]
    [InlineData(
        "{\"type\":\"BertPreTokenizer\"}",
        """{"type":"Metaspace","replacement":"_","add_prefix_space":false,"prepend_scheme":"always"}""",
        "add_prefix_space: false beside"
    )]
    [InlineData("\"lowercase\":true", "\"lowercase\":1", "normalizer.lowercase: expected true or false, found 1")]
    [InlineData(
        "{\"type\":\"BertNormalizer\",\"lowercase\":true}",
        """{"type":"Precompiled","precompiled_charsmap":"AAAA"}""",
        "precompiled_charsmap: not a precompiled map"
    )]
    [InlineData(
        "{\"type\":\"BertNormalizer\",\"lowercase\":true}",
        """{"type":"Precompiled","precompiled_charsmap":"*"}""",
        "precompiled_charsmap: text that is not base64"
    )]
    [InlineData("\"id\":5", "\"id\":6", "added_tokens[0].id: '<x>' is declared as 6, but would get 5")]
    [InlineData("\"##a\":2", "\"##a\":9", "model: no token has id 2")]
    [InlineData("\"##a\":2", "\"a\":2", "model.vocab: the key 'a' is there twice")]
    [InlineData("\"u\":0,", "\"\\ud800\":0,", "an unpaired surrogate")]
    [InlineData("\"unk_token\":\"u\"", "\"unk_token\":\"?\"", "lacks the unknown token '?'")]
    [InlineData("\"ids\":[3,4]", "\"ids\":[3,-4000000000]", "ids[1]: expected a whole number")]
    [InlineData(
        "{\"Sequence\":{\"id\":\"B\",\"type_id\":1}},",
        "",
        "post_processor.pair: a template in which text B is not where it is expected once"
    )]
    [InlineData(
        "{\"added_tokens\"",
        "{\"truncation\":{\"direction\":\"Left\"},\"added_tokens\"",
        "truncation.direction: 'Left' is not supported"
    )]
    [InlineData("{\"added_tokens\"", "{,\"added_tokens\"", "tokenizer.json: ")]
    public void What_cannot_be_reproduced_is_refused_by_name(string old, string edited, string expected)
    {
        Assert.Contains(old, WordPiece);
        Assert.Contains(expected, Fails(WordPiece.Replace(old, edited), """{"pad_token":"<x>"}"""));
    }

    [Theory]
    [InlineData("{}", "tokenizer.json: which token pads is not said")]
    [InlineData("""{"pad_token":"?"}""", "the padding token '?' is not in the vocabulary")]
    [InlineData("""{"pad_token":"<x>","padding_side":"left"}""", "tokenizer_config.json: padding_side: 'left' is not supported")]
    [InlineData("""{"pad_token":"<x>","do_lower_case":false}""", "tokenizer_config.json: do_lower_case: False, but")]
    [InlineData("[]", "tokenizer_config.json: expected an object, found []")]
    public void A_config_that_contradicts_or_lacks_is_refused(string config, string expected) =>
        Assert.Contains(expected, Fails(WordPiece, config));

    [Fact]
    public void Bpe_without_bytes_is_refused_and_merges_need_their_tokens()
    {
        const string Bpe =
            """{"pre_tokenizer":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}}""";
        Assert.Equal([2, 0], Load(Bpe.Replace("{\"pre", "{\"padding\":{\"pad_token\":\"a\"},\"pre"), "{}").Encode("ab", 2).InputIds);
        Assert.Contains("model: BPE without a pre_tokenizer ByteLevel", Fails(Bpe.Replace("ByteLevel", "BertPreTokenizer"), "{}"));
        Assert.Contains("the merges need the token 'c'", Fails(Bpe.Replace("a b", "a c"), "{}"));
        Assert.Contains("model.merges[0]: anything but two tokens", Fails(Bpe.Replace("a b", "a b b"), "{}"));
        Assert.Contains("model.unk_token: 'a' of BPE", Fails(Bpe.Replace("\"vocab\"", "\"unk_token\":\"a\",\"vocab\""), "{}"));
        Assert.Contains("a vocab.json needs its merges.txt", Fails("""{"a":0}""", "{}"));
    }

    [Fact]
    public void A_vocab_txt_may_strip_accents_and_lowercase_apart()
    {
        var vocabulary = _folder.Write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nschon\nschön\nSchon\nSchön\n中\n##中\n");
        long Word(TokenizerOptions options, string? config = null) =>
            PairTokenizer
                .Load(
                    new TokenizerFiles(vocabulary) { Config = config is null ? null : _folder.Write("tokenizer_config.json", config) },
                    options
                )
                .Encode("Schön", 3)
                .InputIds[1];

        Assert.Equal(5, Word(new()));
        Assert.Equal(6, Word(new(Lowercase: true, StripAccents: false)));
        Assert.Equal(7, Word(new(Lowercase: false, StripAccents: true)));
        Assert.Equal(8, Word(new(Lowercase: false)));
        Assert.Equal(6, Word(new(), """{"do_lower_case":true,"strip_accents":false}"""));
        Assert.Equal(8, Word(new(), """{"do_lower_case":false,"strip_accents":null}"""));
        Assert.Contains(
            "do_lower_case: False, but models.yaml says the contrary",
            Assert.Throws<PipelineException>(() => Word(new(Lowercase: true), """{"do_lower_case":false}""")).Message
        );
        var joined = PairTokenizer.Load(new TokenizerFiles(vocabulary), new TokenizerOptions(TokenizeChineseChars: false));
        Assert.Equal([2, 9, 10, 3], joined.Encode("中中", 4).InputIds);
    }

    /// <summary>The ids that the three families give to the same pieces.</summary>
    [Theory]
    [InlineData("<unk> <s> </s> ▁a b", "a  b", new long[] { 0, 4, 3, 5, 2 })]
    [InlineData("<pad> <unk> [CLS] [SEP] [MASK] ▁a b", "A  b", new long[] { 2, 5, 1, 6, 3 })]
    [InlineData("[PAD] [CLS] [SEP] [UNK] ▁a b", " a b[MASK]", new long[] { 1, 4, 3, 5, 6, 2 })]
    public void Sentencepiece_models_get_their_familys_ids(string pieces, string text, long[] expected)
    {
        var model = new SentencePieceModel
        {
            Pieces = { pieces.Split(' ').Select((piece, index) => new Piece { Piece_ = piece, Score = -index }) },
        };
        var tokenizer = PairTokenizer.Load(new TokenizerFiles(_folder.Write("spm.model", model.ToByteArray())));
        Assert.Equal(expected, tokenizer.Encode(text, tokenizer.Count(text)).InputIds);
    }

    /// <summary>Vocabularies that other classes split or surround otherwise.</summary>
    [Fact]
    public void A_vocab_txt_of_another_class_is_refused()
    {
        var vocabulary = _folder.Write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n");
        var files = new TokenizerFiles(vocabulary)
        {
            Config = _folder.Write("tokenizer_config.json", """{"tokenizer_class":"BertJapaneseTokenizer"}"""),
        };
        Assert.Contains(
            "tokenizer_class: 'BertJapaneseTokenizer' is not supported",
            Assert.Throws<PipelineException>(() => PairTokenizer.Load(files)).Message
        );
    }

    [Fact]
    public void A_sentencepiece_model_of_another_family_is_refused()
    {
        var model = new SentencePieceModel { Pieces = { "abcdef".Select(piece => new Piece { Piece_ = $"{piece}", Score = -1 }) } };
        var path = _folder.Write("spm.model", model.ToByteArray());
        string Message(TokenizerFiles files) => Assert.Throws<PipelineException>(() => PairTokenizer.Load(files)).Message;

        Assert.Contains("spm.model: begins with a b c d e, so it is none of", Message(new(path)));
        Assert.Contains(
            "c.json: tokenizer_class: 'T5Tokenizer' is not supported without its tokenizer.json",
            Message(new(path) { Config = _folder.Write("c.json", """{"tokenizer_class":"T5TokenizerFast"}""") })
        );
        model.TrainerSpec = new TrainerSpec { ModelType = TrainerSpec.Types.ModelType.Bpe };
        Assert.Contains("model_type: Bpe is not supported", Message(new(_folder.Write("spm.model", model.ToByteArray()))));
        Assert.Contains("merges.txt belongs to a vocab.json", Message(new(path) { Merges = path }));
    }

    /// <summary>Bytes of a map, and files cut or changed anywhere, end in a tokenizer or in a refusal.</summary>
    [Fact]
    public void Damaged_files_are_refused_or_work() =>
        Gen.Select(Gen.Int[0, WordPiece.Length - 1], Gen.Char[' ', '}'], Gen.Bool)
            .Sample(
                (at, c, cut) =>
                {
                    var text = cut ? WordPiece[..at] : WordPiece[..at] + c + WordPiece[(at + 1)..];
                    try
                    {
                        Assert.NotEmpty(Load(text, """{"pad_token":"<x>"}""").Encode("aa <x> c", 12).InputIds);
                    }
                    catch (PipelineException e)
                    {
                        Assert.Contains(".json", e.Message);
                    }
                },
                iter: 2_000,
                threads: 1
            );

    [Fact]
    public void Any_bytes_of_a_map_are_refused_or_work() =>
        Gen.Select(Gen.Byte.Array[0, 400], Gen.String)
            .Sample(
                (bytes, text) =>
                {
                    byte[] map = [.. BitConverter.GetBytes(bytes.Length / 8 * 4), .. bytes];
                    try
                    {
                        Assert.NotNull(new PrecompiledNormalizer(map, "map").Apply(ReferenceCharacters.WellFormed(text)));
                    }
                    catch (PipelineException e)
                    {
                        Assert.Contains("map", e.Message);
                    }
                }
            );

    [Fact]
    public void Unpaired_surrogates_read_as_replacement_characters()
    {
        var tokenizer = Load(
            WordPiece
                .Replace("\"type\":\"BertNormalizer\"", "\"type\":\"BertNormalizer\",\"clean_text\":false")
                .Replace("\"d\":4", "\"\uFFFD\":4"),
            """{"pad_token":"<x>"}"""
        );
        Assert.Equal(tokenizer.Encode("\uFFFD a", 6).InputIds, tokenizer.Encode("\uD83D a", 6).InputIds);
        Assert.Equal([4, 1], tokenizer.Encode("\uDE00 a", 6).InputIds[..2]);
    }

    private PairTokenizer Load(string tokenizer, string config) =>
        PairTokenizer.Load(
            new TokenizerFiles(_folder.Write("tokenizer.json", Encoding.UTF8.GetBytes(tokenizer)))
            {
                Config = _folder.Write("tokenizer_config.json", config),
            }
        );

    private string Fails(string tokenizer, string config) => Assert.Throws<PipelineException>(() => Load(tokenizer, config)).Message;
}
