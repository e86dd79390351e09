using System.Text.Json;
using System.Text.Json.Serialization;
using ModelPipeline.Manifest;

namespace ModelPipeline.Npu;

/// <summary>What goes through the shim as JSON.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull
)]
[JsonSerializable(typeof(LoadOptions))]
[JsonSerializable(typeof(ModelDescription))]
[JsonSerializable(typeof(SimulatorJson))]
[JsonSerializable(typeof(ToolkitJson))]
[JsonSerializable(typeof(JobEvent))]
[JsonSerializable(typeof(ConversionOutcome))]
internal sealed partial class NpuJson : JsonSerializerContext
{
    /// <summary>The shim's name of a backend that runs models.</summary>
    public static string RuntimeName(Backend backend) =>
        backend switch
        {
            Backend.Onnx => "onnx",
            Backend.Simulator => "simulator",
            Backend.Rknn => "rknnrt",
        };

    /// <summary>The shim's name of a backend that converts models.</summary>
    public static string ConverterName(Backend backend) => backend == Backend.Rknn ? "rknn-toolkit" : RuntimeName(backend);
}

internal sealed record LoadOptions(
    int Threads,
    int CoreMask,
    int Batch,
    int Profile,
    [property: JsonPropertyName("onnxruntime")] string? OnnxRuntime,
    [property: JsonPropertyName("rknnrt")] string? RknnRuntime
);

/// <summary>What every backend takes.</summary>
internal record ConversionJson(string Backend, string Source, string Artifact, string Target, string CustomString)
{
    public static ConversionJson Of(ConversionRequest request) =>
        (NpuJson.ConverterName(request.Backend), request.Toolkit) switch
        {
            (var backend and "rknn-toolkit", { } run) => new ToolkitJson(
                backend,
                request.Source,
                request.Artifact,
                request.Target,
                request.CustomString,
                run.Python,
                run.Driver,
                run.Log,
                run.Settings.GetRawText(),
                (long)Math.Ceiling(run.Limits.Time.TotalSeconds),
                run.Limits.MemoryMb,
                run.Limits.KeepScratch ? 1 : 0
            ),
            (var backend, _) => new SimulatorJson(
                backend,
                request.Source,
                request.Artifact,
                request.Target,
                request.CustomString,
                request.Options.OnnxRuntimeLibrary ?? OnnxRuntimeLibrary.Find(),
                request.Options.Threads
            ),
        };
}

internal sealed record SimulatorJson(
    string Backend,
    string Source,
    string Artifact,
    string Target,
    string CustomString,
    [property: JsonPropertyName("onnxruntime")] string? OnnxRuntime,
    int Threads
) : ConversionJson(Backend, Source, Artifact, Target, CustomString);

internal sealed record ToolkitJson(
    string Backend,
    string Source,
    string Artifact,
    string Target,
    string CustomString,
    string Python,
    string Driver,
    string Log,
    string Settings,
    long MaxSeconds,
    int MaxMemoryMb,
    int KeepScratch
) : ConversionJson(Backend, Source, Artifact, Target, CustomString);

/// <summary>One line of a job's events; which members are set depends on <paramref name="Event"/>.</summary>
internal sealed record JobEvent(string Event, string? Activity, long Done, long Total, string? Message);

internal sealed record ConversionOutcome(
    string Artifact,
    long Bytes,
    bool Simulated,
    IReadOnlyList<TensorInfo> Inputs,
    IReadOnlyList<TensorInfo> Outputs,
    JsonElement? Toolkit
);
