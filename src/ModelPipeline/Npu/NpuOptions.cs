namespace ModelPipeline.Npu;

/// <summary>How a model is run.</summary>
public sealed record NpuOptions
{
    /// <summary>CPU threads of one inference; 0 takes all cores.</summary>
    public int Threads { get; init; }

    /// <summary>NPU cores to run on; of no effect without an NPU.</summary>
    public NpuCores Cores { get; init; } = NpuCores.Auto;

    /// <summary>Rows of a run where the model leaves open how many.</summary>
    public int Batch { get; init; } = 1;

    /// <summary>Keeps the runtime's table of layers of each run, which slows runs down: each operator is a job of its own.</summary>
    public bool Profile { get; init; }

    /// <summary>libonnxruntime.so to use; null takes the one of the package Microsoft.ML.OnnxRuntime. A process uses one.</summary>
    public string? OnnxRuntimeLibrary { get; init; }

    /// <summary>librknnrt.so to use; null takes the loader's. A process uses one.</summary>
    public string? RknnRuntimeLibrary { get; init; }
}

/// <summary>The core masks of the RK3588.</summary>
[Flags]
public enum NpuCores
{
    Auto = 0,
    Core0 = 1,
    Core1 = 2,
    Core2 = 4,
    Core01 = Core0 | Core1,
    Core012 = Core0 | Core1 | Core2,
    All = 0xFFFF,
}
