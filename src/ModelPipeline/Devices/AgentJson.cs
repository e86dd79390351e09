using System.Text.Json.Serialization;
using ModelPipeline.Npu;

namespace ModelPipeline.Devices;

/// <summary>What goes between this program and the agent as JSON, and what the shim tells about this machine in the same words.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(Hello))]
[JsonSerializable(typeof(HelloReply))]
[JsonSerializable(typeof(Load))]
[JsonSerializable(typeof(Store))]
[JsonSerializable(typeof(Governor))]
[JsonSerializable(typeof(Failure))]
[JsonSerializable(typeof(Machine))]
[JsonSerializable(typeof(DeviceStatus))]
[JsonSerializable(typeof(ModelDescription))]
internal sealed partial class AgentJson : JsonSerializerContext
{
    internal sealed record Hello(int Protocol, [property: JsonPropertyName("rknnrt")] string? RknnRuntime);

    internal sealed record HelloReply(int Protocol, string Version, string Busy, string Platform, IReadOnlyList<string> Soc, string Driver, string Runtime, int Cores);

    internal sealed record Load(string Backend, string Sha256, string Extension, [property: JsonPropertyName("rknnrt")] string? RknnRuntime);

    internal sealed record Store(string Sha256, string Extension, long Bytes);

    internal sealed record Governor(string Npu);

    internal sealed record Failure(NativeShim.Status Status, string Message);

    internal sealed record Machine(DeviceFacts Facts, DeviceStatus Status);
}
