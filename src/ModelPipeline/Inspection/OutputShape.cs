using ModelPipeline.Onnx;

namespace ModelPipeline.Inspection;

/// <summary>An output as the model really gives it.</summary>
/// <param name="Name">In the file.</param>
/// <param name="Type">Element type.</param>
/// <param name="Dims">Of one run at the largest shape.</param>
internal sealed record OutputShape(string Name, ElementType Type, IReadOnlyList<long> Dims)
{
    public int Rank => Dims.Count;

    /// <summary>Whether a score or a vector can be read from it.</summary>
    public bool IsFloat => Type == ElementType.Float;

    /// <summary>As in messages: <c>logits [1,2]</c>.</summary>
    public override string ToString() => $"{Name} {(IsFloat ? "" : Type.ToString().ToLowerInvariant() + " ")}[{string.Join(',', Dims)}]";

    public static string List(IEnumerable<OutputShape> outputs) => string.Join(", ", outputs);
}
