using System.Text.Json.Serialization;
using ModelPipeline.Manifest;

namespace ModelPipeline.Npu;

/// <summary>What goes through the shim as JSON.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(LoadOptions))]
[JsonSerializable(typeof(ModelDescription))]
[JsonSerializable(typeof(ConversionJson))]
[JsonSerializable(typeof(JobEvent))]
[JsonSerializable(typeof(ConversionOutcome))]
internal sealed partial class NpuJson : JsonSerializerContext
{
    /// <summary>The shim's name of a backend that runs models.</summary>
    public static string RuntimeName(Backend backend) => backend switch
    {
        Backend.Onnx => "onnx",
        Backend.Simulator => "simulator",
        Backend.Rknn => "rknnrt",
        _ => throw new ArgumentOutOfRangeException(nameof(backend))
    };

    /// <summary>The shim's name of a backend that converts models.</summary>
    public static string ConverterName(Backend backend) => backend == Backend.Rknn ? "rknn-toolkit" : RuntimeName(backend);
}

internal sealed record LoadOptions(
    int Threads, int CoreMask, [property: JsonPropertyName("onnxruntime")] string? OnnxRuntime, [property: JsonPropertyName("rknnrt")] string? RknnRuntime);

internal sealed record ConversionJson(
    string Backend, string Source, string Artifact, string Target, string CustomString, [property: JsonPropertyName("onnxruntime")] string? OnnxRuntime, int Threads);

/// <summary>One line of a job's events; which members are set depends on <paramref name="Event"/>.</summary>
internal sealed record JobEvent(string Event, string? Activity, long Done, long Total, string? Message);

internal sealed record ConversionOutcome(
    string Artifact, long Bytes, bool Simulated, long RunMicroseconds, IReadOnlyList<TensorInfo> Inputs, IReadOnlyList<TensorInfo> Outputs);
