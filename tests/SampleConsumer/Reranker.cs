using System.Text.Json;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.Tokenizers;

namespace SampleConsumer;

/// <summary>A released cross-encoder in ONNX Runtime: scores how well passages answer a query.</summary>
public sealed class Reranker : IDisposable
{
    /// <summary>Passages scored in one run of the model.</summary>
    private const int BatchSize = 16;

    private readonly InferenceSession session;
    private readonly BertTokenizer tokenizer;
    private readonly int length;

    /// <param name="folder">What a ModelArtifact item put into the output: model, vocab.txt, manifest.json.</param>
    /// <param name="variant">Of the model.</param>
    /// <param name="length">Tokens of query and passage together; longer passages are cut.</param>
    public Reranker(string folder, string variant, int length = 128)
    {
        using var manifest = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "manifest.json")));
        var model = manifest
            .RootElement.GetProperty("files")
            .EnumerateArray()
            .Single(file => file.GetProperty("variant").GetString() == variant);
        var lowercase = manifest.RootElement.GetProperty("settings").GetProperty("tokenizer").GetProperty("lowercase").GetBoolean();
        session = new InferenceSession(Path.Combine(folder, model.GetProperty("name").GetString()!));
        tokenizer = BertTokenizer.Create(Path.Combine(folder, "vocab.txt"), new BertOptions { LowerCaseBeforeTokenization = lowercase });
        this.length = length;
    }

    /// <summary>One score a passage, in their order: the higher, the better.</summary>
    public float[] Score(string query, IReadOnlyList<string> passages) =>
        [.. passages.Chunk(BatchSize).SelectMany(batch => ScoreBatch(query, batch))];

    public void Dispose() => session.Dispose();

    private float[] ScoreBatch(string query, string[] passages)
    {
        var (ids, mask, types) = (
            new long[passages.Length * length],
            new long[passages.Length * length],
            new long[passages.Length * length]
        );
        var first = tokenizer.EncodeToIds(query, addSpecialTokens: false);
        if (first.Count > length - 4)
            throw new ArgumentException($"The query has {first.Count} tokens; {length - 4} leave room for a passage.", nameof(query));
        for (var row = 0; row < passages.Length; row++)
        {
            var second = tokenizer.EncodeToIds(passages[row], addSpecialTokens: false).Take(length - 3 - first.Count);
            int[] head = [tokenizer.ClassificationTokenId, .. first, tokenizer.SeparatorTokenId];
            int[] pair = [.. head, .. second, tokenizer.SeparatorTokenId];
            for (var i = 0; i < pair.Length; i++)
                (ids[row * length + i], mask[row * length + i], types[row * length + i]) = (pair[i], 1, i < head.Length ? 0 : 1);
        }
        long[] shape = [passages.Length, length];
        using var idsValue = OrtValue.CreateTensorValueFromMemory(ids, shape);
        using var maskValue = OrtValue.CreateTensorValueFromMemory(mask, shape);
        using var typesValue = OrtValue.CreateTensorValueFromMemory(types, shape);
        var inputs = new Dictionary<string, OrtValue>
        {
            ["input_ids"] = idsValue,
            ["attention_mask"] = maskValue,
            ["token_type_ids"] = typesValue,
        };
        using var options = new RunOptions();
        using var outputs = session.Run(options, inputs, session.OutputNames);
        return outputs[0].GetTensorDataAsSpan<float>().ToArray();
    }
}
