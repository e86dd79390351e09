using System.Text.Json.Serialization;

namespace ModelPipeline.Metrics;

/// <summary>fp32's ranking with passages cut to a length, against its ranking of whole ones.</summary>
/// <param name="ModelTokens">Whole means up to here: the longest passage's length, or the longest input that the model takes.</param>
/// <param name="WholeNdcg">NDCG@10 of whole passages; null where nobody judged them.</param>
/// <param name="CutNdcg">NDCG@10 of cut ones; null likewise.</param>
/// <param name="KendallTau">Between the two, mean over the queries.</param>
/// <param name="MaxScoreDifference">Largest change of a score, in logits.</param>
public sealed record TruncationCost(int ModelTokens, double? WholeNdcg, double? CutNdcg, double KendallTau, double MaxScoreDifference)
{
    [JsonIgnore]
    public double? NdcgLost => WholeNdcg - CutNdcg;
}
