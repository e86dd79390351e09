namespace ModelPipeline.Manifest;

/// <summary>Suggestions for misspelt names.</summary>
internal static class Spelling
{
    /// <summary>" (did you mean 'x'?)" with the nearest of <paramref name="known"/>, or nothing if none is near.</summary>
    public static string Suggest(string name, IEnumerable<string> known)
    {
        // A name longer than any known one by a half cannot be near, and is not worth a quadratic comparison.
        var nearest = known
            .Where(candidate => Math.Abs(candidate.Length - name.Length) <= Tolerance(candidate))
            .Select(candidate => (Name: candidate, Distance: Distance(name.ToLowerInvariant(), candidate.ToLowerInvariant())))
            .Where(candidate => candidate.Distance <= Tolerance(candidate.Name))
            .OrderBy(candidate => candidate.Distance)
            .ThenBy(candidate => candidate.Name, StringComparer.Ordinal)
            .FirstOrDefault();
        return nearest.Name is null ? "" : $" (did you mean '{nearest.Name}'?)";
    }

    private static int Tolerance(string name) => Math.Max(1, name.Length * 2 / 5);

    /// <summary>Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours.</summary>
    private static int Distance(string a, string b)
    {
        var rows = new int[a.Length + 1, b.Length + 1];
        for (var i = 0; i <= a.Length; i++)
            rows[i, 0] = i;
        for (var j = 0; j <= b.Length; j++)
            rows[0, j] = j;
        for (var i = 1; i <= a.Length; i++)
        {
            for (var j = 1; j <= b.Length; j++)
            {
                var substitution = rows[i - 1, j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
                rows[i, j] = Math.Min(substitution, Math.Min(rows[i - 1, j], rows[i, j - 1]) + 1);
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                    rows[i, j] = Math.Min(rows[i, j], rows[i - 2, j - 2] + 1);
            }
        }
        return rows[a.Length, b.Length];
    }
}
