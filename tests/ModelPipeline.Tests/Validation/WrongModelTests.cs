using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Tasks;
using ModelPipeline.Text;

namespace ModelPipeline.Tests.Validation;

/// <summary>Scores as wrong models gave them when nothing refused them: no such variant passes gates with a confidence, and the gate that
/// keeps it back has a name.</summary>
public sealed class WrongModelTests
{
    private const ulong Seed = 13;

    private static readonly IReadOnlyList<GateSpec> Ranking =
    [
        new(Metric.NdcgAt10, null, null, 0.02) { Confidence = 0.95 },
        new(Metric.KendallTau, 0.9, null, null) { Confidence = 0.95 },
    ];

    private static readonly IReadOnlyList<GateSpec> Embedding =
    [
        new(Metric.CosineMean, 0.99, null, null) { Confidence = 0.95 },
        new(Metric.RecallOverlapAt10, 0.9, null, null) { Confidence = 0.95 },
    ];

    /// <summary>Each by what it did to fp32's scores.</summary>
    private static readonly Dictionary<string, Func<float[], SplitMix64, float[]>> Wrong = new()
    {
        ["the other label is read"] = (scores, _) => Array.ConvertAll(scores, score => -score),
        ["a token's state is read, or a weight was overwritten"] = (scores, random) => Array.ConvertAll(scores, _ => Noise(random)),
        ["one number for every passage"] = (scores, _) => Array.ConvertAll(scores, _ => 0.5f),
        ["the vocabulary is another's"] = (scores, random) => Array.ConvertAll(scores, score => (0.3f * score) + (6 * Noise(random))),
        ["the mask was not found"] = (scores, random) => Array.ConvertAll(scores, score => score + (4 * Noise(random))),
        ["four levels are left of the scores"] = (scores, _) => Array.ConvertAll(scores, score => MathF.Round(score / 4) * 4),
        ["the first half of the candidates was never scored"] = (scores, _) =>
            [.. scores.Select((score, i) => i < scores.Length / 2 ? 0 : score)],
    };

    public static TheoryData<string> Kinds => [.. Wrong.Keys];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_ranking_that_is_wrong_is_kept_back_by_a_named_gate(string kind)
    {
        var random = new SplitMix64(Seed);
        var outcomes = SampleReports.Scored([.. TinyScores.Of("fp32").Select(scores => Wrong[kind](scores, random))], Ranking).Gates;
        var against = outcomes.Where(gate => !gate.Result.Holds()).ToList();
        Assert.NotEmpty(against);
        Assert.All(against, gate => Assert.Contains(gate.Metric, gate.Statement));
    }

    /// <summary>What the real toolkit makes of the mask's huge constant.</summary>
    [Fact]
    public void So_is_the_toolkits_own_build_without_the_mask_rewrite() =>
        Assert.Equal(
            [GateResult.Failed, GateResult.Failed],
            SampleReports.Scored([.. TinyScores.Of("int8_unmasked_normal")], Ranking).Gates.Select(gate => gate.Result)
        );

    [Fact]
    public void A_right_one_passes_and_on_too_few_queries_it_is_undecided()
    {
        Assert.All(SampleReports.Scored([.. TinyScores.Of("fp16")], Ranking).Gates, gate => Assert.Equal(GateResult.Passed, gate.Result));
        Assert.All(
            SampleReports.Scored([.. TinyScores.Of("fp16").Take(10)], Ranking).Gates,
            gate => Assert.Contains("undecided: needs about 20 queries", gate.Verdict)
        );
    }

    /// <summary>Vectors that are pooled otherwise, cut to another shape, or of other texts.</summary>
    [Theory]
    [InlineData("turned", 0.9)]
    [InlineData("rolled", 0.0)]
    [InlineData("of the next text", 0.0)]
    public void An_embedding_that_is_wrong_is_kept_back_by_a_named_gate(string kind, double share)
    {
        const int Texts = 60,
            Dimensions = 16;
        var random = new SplitMix64(Seed);
        float[][] whole =
        [
            .. Enumerable.Range(0, Texts + 30).Select(_ => Enumerable.Range(0, Dimensions).Select(_ => Noise(random)).ToArray()),
        ];
        float[][] own =
        [
            .. whole.Select(
                (vector, i) =>
                    kind switch
                    {
                        "turned" => Array.ConvertAll(vector, value => (float)((share * value) + ((1 - share) * 3 * Noise(random)))),
                        "rolled" => [.. vector[1..], vector[0]],
                        _ => whole[(i + 1) % whole.Length],
                    }
            ),
        ];
        var order = new ScoringOrder(
            ModelTask.Embed,
            [.. Enumerable.Range(0, 30).Select(i => new CorpusQuery($"q{i}", "ask", ["p00"], new Dictionary<string, int>()))],
            Enumerable.Range(0, Texts).ToDictionary(i => $"p{i:00}", i => "text"),
            embedsQueries: true
        );
        var (measured, reference) = (ModelTask.Embed.Measure(order, whole, own), ModelTask.Embed.Measure(order, whole, whole));
        var intervals = Bootstrap.Of(measured.Samples, reference.Samples);
        var outcomes = Embedding.Select(gate => Gate.Judge(gate, measured.Figures, reference.Figures, false, intervals)).ToList();
        Assert.Contains(outcomes, gate => !gate.Result.Holds() && gate.Statement.Contains(gate.Metric));
    }

    /// <summary>From -1 to 1.</summary>
    private static float Noise(SplitMix64 random) => (float)((random.Next() >> 11) * (2.0 / (1UL << 53))) - 1;
}
