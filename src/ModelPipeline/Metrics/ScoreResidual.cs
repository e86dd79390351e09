namespace ModelPipeline.Metrics;

/// <summary>
/// What a variant loses of fp32's order inside queries, in fp32's logits: steadier than tau, for it weighs each displaced passage by how
/// far it was displaced. Shifts, gains and other monotone changes of the scores, and shifts of whole queries, cost nothing.
/// </summary>
public static class ScoreResidual
{
    /// <summary>
    /// The best monotone map f of the variant's scores to fp32's, of all pairs together (least squares; <see cref="Isotonic"/>), leaves
    /// fp32 - f(score); of that each query's mean is taken off, since it moves no passage past another. The root mean square over all
    /// pairs of what is left: 0 if the variant orders all pairs as fp32 does, and at most fp32's own deviation within queries.
    /// </summary>
    /// <param name="reference">fp32's scores, [query][candidate].</param>
    /// <param name="scores">The variant's, likewise.</param>
    /// <returns>NaN without any pair.</returns>
    public static double WithinQueries(IReadOnlyList<float[]> reference, IReadOnlyList<float[]> scores) =>
        Math.Sqrt(Squares(reference, scores).Sum() / reference.Sum(query => query.Length));

    /// <summary>Each query's part of it: the sum of squares over its pairs.</summary>
    internal static double[] Squares(IReadOnlyList<float[]> reference, IReadOnlyList<float[]> scores)
    {
        var mapped = Isotonic([.. scores.SelectMany(query => query)], [.. reference.SelectMany(query => query)]);
        var squares = new double[reference.Count];
        var first = 0;
        foreach (var (i, query) in reference.Index())
        {
            var left = new double[query.Length];
            for (var j = 0; j < left.Length; j++)
                left[j] = query[j] - mapped[first + j];
            first += left.Length;
            var mean = left.DefaultIfEmpty().Average();
            squares[i] = left.Sum(each => (each - mean) * (each - mean));
        }
        return squares;
    }

    /// <summary>
    /// Isotonic regression of <paramref name="y"/> on <paramref name="x"/> by pool-adjacent-violators (Barlow et al., "Statistical
    /// Inference under Order Restrictions", 1972), in O(n log n): of all functions that do not fall, the one with the least squared error.
    /// </summary>
    /// <param name="x">Finite. Equal ones get one value: it is a function.</param>
    /// <param name="y">Finite, as many.</param>
    /// <returns>The function at each <paramref name="x"/>.</returns>
    internal static double[] Isotonic(float[] x, float[] y)
    {
        int[] order = [.. Enumerable.Range(0, x.Length).OrderBy(i => x[i])];
        var blocks = new List<(double Sum, int Count)>(x.Length);
        var i = 0;
        while (i < order.Length)
        {
            var (sum, count) = (0.0, 0);
            for (var value = x[order[i]]; i < order.Length && x[order[i]] == value; i++, count++)
                sum += y[order[i]];
            // A block that is not above the one before it joins it, and perhaps others before that.
            while (blocks is [.., var last] && last.Sum * count >= sum * last.Count)
            {
                (sum, count) = (sum + last.Sum, count + last.Count);
                blocks.RemoveAt(blocks.Count - 1);
            }
            blocks.Add((sum, count));
        }
        var fitted = new double[x.Length];
        var next = 0;
        foreach (var (sum, count) in blocks)
        {
            foreach (var index in order.AsSpan(next, count))
                fitted[index] = sum / count;
            next += count;
        }
        return fitted;
    }
}
