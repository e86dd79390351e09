using System.Text.Json.Serialization;
using ModelPipeline.Npu;

namespace ModelPipeline.Devices;

/// <summary>What goes between this program and the agent as JSON, and what the shim tells about this machine in the same words.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true,
    Converters = [typeof(PrintableText)]
)]
[JsonSerializable(typeof(HelloRequest))]
[JsonSerializable(typeof(HelloReply))]
[JsonSerializable(typeof(LoadRequest))]
[JsonSerializable(typeof(StoreRequest))]
[JsonSerializable(typeof(GovernorRequest))]
[JsonSerializable(typeof(AgentFailure))]
[JsonSerializable(typeof(MachineOptions))]
[JsonSerializable(typeof(MachineReport))]
[JsonSerializable(typeof(DeviceStatus))]
[JsonSerializable(typeof(ModelDescription))]
internal sealed partial class AgentJson : JsonSerializerContext;

/// <param name="Protocol">Of this program.</param>
/// <param name="RknnRuntime">Path of librknnrt.so there; null takes the device's own.</param>
/// <param name="Silence">Seconds without a word after which the agent ends.</param>
internal sealed record HelloRequest(int Protocol, [property: JsonPropertyName("rknnrt")] string? RknnRuntime, int Silence);

internal sealed record HelloReply(
    int Protocol,
    string Version,
    string Busy,
    string Platform,
    IReadOnlyList<string> Soc,
    string Driver,
    string Runtime,
    int Cores
);

internal sealed record LoadRequest(
    string Backend,
    string Sha256,
    string Extension,
    int Batch,
    int Profile,
    [property: JsonPropertyName("rknnrt")] string? RknnRuntime
);

internal sealed record StoreRequest(string Sha256, string Extension, long Bytes);

internal sealed record GovernorRequest(string Npu);

internal sealed record AgentFailure(NativeShim.Status Status, string Message);

/// <summary>Of this machine, for the shim.</summary>
internal sealed record MachineOptions(string Root, [property: JsonPropertyName("rknnrt")] string? RknnRuntime, string? Lock);

/// <summary>What the shim says of it.</summary>
internal sealed record MachineReport(DeviceFacts Facts, DeviceStatus Status);
