using System.Text.Json;
using ModelPipeline.Manifest;

namespace ModelPipeline.Npu;

/// <summary>One conversion of a prepared ONNX file into what a backend runs.</summary>
public sealed record ConversionRequest
{
    /// <summary>Simulator: checks the graph, runs it once and marks it as simulated. Rknn: runs the toolkit as <see cref="Toolkit"/>
    /// says.</summary>
    public required Backend Backend { get; init; }

    /// <summary>ONNX file; inputs int64 [1,S], outputs float32 of fixed shape.</summary>
    public required string Source { get; init; }

    /// <summary>File to write, whole or not at all. A simulated one ends in <c>.sim.onnx</c>.</summary>
    public required string Artifact { get; init; }

    /// <summary>Platform, such as rk3588.</summary>
    public required string Target { get; init; }

    /// <summary>Provenance that the runtime can tell later; at most 1023 bytes of UTF-8.</summary>
    public string CustomString { get; init; } = "";

    /// <summary>What progress is called; null names the artifact.</summary>
    public string? Activity { get; init; }

    /// <inheritdoc cref="NpuOptions"/>
    public NpuOptions Options { get; init; } = new();

    /// <summary>Required for Rknn, of no effect else.</summary>
    public ToolkitRun? Toolkit { get; init; }
}

/// <summary>A finished conversion.</summary>
/// <param name="Artifact">The file that was written.</param>
/// <param name="Bytes">Its size.</param>
/// <param name="Simulated">True if no NPU can run it.</param>
/// <param name="Inputs">In the model's order.</param>
/// <param name="Outputs">In the model's order.</param>
/// <param name="Log">What the backend said, one line each.</param>
/// <param name="Toolkit">What the toolkit's driver reported; null for other backends.</param>
public sealed record ConversionResult(
    string Artifact,
    long Bytes,
    bool Simulated,
    IReadOnlyList<TensorInfo> Inputs,
    IReadOnlyList<TensorInfo> Outputs,
    IReadOnlyList<string> Log,
    JsonElement? Toolkit
);
