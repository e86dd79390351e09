using System.Collections.Immutable;
using System.Runtime.InteropServices;

namespace ModelPipeline.Onnx;

/// <summary>TensorProto.DataType of the ONNX specification.</summary>
public enum ElementType
{
    Undefined = 0,
    Float = 1,
    UInt8 = 2,
    Int8 = 3,
    UInt16 = 4,
    Int16 = 5,
    Int32 = 6,
    Int64 = 7,
    String = 8,
    Bool = 9,
    Float16 = 10,
    Double = 11,
    UInt32 = 12,
    UInt64 = 13,
    BFloat16 = 16,
}

/// <summary>A constant: an initializer or the value of a Constant node.</summary>
/// <param name="Type">Any type of fixed size; strings are not represented.</param>
/// <param name="Shape">Row-major dimensions; empty for a scalar.</param>
/// <param name="Data">Little-endian elements, exactly <see cref="Count"/> times the element size; a slice of the file at any address, which
/// x86-64 and arm64 read as they read aligned data.</param>
public sealed record Tensor(ElementType Type, ImmutableArray<long> Shape, ReadOnlyMemory<byte> Data)
{
    /// <summary>Number of elements, 1 for a scalar.</summary>
    public long Count => CountOf(Shape.AsSpan());

    public int Rank => Shape.Length;

    public static Tensor Of<T>(ReadOnlySpan<long> shape, T[] values)
        where T : unmanaged
    {
        var tensor = new Tensor(ElementTypes.Of<T>(), [.. shape], AsBytes(values));
        return tensor.Count == values.Length
            ? tensor
            : throw new ArgumentException($"{values.Length} values do not fill the shape [{string.Join(',', shape.ToArray())}]");
    }

    public static Tensor Scalar<T>(T value)
        where T : unmanaged => Of([], [value]);

    public static Tensor Vector<T>(params T[] values)
        where T : unmanaged => Of([values.Length], values);

    /// <summary>The elements in place; the type must be the tensor's own.</summary>
    public ReadOnlySpan<T> Span<T>()
        where T : unmanaged =>
        ElementTypes.Of<T>() == Type
            ? MemoryMarshal.Cast<byte, T>(Data.Span)
            : throw new InvalidOperationException($"a tensor of {Type} was read as {typeof(T).Name}");

    /// <summary>The only element of a one-element float tensor; null for anything else.</summary>
    public float? SingleFloat() => Type == ElementType.Float && Count == 1 ? Span<float>()[0] : null;

    /// <summary>Product of the dimensions; negative dimensions and overflow are errors.</summary>
    internal static long CountOf(ReadOnlySpan<long> shape)
    {
        long count = 1;
        foreach (var dimension in shape)
            count = dimension >= 0 ? checked(count * dimension) : throw new OverflowException("a negative dimension");
        return count;
    }

    private static ReadOnlyMemory<byte> AsBytes<T>(T[] values)
        where T : unmanaged
    {
        if (values is byte[] bytes)
            return bytes;
        return MemoryMarshal.AsBytes(values.AsSpan()).ToArray();
    }

    public bool Equals(Tensor? other) =>
        other is not null
        && Type == other.Type
        && Shape.AsSpan().SequenceEqual(other.Shape.AsSpan())
        && Data.Span.SequenceEqual(other.Data.Span);

    public override int GetHashCode()
    {
        var hash = new HashCode();
        hash.Add(Type);
        hash.Add(Count);
        hash.AddBytes(Data.Span[..Math.Min(Data.Length, 256)]);
        return hash.ToHashCode();
    }
}

public static class ElementTypes
{
    /// <summary>Bytes an element, 0 for types that have no fixed size here.</summary>
    public static int Size(this ElementType type) =>
        type switch
        {
            ElementType.UInt8 or ElementType.Int8 or ElementType.Bool => 1,
            ElementType.UInt16 or ElementType.Int16 or ElementType.Float16 or ElementType.BFloat16 => 2,
            ElementType.Float or ElementType.Int32 or ElementType.UInt32 => 4,
            ElementType.Int64 or ElementType.UInt64 or ElementType.Double => 8,
            _ => 0,
        };

    public static ElementType Of<T>()
        where T : unmanaged =>
        default(T) switch
        {
            float => ElementType.Float,
            byte => ElementType.UInt8,
            sbyte => ElementType.Int8,
            int => ElementType.Int32,
            long => ElementType.Int64,
            bool => ElementType.Bool,
            Half => ElementType.Float16,
            double => ElementType.Double,
            _ => throw new NotSupportedException($"no ONNX element type for {typeof(T).Name}"),
        };
}
