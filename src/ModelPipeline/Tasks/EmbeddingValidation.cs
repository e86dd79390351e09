using ModelPipeline.Core;
using ModelPipeline.Metrics;

namespace ModelPipeline.Tasks;

/// <summary>What one text says about an embedder.</summary>
/// <param name="Id">Text id.</param>
/// <param name="Cosine">Cosine of its embedding to the reference's, -1 to 1.</param>
[OneLine]
public sealed record TextFigures(string Id, double Cosine);

/// <summary>Figures of an embedder against the reference (fp32), by metric name, and their origin text by text.</summary>
public static class EmbeddingValidation
{
    /// <summary>Compares pooled embeddings text by text, and the similarities of all pairs of texts by Spearman's rho.</summary>
    /// <param name="ids">Ids of the texts, at least one.</param>
    /// <param name="reference">[text][dimension], in the order of <paramref name="ids"/>.</param>
    /// <param name="embeddings">[text][dimension], likewise.</param>
    /// <exception cref="PipelineException">An embedding is all zeros or not finite, or the numbers of texts or dimensions
    /// differ.</exception>
    public static TaskFigures Measure(IReadOnlyList<string> ids, IReadOnlyList<float[]> reference, IReadOnlyList<float[]> embeddings)
    {
        if (ids.Count == 0)
            throw new PipelineException("There are no texts to validate the embedder on. Give at least one passage in the corpus.");
        RequireEmbeddings(ids, reference, reference, "fp32");
        RequireEmbeddings(ids, embeddings, reference, "the variant");

        var texts = ids.Select((id, i) => new TextFigures(id, Cosine(reference[i], embeddings[i]))).ToArray();
        var (expected, actual) = (Similarities(reference), Similarities(embeddings));
        var spearman = RankCorrelation.Spearman<double>(expected, actual);
        var samples = new Dictionary<string, Sample> { [Metric.CosineMean] = Sample.Mean([.. texts.Select(text => (double?)text.Cosine)]) };
        if (double.IsFinite(spearman))
            samples[Metric.SimilaritySpearman] = Sample.Linear(spearman, OfTexts(RankCorrelation.SpearmanInfluences(expected, actual)));
        var figures = Figure.Set(
            KeyValuePair.Create(Metric.CosineMean, (double?)samples[Metric.CosineMean].Figure),
            KeyValuePair.Create(Metric.CosineMin, (double?)texts.Min(text => text.Cosine)),
            KeyValuePair.Create(Metric.SimilaritySpearman, (double?)spearman)
        );
        return new(figures) { Samples = samples, Texts = [.. texts.Select(text => text with { Cosine = Math.Round(text.Cosine, 6) })] };
    }

    private static double[] Similarities(IReadOnlyList<float[]> embeddings) =>
        [.. from i in Enumerable.Range(0, embeddings.Count) from j in Enumerable.Range(0, i) select Cosine(embeddings[i], embeddings[j])];

    /// <summary>A text is in the pairs with all others: its influence is twice the mean of theirs (Hajek's projection of a statistic of
    /// pairs).</summary>
    /// <param name="pairs">As many as <see cref="Similarities"/> has, in its order.</param>
    private static double[] OfTexts(double[] pairs)
    {
        // n (n - 1) / 2 pairs.
        var texts = (int)Math.Round((1 + Math.Sqrt(1 + (8.0 * pairs.Length))) / 2);
        var influences = new double[texts];
        var next = 0;
        for (var i = 0; i < texts; i++)
        {
            for (var j = 0; j < i; j++, next++)
            {
                influences[i] += 2 * pairs[next] / (texts - 1);
                influences[j] += 2 * pairs[next] / (texts - 1);
            }
        }
        return influences;
    }

    internal static double Cosine(float[] x, float[] y)
    {
        double product = 0,
            normX = 0,
            normY = 0;
        for (var i = 0; i < x.Length; i++)
        {
            product += (double)x[i] * y[i];
            normX += (double)x[i] * x[i];
            normY += (double)y[i] * y[i];
        }
        return product / Math.Sqrt(normX * normY);
    }

    private static void RequireEmbeddings(
        IReadOnlyList<string> ids,
        IReadOnlyList<float[]> embeddings,
        IReadOnlyList<float[]> reference,
        string whose
    )
    {
        if (embeddings.Count != ids.Count)
            throw new PipelineException($"Embeddings of {whose} cover {embeddings.Count} texts of {ids.Count}. Embed every text.");
        for (var i = 0; i < ids.Count; i++)
        {
            if (embeddings[i].Length != reference[i].Length)
                throw new PipelineException(
                    $"The embedding of text {ids[i]} by {whose} has {embeddings[i].Length} dimensions, fp32's has {reference[i].Length}."
                );
            if (!embeddings[i].All(float.IsFinite) || embeddings[i].All(value => value == 0))
                throw new PipelineException(
                    $"The embedding of text {ids[i]} by {whose} is all zeros or not finite, so it has no direction to compare."
                );
        }
    }
}
