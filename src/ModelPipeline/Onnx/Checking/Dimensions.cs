namespace ModelPipeline.Onnx.Checking;

/// <summary>Arithmetic of dimensions that may be numbers, symbols or unknown. What cannot be is a <see cref="FormatException"/>.</summary>
internal static class Dimensions
{
    public static Dimension Unknown { get; } = new(null, null);

    public static Dimension[] OfRank(long rank) => [.. Enumerable.Repeat(Unknown, checked((int)rank))];

    public static string Text(IReadOnlyList<Dimension>? shape) => shape is null ? "[...]" : $"[{string.Join(',', shape)}]";

    /// <summary>From the front, or from the back if negative.</summary>
    public static int Axis(long axis, int rank) =>
        axis >= -rank && axis < rank
            ? (int)((axis + rank) % rank)
            : throw new FormatException($"axis {axis} is out of range for rank {rank}");

    /// <summary>The product, unknown if a factor is.</summary>
    public static Dimension Product(IEnumerable<Dimension> dimensions)
    {
        long product = 1;
        foreach (var dimension in dimensions)
        {
            if (dimension.Value is not { } value)
                return Unknown;
            product = checked(product * value);
        }
        return product;
    }

    /// <summary>Of two that must be equal, the one that says more.</summary>
    public static Dimension Same(Dimension a, Dimension b, string what)
    {
        if (a.Value is { } x && b.Value is { } y && x != y)
            throw new FormatException($"{what} are {x} and {y}, which must be equal");
        if (a.Value is not null)
            return a;
        return b.Value is null && a.Symbol is not null ? a : b;
    }

    public static Dimension[]? Broadcast(Dimension[]? a, Dimension[]? b)
    {
        if (a is null || b is null)
            return null;
        var result = new Dimension[Math.Max(a.Length, b.Length)];
        for (var i = 1; i <= result.Length; i++)
            result[^i] = Broadcast(i <= a.Length ? a[^i] : 1, i <= b.Length ? b[^i] : 1);
        return result;

        Dimension Broadcast(Dimension x, Dimension y) =>
            (x.Value, y.Value) switch
            {
                (1, _) => y,
                (_, 1) => x,
                ({ } m, { } n) => m == n ? x : throw new FormatException($"{Text(a)} and {Text(b)} cannot be broadcast"),
                ({ }, null) => x,
                (null, { }) => y,
                _ => x == y ? x : Unknown,
            };
    }
}
