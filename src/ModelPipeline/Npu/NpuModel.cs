using System.Buffers;
using System.Text.Json;
using ModelPipeline.Core;
using ModelPipeline.Manifest;

namespace ModelPipeline.Npu;

/// <summary>A model loaded for inference through the native shim. Calls from several threads run one after another.</summary>
public sealed class NpuModel : IDisposable
{
    private readonly NativeShim.ModelHandle handle;
    private readonly ModelDescription description;
    private readonly int[] outputRoom;

    private NpuModel(NativeShim.ModelHandle handle, ModelDescription description)
    {
        this.handle = handle;
        this.description = description;
        outputRoom =
        [
            .. description.Outputs.Select(output =>
                output.Dims.Contains(-1) ? 1 : checked((int)output.Dims.Aggregate(1L, (product, dim) => checked(product * dim)))
            ),
        ];
    }

    public ModelDescription Description => description;

    /// <summary>In the order that <see cref="Run"/> takes them; element type int64.</summary>
    public IReadOnlyList<TensorInfo> Inputs => description.Inputs;

    /// <summary>In the order that <see cref="Run"/> returns them.</summary>
    public IReadOnlyList<TensorInfo> Outputs => description.Outputs;

    /// <summary>True for everything that no NPU computed. Such figures never stand for a device's.</summary>
    public bool Simulated => description.Simulated;

    /// <summary>Provenance that the conversion stored; empty if none.</summary>
    public string CustomString => description.CustomString;

    /// <summary>Name and version of what runs the model; says so when it simulates.</summary>
    public string SdkVersion => description.SdkVersion;

    /// <summary>Time of the last run without copies, to the microsecond.</summary>
    public TimeSpan LastRun { get; private set; }

    /// <summary>Loads a model file.</summary>
    /// <param name="backend">Onnx runs any ONNX file, Simulator an artifact of its conversion, Rknn whatever librknnrt.so runs.</param>
    /// <param name="path">The model file.</param>
    /// <param name="options">Defaults if null.</param>
    /// <exception cref="PipelineException">The file is missing or not of this backend, or its runtime is missing.</exception>
    public static NpuModel Load(Backend backend, string path, NpuOptions? options = null)
    {
        NativeShim.Require();
        options ??= new NpuOptions();
        var json = JsonSerializer.Serialize(
            new LoadOptions(
                options.Threads,
                (int)options.Cores,
                options.Batch,
                options.Profile ? 1 : 0,
                options.OnnxRuntimeLibrary ?? OnnxRuntimeLibrary.Find(),
                options.RknnRuntimeLibrary
            ),
            NpuJson.Default.LoadOptions
        );
        NativeShim.Check(NativeShim.LoadModel(NpuJson.RuntimeName(backend), path, json, out var handle));
        try
        {
            return new NpuModel(handle, Describe(handle));
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>A second context of the same weights, which may run beside this one. Each is disposed by itself.</summary>
    /// <exception cref="PipelineException">The chip has no such cores, or no memory is left.</exception>
    public NpuModel Duplicate(NpuCores cores)
    {
        NativeShim.Check(NativeShim.DuplicateModel(handle, (int)cores, out var copy));
        return new NpuModel(copy, description);
    }

    /// <summary>Runs the model once. Of an input's dimensions that are not fixed, the first is <see cref="NpuOptions.Batch"/>, the last
    /// follows from the array's length, and others are 1.</summary>
    /// <param name="inputs">One array an input, row-major.</param>
    /// <param name="cancellation">Ends the run.</param>
    /// <returns>One array an output, row-major.</returns>
    public unsafe float[][] Run(ReadOnlySpan<ReadOnlyMemory<long>> inputs, CancellationToken cancellation = default)
    {
        cancellation.ThrowIfCancellationRequested();
        using var registration = cancellation.UnsafeRegister(static model => ((NpuModel)model!).Cancel(), this);
        var pins = new MemoryHandle[inputs.Length];
        var native = stackalloc NativeShim.Input[inputs.Length];
        try
        {
            for (var i = 0; i < inputs.Length; i++)
            {
                pins[i] = inputs[i].Pin();
                native[i] = new() { Data = (long*)pins[i].Pointer, Count = (ulong)inputs[i].Length };
            }
            while (true)
            {
                if (TryRun(new ReadOnlySpan<NativeShim.Input>(native, inputs.Length)) is { } outputs)
                    return outputs;
            }
        }
        catch (OperationCanceledException e)
        {
            throw new OperationCanceledException(e.Message, e, cancellation);
        }
        finally
        {
            foreach (var pin in pins)
                pin.Dispose();
        }
    }

    /// <summary>The runtime's table of layers of the last run, as it writes it.</summary>
    /// <exception cref="PipelineException">The model was loaded without <see cref="NpuOptions.Profile"/>, or its runtime keeps
    /// none.</exception>
    public unsafe string Layers()
    {
        var (status, text) = NativeShim.Read(
            (byte* buffer, nuint capacity, out nuint length) => NativeShim.ProfileModel(handle, buffer, capacity, out length)
        );
        NativeShim.Check(status);
        return text;
    }

    public void Dispose() => handle.Dispose();

    /// <summary>Null when an output of no fixed shape needed more room than in any run before; the next call has it.</summary>
    private unsafe float[][]? TryRun(ReadOnlySpan<NativeShim.Input> inputs)
    {
        var results = Array.ConvertAll(outputRoom, static room => new float[room]);
        var pins = Array.ConvertAll(results, static result => result.AsMemory().Pin());
        var native = stackalloc NativeShim.Output[results.Length];
        try
        {
            for (var i = 0; i < results.Length; i++)
                native[i] = new() { Data = (float*)pins[i].Pointer, Capacity = (ulong)results[i].Length };
            fixed (NativeShim.Input* first = inputs)
            {
                var status = NativeShim.RunModel(handle, first, (uint)inputs.Length, native, (uint)results.Length, out var microseconds);
                if (status == NativeShim.Status.BufferTooSmall)
                {
                    for (var i = 0; i < results.Length; i++)
                        outputRoom[i] = Math.Max(outputRoom[i], checked((int)native[i].Count));
                    return null;
                }
                NativeShim.Check(status);
                LastRun = TimeSpan.FromMicroseconds(microseconds);
            }
            for (var i = 0; i < results.Length; i++)
                Array.Resize(ref results[i], (int)native[i].Count);
            return results;
        }
        finally
        {
            foreach (var pin in pins)
                pin.Dispose();
        }
    }

    private void Cancel()
    {
        try
        {
            _ = NativeShim.CancelModel(handle);
        }
        catch (ObjectDisposedException)
        {
            // Disposed in this moment by another thread: nothing is left to cancel.
        }
    }

    private static ModelDescription Describe(NativeShim.ModelHandle handle)
    {
        (NativeShim.Status status, string text) text;
        unsafe
        {
            text = NativeShim.Read(
                (byte* buffer, nuint capacity, out nuint length) => NativeShim.DescribeModel(handle, buffer, capacity, out length)
            );
        }
        NativeShim.Check(text.status);
        return JsonSerializer.Deserialize(text.text, NpuJson.Default.ModelDescription)!;
    }
}
