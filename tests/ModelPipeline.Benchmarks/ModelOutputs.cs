using Microsoft.ML.OnnxRuntime;
using ModelPipeline.Inspection;
using ModelPipeline.Metrics;
using ModelPipeline.Onnx;
using ModelPipeline.Tasks;

namespace ModelPipeline.Benchmarks;

/// <summary>What models say, and how two of them agree.</summary>
internal static class ModelOutputs
{
    private static readonly Answer MeanPooled = new("") { Pooling = "mean" };

    /// <summary>First output of the model, flat.</summary>
    public static float[] Of(InferenceSession session, ModelInput input)
    {
        using var outputs = session.Run([.. session.InputNames.Select(name => input.Tokens[name])], session.OutputNames.Take(1).ToArray());
        return outputs[0].GetTensorDataAsSpan<float>().ToArray();
    }

    public static bool Embeds(InferenceSession session) => session.OutputMetadata.First().Value.Dimensions.Length == 3;

    /// <summary>Scores of a reranker.</summary>
    public static float[] Scores(InferenceSession session, IEnumerable<ModelInput> inputs) =>
        [.. inputs.Select(input => Of(session, input)[0])];

    /// <summary>Embeddings, as validation reads them.</summary>
    public static float[][] Embeddings(InferenceSession session, IEnumerable<ModelInput> inputs) =>
        [.. inputs.Select(input => MeanPooled.Read(Of(session, input), input.Tokens.AttentionMask))];

    public static double Tau(float[] x, float[] y) => RankCorrelation.KendallTauB<float>(x, y);

    public static double MeanDifference(float[] x, float[] y) => x.Zip(y, (a, b) => Math.Abs((double)a - b)).Average();

    /// <summary>Mean of tau over the queries that order their candidates.</summary>
    public static double MeanTau(IEnumerable<ModelInput> inputs, float[] x, float[] y) =>
        inputs
            .Index()
            .GroupBy(input => input.Item.Group)
            .Select(query => Tau([.. query.Select(input => x[input.Index])], [.. query.Select(input => y[input.Index])]))
            .Where(double.IsFinite)
            .Average();

    /// <summary>Mean and least cosine.</summary>
    public static (double Mean, double Min) Cosines(IReadOnlyList<ModelInput> inputs, float[][] reference, float[][] embeddings)
    {
        var figures = EmbeddingValidation.Measure([.. inputs.Select(input => input.Id)], reference, embeddings).Figures;
        return (figures[Metric.CosineMean], figures[Metric.CosineMin]);
    }
}
