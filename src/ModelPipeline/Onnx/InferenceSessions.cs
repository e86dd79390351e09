using Microsoft.ML.OnnxRuntime;
using ModelPipeline.Core;

namespace ModelPipeline.Onnx;

/// <summary>How a graph is run. The same graph, inputs and settings give the same bits on one machine.</summary>
/// <param name="Threads">Threads within an operator; 0 takes all cores.</param>
/// <param name="Optimize">False runs every node as written; true lets ONNX Runtime fuse.</param>
/// <param name="FuseQdq">False computes QuantizeLinear/DequantizeLinear as written instead of in integer kernels.</param>
public readonly record struct RunSettings(int Threads = 0, bool Optimize = true, bool FuseQdq = true);

/// <summary>ONNX Runtime on the graphs of this library.</summary>
internal static class InferenceSessions
{
    public static InferenceSession Open(OnnxModel model, RunSettings settings = default) =>
        model.DataBytes <= OnnxModel.MostInline
            ? Open(options => new InferenceSession(model.ToBytes(), options), settings, model.Graph.Name)
            : OpenByFile(model, settings);

    public static InferenceSession Open(string path, RunSettings settings = default) =>
        Open(options => new InferenceSession(path, options), settings, path);

    /// <summary>A model that is no single message goes by files, which are mapped and gone once it is open.</summary>
    private static InferenceSession OpenByFile(OnnxModel model, RunSettings settings)
    {
        var folder = Directory.CreateTempSubdirectory("modelpipeline-").FullName;
        try
        {
            var path = Path.Combine(folder, "model.onnx");
            model.Save(path);
            return Open(path, settings);
        }
        finally
        {
            AtomicFile.DeleteFolder(folder);
        }
    }

    private static InferenceSession Open(Func<SessionOptions, InferenceSession> open, RunSettings settings, string name)
    {
        using var options = new SessionOptions
        {
            IntraOpNumThreads = settings.Threads,
            InterOpNumThreads = 1,
            GraphOptimizationLevel = settings.Optimize ? GraphOptimizationLevel.ORT_ENABLE_ALL : GraphOptimizationLevel.ORT_DISABLE_ALL,
            // Errors come as exceptions; what it also prints would stand between the lines of the console.
            LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL,
        };
        if (!settings.FuseQdq)
            options.AddSessionConfigEntry("session.disable_quant_qdq", "1");
        options.AddSessionConfigEntry("session.intra_op.allow_spinning", "0");
        try
        {
            return open(options);
        }
        catch (OnnxRuntimeException e)
        {
            throw new PipelineException($"{name}: ONNX Runtime refuses the model: {e.Message}", inner: e);
        }
    }

    /// <summary>
    /// Runs int64 inputs given in the model's order, each [batch, sequence] in one array; the batch is the model's if that is static, else
    /// 1.
    /// Returns the outputs asked for, which the caller disposes.
    /// </summary>
    public static IDisposableReadOnlyCollection<OrtValue> Run(
        this InferenceSession session,
        IReadOnlyList<long[]> inputs,
        IReadOnlyCollection<string> outputs,
        CancellationToken cancellation = default
    )
    {
        var names = session.InputNames;
        if (inputs.Count != names.Count)
            throw new PipelineException($"the model has the inputs {string.Join(", ", names)}, but {inputs.Count} were given");
        var values = inputs
            .Zip(
                names,
                (ids, name) =>
                {
                    var batch = session.InputMetadata[name].Dimensions is [> 0 and var rows, _] ? rows : 1;
                    return OrtValue.CreateTensorValueFromMemory(ids, [batch, ids.Length / batch]);
                }
            )
            .ToList();
        return session.Run(values, outputs, cancellation);
    }

    /// <summary>Runs any inputs, given in the model's order, and disposes them.</summary>
    public static IDisposableReadOnlyCollection<OrtValue> Run(
        this InferenceSession session,
        IReadOnlyList<OrtValue> inputs,
        IReadOnlyCollection<string> outputs,
        CancellationToken cancellation = default
    )
    {
        using var options = new RunOptions { LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL };
        using var registration = cancellation.Register(() => options.Terminate = true);
        try
        {
            return session.Run(options, session.InputNames, inputs, outputs);
        }
        catch (OnnxRuntimeException) when (cancellation.IsCancellationRequested)
        {
            throw new OperationCanceledException(cancellation);
        }
        catch (OnnxRuntimeException e)
        {
            throw new PipelineException($"ONNX Runtime cannot run the model on this input: {e.Message}", inner: e);
        }
        finally
        {
            foreach (var input in inputs)
                input.Dispose();
        }
    }
}
