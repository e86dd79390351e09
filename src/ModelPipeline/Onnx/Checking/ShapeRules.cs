namespace ModelPipeline.Onnx.Checking;

/// <summary>Shapes of a node's outputs, as far as they are known: null is any rank, a missing output any shape.</summary>
/// <exception cref="FormatException">The operands do not fit.</exception>
internal delegate IReadOnlyList<Dimension[]?> ShapeRule(Operands operands);

/// <summary>What a shape rule sees of a node.</summary>
/// <param name="Opset">Version of the operator set of the node's domain.</param>
internal sealed record Operands(Node Node, long Opset, Func<string, Dimension[]?> ShapeOf, Func<string, Tensor?> ConstantOf)
{
    public bool Has(int input) => input < Node.Inputs.Length && Node.Inputs[input].Length > 0;

    public Dimension[]? Shape(int input) => Has(input) ? ShapeOf(Node.Inputs[input]) : null;

    public Tensor? Constant(int input) => Has(input) ? ConstantOf(Node.Inputs[input]) : null;

    /// <summary>A constant operand of whole numbers; null if it is absent or computed.</summary>
    public long[]? Integers(int input) =>
        Constant(input) switch
        {
            { Type: ElementType.Int64 } tensor => tensor.Span<long>().ToArray(),
            { Type: ElementType.Int32 } tensor => [.. tensor.Span<int>().ToArray().Select(value => (long)value)],
            _ => null,
        };

    /// <summary>Axes or the like, an attribute in older operator sets and an operand in newer ones; known is false if they are
    /// computed.</summary>
    public (bool Known, long[] Values) IntegersOrAttribute(int input, string attribute) =>
        Has(input) ? (Integers(input) is not null, Integers(input) ?? []) : (true, [.. Node.Ints(attribute)]);
}

/// <summary>The shape rules by the names that <see cref="OperatorTable"/> uses; those of quantization stand in
/// <see cref="QuantizationRules"/>.</summary>
internal static class ShapeRules
{
    public static ShapeRule Named(string name) =>
        name switch
        {
            "unknown" => _ => [],
            "same" => o => [o.Shape(0)],
            "scalar" => _ =>
                [
                    [],
                ],
            "broadcast" => o =>
                [
                    Enumerable
                        .Range(1, o.Node.Inputs.Length - 1)
                        .Aggregate(o.Shape(0), (shape, input) => Dimensions.Broadcast(shape, o.Shape(input))),
                ],
            "constant" => o => [o.ConstantOf(o.Node.Output) is { } value ? [.. value.Shape] : null],
            "shape-operand" => o => [o.Integers(0) is { } shape ? [.. shape] : RankFrom(o.Shape(0))],
            "shape-of" => o =>
                [
                    [
                        o.Shape(0) is { } shape && o.Node.Attribute("start") is null && o.Node.Attribute("end") is null
                            ? shape.Length
                            : Dimensions.Unknown,
                    ],
                ],
            "matmul" => o => [MatMul(o.Shape(0), o.Shape(1))],
            "gemm" => Gemm,
            "gather" => Gather,
            "concat" => Concat,
            "reshape" => Reshape,
            "expand" => o => [o.Integers(1) is { } shape ? Dimensions.Broadcast(o.Shape(0), [.. shape]) : null],
            "tile" => Tile,
            "transpose" => Transpose,
            "flatten" => o => [o.Shape(0) is { } shape ? Flatten(shape, (int)o.Node.Int("axis", 1)) : null],
            "slice" => Slice,
            "split" => Split,
            "squeeze" => Squeeze,
            "unsqueeze" => Unsqueeze,
            "reduce" => Reduce,
            "reduce-one" => o =>
                [
                    o.Shape(0) is { } shape
                        ? Without(shape, [Dimensions.Axis(o.Node.Int("axis", 0), shape.Length)], o.Node.Int("keepdims", 1) == 1)
                        : null,
                ],
            "layer-norm" => LayerNorm,
            "quantize" or "dequantize" => QuantizationRules.Linear,
            "dynamic-quantize" => o => [o.Shape(0), [], []],
            "matmul-integer" => QuantizationRules.MatMulInteger,
            "qlinear-matmul" => o => [MatMul(o.Shape(0), o.Shape(3))],
            _ => throw new ArgumentException($"no shape rule '{name}'"),
        };

    private static Dimension[]? RankFrom(Dimension[]? shapeOperand) =>
        shapeOperand is [{ Value: { } rank }] ? Dimensions.OfRank(rank) : null;

    internal static Dimension[]? MatMul(Dimension[]? a, Dimension[]? b)
    {
        if (a is null || b is null)
            return null;
        if (a.Length == 0 || b.Length == 0)
            throw new FormatException("a scalar cannot be multiplied as a matrix");
        Dimension[] left = a.Length == 1 ? [1, .. a] : a,
            right = b.Length == 1 ? [.. b, 1] : b;
        Dimensions.Same(left[^1], right[^2], $"the inner dimensions of {Dimensions.Text(a)} and {Dimensions.Text(b)}");
        return
        [
            .. Dimensions.Broadcast(left[..^2], right[..^2])!,
            .. a.Length == 1 ? [] : left[^2..^1],
            .. b.Length == 1 ? [] : right[^1..],
        ];
    }

    private static Dimension[]?[] Gemm(Operands o)
    {
        if (o.Shape(0) is not { } a || o.Shape(1) is not { } b)
            return [Dimensions.OfRank(2)];
        if (a.Length != 2 || b.Length != 2)
            throw new FormatException($"Gemm multiplies matrices, not {Dimensions.Text(a)} and {Dimensions.Text(b)}");
        var (rows, inner) = o.Node.Int("transA", 0) == 0 ? (a[0], a[1]) : (a[1], a[0]);
        var (depth, columns) = o.Node.Int("transB", 0) == 0 ? (b[0], b[1]) : (b[1], b[0]);
        Dimensions.Same(inner, depth, "the inner dimensions");
        Dimension[] result = [rows, columns];
        Dimensions.Broadcast(result, o.Shape(2) ?? []);
        return [result];
    }

    private static Dimension[]?[] Gather(Operands o)
    {
        if (o.Shape(0) is not { } data || o.Shape(1) is not { } indices)
            return [];
        var axis = Dimensions.Axis(o.Node.Int("axis", 0), data.Length);
        if (data[axis].Value is { } size && o.Integers(1) is { } constant && constant.Any(index => index < -size || index >= size))
            throw new FormatException($"an index is out of range for {size} entries");
        return
        [
            [.. data[..axis], .. indices, .. data[(axis + 1)..]],
        ];
    }

    private static Dimension[]?[] Tile(Operands o)
    {
        if (o.Shape(0) is not { } shape)
            return [];
        return
        [
            o.Integers(1) is { } repeats ? [.. shape.Zip(repeats, (d, n) => Dimensions.Product([d, n]))] : Dimensions.OfRank(shape.Length),
        ];
    }

    private static Dimension[]?[] Concat(Operands o)
    {
        var shapes = Enumerable.Range(0, o.Node.Inputs.Length).Select(o.Shape).ToList();
        if (shapes.Contains(null))
            return [];
        var first = shapes[0]!;
        if (shapes.Any(shape => shape!.Length != first.Length))
            throw new FormatException($"operands of different ranks: {string.Join(", ", shapes.Select(Dimensions.Text))}");
        var axis = Dimensions.Axis(o.Node.Int("axis", 1), first.Length);
        return
        [
            [.. first.Select((_, i) => i == axis ? Joined() : Common(i))],
        ];

        Dimension Joined() =>
            shapes.All(shape => shape![axis].Value is not null) ? shapes.Sum(shape => shape![axis].Value!.Value) : Dimensions.Unknown;

        Dimension Common(int i) => shapes.Select(shape => shape![i]).Aggregate((a, b) => Dimensions.Same(a, b, $"the sizes of axis {i}"));
    }

    private static Dimension[]?[] Reshape(Operands o)
    {
        if (o.Integers(1) is not { } wanted)
            return [RankFrom(o.Shape(1))];
        if (wanted.Count(size => size == -1) > 1 || wanted.Any(size => size < -1))
            throw new FormatException($"cannot be reshaped to [{string.Join(',', wanted)}]");
        var data = o.Shape(0);
        var copies = o.Node.Int("allowzero", 0) == 0;
        Dimension[] result =
        [
            .. wanted.Select(
                (size, i) =>
                    size switch
                    {
                        -1 => Dimensions.Unknown,
                        0 when copies => Kept(i),
                        _ => size,
                    }
            ),
        ];
        if (data is null || Dimensions.Product(data).Value is not { } count)
            return [result];
        if (Array.IndexOf(wanted, -1) is >= 0 and var inferred)
        {
            if (Dimensions.Product(result.Where((_, i) => i != inferred)).Value is { } others)
                result[inferred] =
                    others > 0 && count % others == 0
                        ? count / others
                        : throw new FormatException($"{Dimensions.Text(data)} cannot be reshaped to [{string.Join(',', wanted)}]");
        }
        else if (Dimensions.Product(result).Value is { } product && product != count)
            throw new FormatException($"{Dimensions.Text(data)} cannot be reshaped to [{string.Join(',', wanted)}]");
        return [result];

        Dimension Kept(int i)
        {
            if (data is null)
                return Dimensions.Unknown;
            return i < data.Length
                ? data[i]
                : throw new FormatException($"dimension {i} of {Dimensions.Text(data)} cannot be kept: there is none");
        }
    }

    private static Dimension[]?[] Transpose(Operands o)
    {
        if (o.Shape(0) is not { } shape)
            return [];
        if (o.Node.Ints("perm") is not { Length: > 0 } order)
            return
            [
                [.. shape.Reverse()],
            ];
        if (!order.Order().SequenceEqual(Enumerable.Range(0, shape.Length).Select(i => (long)i)))
            throw new FormatException($"perm [{string.Join(',', order)}] is no order of the axes of {Dimensions.Text(shape)}");
        return
        [
            [.. order.Select(axis => shape[axis])],
        ];
    }

    private static Dimension[] Flatten(Dimension[] shape, int axis)
    {
        var at = axis == shape.Length ? axis : Dimensions.Axis(axis, shape.Length);
        return [Dimensions.Product(shape[..at]), Dimensions.Product(shape[at..])];
    }

    private static Dimension[]?[] Slice(Operands o)
    {
        if (o.Shape(0) is not { } shape)
            return [];
        var (starts, ends, axes, steps) = (
            o.IntegersOrAttribute(1, "starts"),
            o.IntegersOrAttribute(2, "ends"),
            o.IntegersOrAttribute(3, "axes"),
            o.IntegersOrAttribute(4, "steps")
        );
        if (!starts.Known || !ends.Known || !axes.Known || !steps.Known)
            return [Dimensions.OfRank(shape.Length)];
        var result = (Dimension[])shape.Clone();
        for (var i = 0; i < starts.Values.Length; i++)
        {
            var axis = Dimensions.Axis(axes.Values.Length > 0 ? axes.Values[i] : i, shape.Length);
            var step = steps.Values.Length > 0 ? steps.Values[i] : 1;
            if (step == 0)
                throw new FormatException("a step of 0");
            result[axis] = shape[axis].Value is { } size ? Sliced(size, starts.Values[i], ends.Values[i], step) : Dimensions.Unknown;
        }
        return [result];
    }

    private static long Sliced(long size, long start, long end, long step)
    {
        var (lowest, highest) = step > 0 ? (0L, size) : (-1L, size - 1);
        start = Math.Clamp(start < 0 ? start + size : start, 0, highest);
        end = Math.Clamp(end < 0 ? end + size : end, lowest, highest);
        return step > 0 ? Math.Max(0, (end - start + step - 1) / step) : Math.Max(0, (start - end - step - 1) / -step);
    }

    private static Dimension[]?[] Split(Operands o)
    {
        if (o.Shape(0) is not { } shape)
            return [];
        var axis = Dimensions.Axis(o.Node.Int("axis", 0), shape.Length);
        var (known, sizes) = o.IntegersOrAttribute(1, "split");
        var parts = o.Node.Outputs.Length;
        if (known && sizes.Length > 0 && (sizes.Length != parts || (shape[axis].Value is { } whole && sizes.Sum() != whole)))
            throw new FormatException($"the parts [{string.Join(',', sizes)}] do not make up {Dimensions.Text(shape)} on axis {axis}");
        var part = shape[axis].Value is { } size ? (size + parts - 1) / parts : (long?)null;
        return
        [
            .. Enumerable
                .Range(0, parts)
                .Select(i => (Dimension[])[.. shape[..axis], known ? Size(i) : Dimensions.Unknown, .. shape[(axis + 1)..]]),
        ];

        Dimension Size(int i)
        {
            if (sizes.Length > 0)
                return sizes[i];
            return part is { } each ? Math.Min(each, shape[axis].Value!.Value - i * each) : Dimensions.Unknown;
        }
    }

    private static Dimension[]?[] Squeeze(Operands o)
    {
        var (known, axes) = o.IntegersOrAttribute(1, "axes");
        if (o.Shape(0) is not { } shape || !known)
            return [];
        if (axes.Length == 0)
            return [shape.All(dimension => dimension.Value is not null) ? [.. shape.Where(dimension => dimension.Value != 1)] : null];
        var removed = axes.Select(axis => Dimensions.Axis(axis, shape.Length)).ToHashSet();
        foreach (var axis in removed)
            Dimensions.Same(shape[axis], 1, $"axis {axis} of {Dimensions.Text(shape)} and what is squeezed");
        return [Without(shape, removed, keep: false)];
    }

    private static Dimension[]?[] Unsqueeze(Operands o)
    {
        var (known, axes) = o.IntegersOrAttribute(1, "axes");
        if (o.Shape(0) is not { } shape || !known)
            return [];
        var rank = shape.Length + axes.Length;
        var added = axes.Select(axis => Dimensions.Axis(axis, rank)).ToHashSet();
        if (added.Count != axes.Length)
            throw new FormatException($"axes [{string.Join(',', axes)}] name one axis twice");
        var source = 0;
        return
        [
            [.. Enumerable.Range(0, rank).Select(i => added.Contains(i) ? 1 : shape[source++])],
        ];
    }

    private static Dimension[]?[] Reduce(Operands o)
    {
        var (known, axes) = o.IntegersOrAttribute(1, "axes");
        if (o.Shape(0) is not { } shape)
            return [];
        var keep = o.Node.Int("keepdims", 1) == 1;
        if (!known)
            return [keep ? Dimensions.OfRank(shape.Length) : null];
        if (axes.Length == 0 && o.Node.Int("noop_with_empty_axes", 0) == 1)
            return [shape];
        return
        [
            Without(
                shape,
                axes.Length == 0
                    ? [.. Enumerable.Range(0, shape.Length)]
                    : axes.Select(axis => Dimensions.Axis(axis, shape.Length)).ToHashSet(),
                keep
            ),
        ];
    }

    private static Dimension[] Without(Dimension[] shape, IReadOnlyCollection<int> axes, bool keep) =>
        keep ? [.. shape.Select((dimension, i) => axes.Contains(i) ? 1 : dimension)] : [.. shape.Where((_, i) => !axes.Contains(i))];

    private static Dimension[]?[] LayerNorm(Operands o)
    {
        if (o.Shape(0) is not { } shape)
            return [];
        var axis = Dimensions.Axis(o.Node.Int("axis", -1), shape.Length);
        for (var input = 1; input < o.Node.Inputs.Length; input++)
        {
            if (
                o.Shape(input) is { } weight
                && Dimensions.Broadcast(shape[axis..], weight) is { } result
                && result.Length > shape.Length - axis
            )
                throw new FormatException(
                    $"scale or bias {Dimensions.Text(weight)} is larger than what is normalized of {Dimensions.Text(shape)}"
                );
        }
        var mean = Without(shape, [.. Enumerable.Range(axis, shape.Length - axis)], keep: true);
        return [shape, mean, mean];
    }
}
