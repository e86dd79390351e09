namespace ModelPipeline.Npu;

/// <summary>One input or output of a model.</summary>
/// <param name="Name">As in the model file.</param>
/// <param name="Type">Element type as the runtime names it: int64, float32, int8 ...</param>
/// <param name="Dims">-1 is a dimension that is not fixed.</param>
/// <param name="Quantization">How stored integers stand for real numbers.</param>
public sealed record TensorInfo(string Name, string Type, IReadOnlyList<long> Dims, TensorQuantization Quantization);

/// <summary>real = <paramref name="Scale"/> * (stored - <paramref name="ZeroPoint"/>).</summary>
/// <param name="Type">none or affine.</param>
/// <param name="Scale">1 for none.</param>
/// <param name="ZeroPoint">0 for none.</param>
public sealed record TensorQuantization(string Type, double Scale, int ZeroPoint);
