using System.Text;
using System.Text.Json;
using ModelPipeline.Tests.Onnx;
using ModelPipeline.Tests.Stages;

namespace ModelPipeline.Tests.EndToEnd;

/// <summary>Repositories as the hub has them, each around the sample's little transformer: what differs is the files beside it.</summary>
internal static class SmallRepositories
{
    /// <summary>A cross-encoder with a WordPiece vocabulary.</summary>
    public static Dictionary<string, byte[]> BertReranker() =>
        new()
        {
            ["onnx/model.onnx"] = File.ReadAllBytes(TinyReranker.Path),
            ["onnx/model_quantized.onnx"] = [1],
            ["config.json"] = Config("bert", "BertForSequenceClassification", 256),
            ["vocab.txt"] = File.ReadAllBytes(RepositoryFiles.Sample("tiny-reranker/vocab.txt")),
            ["tokenizer_config.json"] = Utf8("""{"do_lower_case":true,"model_max_length":256,"tokenizer_class":"BertTokenizer"}"""),
            ["README.md"] = Utf8("---\nlicense: apache-2.0\n---\n# A reranker\n"),
        };

    /// <summary>As bge: the first token's state, scaled to length 1, and a prompt before queries.</summary>
    public static Dictionary<string, byte[]> ClsEmbedder() =>
        new()
        {
            ["model.onnx"] = EmbedTests.Encoder().ToBytes(),
            ["config.json"] = Config("bert", "BertModel", 256),
            ["modules.json"] = Utf8(
                """
                [{"idx":0,"type":"sentence_transformers.models.Transformer"},{"idx":1,"type":"sentence_transformers.models.Pooling"},
                 {"idx":2,"type":"sentence_transformers.models.Normalize"}]
                """
            ),
            ["1_Pooling/config.json"] = Utf8("""{"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":false}"""),
            ["config_sentence_transformers.json"] = Utf8("""{"prompts":{"query":"search: ","document":""}}"""),
            ["sentence_bert_config.json"] = Utf8("""{"max_seq_length":64}"""),
            ["vocab.txt"] = File.ReadAllBytes(RepositoryFiles.Sample("tiny-reranker/vocab.txt")),
        };

    /// <summary>RoBERTa's kind: byte-level BPE, positions behind two rows for padding, and shorter than some texts.</summary>
    public static Dictionary<string, byte[]> RobertaReranker() =>
        new()
        {
            ["model.onnx"] = File.ReadAllBytes(TinyReranker.Path),
            ["config.json"] = Config("roberta", "RobertaForSequenceClassification", 258),
            ["tokenizer.json"] = Json(
                new
                {
                    added_tokens = Specials("<s>", "<pad>", "</s>", "<unk>", "<mask>"),
                    pre_tokenizer = new
                    {
                        type = "ByteLevel",
                        add_prefix_space = false,
                        trim_offsets = true,
                        use_regex = true,
                    },
                    post_processor = new
                    {
                        type = "RobertaProcessing",
                        sep = new object[] { "</s>", 2 },
                        cls = new object[] { "<s>", 0 },
                        trim_offsets = true,
                        add_prefix_space = false,
                    },
                    model = new
                    {
                        type = "BPE",
                        vocab = new[] { "<s>", "<pad>", "</s>", "<unk>", "<mask>" }
                            .Concat(ByteLetters())
                            .Concat(["Ġt", "he", "Ġthe"])
                            .Index()
                            .ToDictionary(token => token.Item, token => token.Index),
                        merges = new[] { "Ġ t", "h e", "Ġt he" },
                    },
                }
            ),
            ["tokenizer_config.json"] = Utf8("""{"pad_token":"<pad>","model_max_length":64}"""),
        };

    /// <summary>XLM-R's kind: Unigram.</summary>
    public static Dictionary<string, byte[]> XlmrReranker() =>
        new()
        {
            ["onnx/model.onnx"] = File.ReadAllBytes(TinyReranker.Path),
            ["config.json"] = Config("xlm-roberta", "XLMRobertaForSequenceClassification", 258),
            ["tokenizer.json"] = Json(
                new
                {
                    added_tokens = Specials("<s>", "<pad>", "</s>", "<unk>"),
                    pre_tokenizer = new
                    {
                        type = "Metaspace",
                        replacement = "▁",
                        prepend_scheme = "always",
                        split = true,
                    },
                    post_processor = new
                    {
                        type = "TemplateProcessing",
                        single = Row("A"),
                        pair = Row("A").Concat(Row("B").Select(part => part)).ToArray(),
                        special_tokens = new Dictionary<string, object> { ["<s>"] = Token("<s>", 0), ["</s>"] = Token("</s>", 2) },
                    },
                    model = new
                    {
                        type = "Unigram",
                        unk_id = 3,
                        vocab = new[] { "<s>", "<pad>", "</s>", "<unk>" }
                            .Select(piece => new object[] { piece, 0.0 })
                            .Concat(
                                new[] { "▁", "▁the", "er", "in", "on" }
                                    .Concat("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,'-".Select(letter => letter.ToString()))
                                    .Select((piece, index) => new object[] { piece, -2.5 - (0.1 * index) })
                            ),
                        byte_fallback = false,
                    },
                }
            ),
            ["tokenizer_config.json"] = Utf8("""{"pad_token":"<pad>","model_max_length":256}"""),
        };

    /// <summary>Six short texts of the sample.</summary>
    public static string Texts() =>
        string.Join(
            '\n',
            File.ReadLines(RepositoryFiles.Sample("corpus/passages.jsonl"))
                .Take(6)
                .Select(line => string.Join(' ', JsonDocument.Parse(line).RootElement.GetProperty("text").GetString()!.Split(' ').Take(9)))
        );

    private static object[] Row(string text) => [Special("<s>"), new { Sequence = new { id = text, type_id = 0 } }, Special("</s>")];

    private static object Special(string token) => new { SpecialToken = new { id = token, type_id = 0 } };

    private static object Token(string token, int id) =>
        new
        {
            id = token,
            ids = new[] { id },
            tokens = new[] { token },
        };

    private static object[] Specials(params string[] tokens) =>
        [
            .. tokens.Select(
                (token, id) =>
                    new
                    {
                        id,
                        content = token,
                        single_word = false,
                        lstrip = false,
                        rstrip = false,
                        normalized = false,
                        special = true,
                    }
            ),
        ];

    /// <summary>A letter for each byte, as GPT-2 has them.</summary>
    private static IEnumerable<string> ByteLetters()
    {
        var moved = 256;
        for (var value = 0; value < 256; value++)
        {
            var shown = value is >= 33 and <= 126 or >= 161 and <= 172 or >= 174;
            yield return ((char)(shown ? value : moved++)).ToString();
        }
    }

    private static byte[] Config(string type, string architecture, int positions) =>
        Json(
            new
            {
                model_type = type,
                architectures = new[] { architecture },
                hidden_size = 128,
                num_hidden_layers = 4,
                num_attention_heads = 4,
                intermediate_size = 512,
                vocab_size = 8000,
                max_position_embeddings = positions,
            }
        );

    private static byte[] Json(object value) => JsonSerializer.SerializeToUtf8Bytes(value);

    private static byte[] Utf8(string text) => Encoding.UTF8.GetBytes(text);
}
