using Microsoft.ML.OnnxRuntime;

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
        Guard(() => new InferenceSession(model.ToBytes(), Options(settings)), model.Graph.Name);

    public static InferenceSession Open(string path, RunSettings settings = default) => Guard(() => new InferenceSession(path, Options(settings)), path);

    private static SessionOptions Options(RunSettings settings)
    {
        var options = new SessionOptions
        {
            IntraOpNumThreads = settings.Threads,
            InterOpNumThreads = 1,
            GraphOptimizationLevel = settings.Optimize ? GraphOptimizationLevel.ORT_ENABLE_ALL : GraphOptimizationLevel.ORT_DISABLE_ALL,
            LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR,
        };
        if (!settings.FuseQdq)
            options.AddSessionConfigEntry("session.disable_quant_qdq", "1");
        options.AddSessionConfigEntry("session.intra_op.allow_spinning", "0");
        return options;
    }

    /// <summary>Runs int64 inputs [1, sequence] given in the model's order; returns the outputs asked for, which the caller disposes.</summary>
    public static IDisposableReadOnlyCollection<OrtValue> Run(
        this InferenceSession session, IReadOnlyList<long[]> inputs, IReadOnlyCollection<string> outputs, CancellationToken cancellation = default)
    {
        using var options = new RunOptions();
        using var registration = cancellation.Register(() => options.Terminate = true);
        var names = session.InputNames;
        var values = inputs.Select(ids => OrtValue.CreateTensorValueFromMemory(ids, [1, ids.Length])).ToList();
        try
        {
            return session.Run(options, names, values, outputs);
        }
        catch (OnnxRuntimeException) when (cancellation.IsCancellationRequested)
        {
            throw new OperationCanceledException(cancellation);
        }
        finally
        {
            values.ForEach(value => value.Dispose());
        }
    }

    private static InferenceSession Guard(Func<InferenceSession> open, string name)
    {
        try
        {
            return open();
        }
        catch (OnnxRuntimeException e)
        {
            throw new PipelineException($"{name}: ONNX Runtime refuses the model: {e.Message}", inner: e);
        }
    }
}
