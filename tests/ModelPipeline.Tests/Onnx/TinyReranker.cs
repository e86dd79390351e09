using System.Text.Json;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Onnx;
using ModelPipeline.Rewrites;
using ModelPipeline.Tests.Validation;
using ModelPipeline.Text;

namespace ModelPipeline.Tests.Onnx;

/// <summary>The sample model, its prepared forms at [1,128] and the sample corpus tokenized for it; each made once.</summary>
internal static class TinyReranker
{
    public const int Sequence = 128;

    public static string Path { get; } = RepositoryFiles.Sample("tiny-reranker/model.onnx");

    private static readonly Lazy<OnnxModel> LazySource = new(() => OnnxModel.Load(Path));
    private static readonly Lazy<OnnxModel> LazyUnmasked = new(() =>
        Apply(PinShapes.Apply(LazySource.Value, new InputShape(1, Sequence)), "fold-shapes", "share-initializers")
    );
    private static readonly Lazy<OnnxModel> LazyPrepared = new(() => Apply(LazyUnmasked.Value, "mask"));
    private static readonly Lazy<Dictionary<(string Query, string Passage), long[][]>> LazyInputs = new(Tokenize);
    private static readonly Lazy<IReadOnlyList<(string Query, string Passage)>> LazyPairs = new(() =>
        [.. TinyScores.Queries.SelectMany(query => query.Candidates.Select(passage => (query.Id, passage)))]
    );

    /// <summary>As exported: dynamic axes, 476 nodes.</summary>
    public static OnnxModel Source => LazySource.Value;

    /// <summary>Pinned and folded, its mask constant untouched.</summary>
    public static OnnxModel Unmasked => LazyUnmasked.Value;

    /// <summary>With the mask rewrite.</summary>
    public static OnnxModel Prepared => LazyPrepared.Value;

    /// <summary>All 1,070 (query, candidate) pairs in the order of <see cref="TinyScores"/>.</summary>
    public static IReadOnlyList<(string Query, string Passage)> Pairs => LazyPairs.Value;

    /// <summary>Inputs of a pair in the model's order.</summary>
    public static long[][] Inputs(string query, string passage) => LazyInputs.Value[(query, passage)];

    /// <summary>The toolkit's calibration set.</summary>
    public static IReadOnlyList<long[][]> CalibrationSamples { get; } =
    [
        .. from line in File.ReadLines(RepositoryFiles.Fixture("tiny-calibration-pairs.jsonl"))
        let json = JsonDocument.Parse(line).RootElement
        select Inputs(json.GetProperty("query_id").GetString()!, json.GetProperty("passage_id").GetString()!),
    ];

    public static OnnxModel Apply(OnnxModel model, params string[] passes) =>
        passes.Aggregate(model, (rewritten, name) => Pass.Named(name).Apply(rewritten).Model);

    /// <summary>Scores of the first <paramref name="count"/> pairs.</summary>
    public static float[] Scores(OnnxModel model, int count = int.MaxValue, RunSettings settings = default)
    {
        using var session = InferenceSessions.Open(model, settings);
        return
        [
            .. Pairs
                .Take(count)
                .Select(pair =>
                {
                    using var outputs = session.Run(Inputs(pair.Query, pair.Passage), ["logits"], TestContext.Current.CancellationToken);
                    return outputs[0].GetTensorDataAsSpan<float>()[0];
                }),
        ];
    }

    private static Dictionary<(string, string), long[][]> Tokenize()
    {
        var tokenizer = PairTokenizer.Load(RepositoryFiles.Sample("tiny-reranker/vocab.txt"), lowercase: true);
        Dictionary<string, string> queries = Texts("queries"),
            passages = Texts("passages");
        return Pairs.ToDictionary(
            pair => pair,
            pair =>
            {
                var row = tokenizer.Encode(queries[pair.Query], passages[pair.Passage], Sequence, TruncationStrategy.LongestFirst);
                return new[] { row.InputIds, row.AttentionMask, row.TokenTypeIds };
            }
        );
    }

    private static Dictionary<string, string> Texts(string name) =>
        File.ReadLines(RepositoryFiles.Sample($"corpus/{name}.jsonl"))
            .Select(line => JsonDocument.Parse(line).RootElement)
            .ToDictionary(json => json.GetProperty("id").GetString()!, json => json.GetProperty("text").GetString()!);
}
