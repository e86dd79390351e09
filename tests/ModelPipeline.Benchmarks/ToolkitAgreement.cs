using System.Globalization;
using System.Text.Json;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Onnx;
using ModelPipeline.Rewrites;

namespace ModelPipeline.Benchmarks;

/// <summary>The emulation of the sample model against the recorded scores of rknn-toolkit2's own simulator, all 1,070 pairs, from the same
/// calibration pairs.</summary>
internal static class ToolkitAgreement
{
    private static readonly RunSettings AsWritten = new(Threads: 1, FuseQdq: false);

    public static IEnumerable<Row> Run(Arguments arguments)
    {
        arguments = new Arguments { Queries = int.MaxValue };
        var inputs = ModelInput.Pairs(arguments);
        var pinned = PinShapes.Apply(OnnxModel.Load(arguments.Model), new InputShape(1, arguments.Sequence));
        var byId = inputs.ToDictionary(input => (input.Group, input.Id));
        var calibration = NpuEmulated.Rows(
            [.. pinned.Graph.Inputs.Select(input => input.Name)],
            [
                .. File.ReadLines(Fixture("tiny-calibration-pairs.jsonl"))
                    .Select(line =>
                    {
                        var pair = JsonDocument.Parse(line).RootElement;
                        return byId[(pair.GetProperty("query_id").GetString()!, pair.GetProperty("passage_id").GetString()!)];
                    }),
            ]
        );
        var queries = ModelInput.LoadCorpus(arguments).Queries;
        var recorded = Recorded();
        var fp32 = recorded["fp32"];
        float[] Scores(string[] rewrites, QuantizationAlgorithm algorithm)
        {
            using var session = InferenceSessions.Open(NpuEmulated.Build(pinned, rewrites, algorithm, calibration), AsWritten);
            return ModelOutputs.Scores(session, inputs);
        }
        double Tau(float[] scores) => ModelOutputs.MeanTau(inputs, fp32, scores);

        var normal = Scores(["fold-shapes", "mask"], QuantizationAlgorithm.Normal);
        yield return new(
            "int8 normal: Spearman to the toolkit's scores",
            RankCorrelation.Spearman<float>(normal, recorded["int8_normal"]),
            "",
            ">= 0.985"
        );
        yield return new(
            "int8 normal: mean difference to the toolkit's scores",
            ModelOutputs.MeanDifference(normal, recorded["int8_normal"]),
            "",
            "<= 0.10"
        );
        var unmasked = Scores(["fold-shapes"], QuantizationAlgorithm.Normal);
        yield return new(
            "mask untouched: Kendall tau to fp32",
            Tau(unmasked),
            "",
            $"|tau| <= 0.15 (toolkit {Tau(recorded["int8_unmasked_normal"]):0.000})"
        );
        yield return Ndcg("mask untouched", unmasked, recorded["int8_unmasked_normal"]);
        var kl = Scores(["fold-shapes", "mask"], QuantizationAlgorithm.KlDivergence);
        yield return new(
            "kl_divergence: Kendall tau to fp32",
            Tau(kl),
            "",
            $"within 0.03 of the toolkit's {Tau(recorded["int8_kl_divergence"]):0.000}"
        );
        yield return Ndcg("kl_divergence", kl, recorded["int8_kl_divergence"]);

        Row Ndcg(string build, float[] ours, float[] toolkits) =>
            new($"{build}: NDCG@10", MeanNdcg(ours), "", $"within 0.05 of the toolkit's {MeanNdcg(toolkits):0.000}");
        double MeanNdcg(float[] scores)
        {
            using var flat = ((IEnumerable<float>)scores).GetEnumerator();
            return queries.Average(query =>
                RankingQuality.Ndcg(query, [.. query.Candidates.Select(_ => flat.MoveNext() ? flat.Current : 0)])
            );
        }
    }

    /// <summary>Scores of all pairs by build, in corpus order.</summary>
    private static Dictionary<string, float[]> Recorded()
    {
        var lines = File.ReadLines(Fixture("tiny-scores.tsv")).Select(line => line.Split('\t')).ToList();
        return Enumerable
            .Range(2, lines[0].Length - 2)
            .ToDictionary(
                column => lines[0][column],
                column => lines.Skip(1).Select(cells => float.Parse(cells[column], CultureInfo.InvariantCulture)).ToArray()
            );
    }

    private static string Fixture(string name) => Arguments.InRepository($"tests/ModelPipeline.Tests/Fixtures/{name}");
}
