namespace ModelPipeline.Npu;

/// <summary>What a runtime tells about a loaded model.</summary>
/// <param name="Simulated">True for everything that no NPU computes. Such figures never stand for a device's.</param>
/// <param name="SdkVersion">Name and version of what runs the model; says so when it simulates.</param>
/// <param name="Target">Platform; empty where the runtime does not tell.</param>
/// <param name="CustomString">Provenance that the conversion stored; empty if none.</param>
/// <param name="Inputs">In the order that a run takes them; element type int64.</param>
/// <param name="Outputs">In the order that a run returns them.</param>
/// <param name="Driver">Version of the NPU's kernel driver; empty where there is none.</param>
public sealed record ModelDescription(
    bool Simulated,
    string SdkVersion,
    string Target,
    string CustomString,
    IReadOnlyList<TensorInfo> Inputs,
    IReadOnlyList<TensorInfo> Outputs,
    string Driver = ""
);
