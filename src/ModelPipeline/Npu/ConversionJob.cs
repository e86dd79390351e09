using System.Text.Json;
using ModelPipeline.Core;

namespace ModelPipeline.Npu;

/// <summary>Converts models through the native shim.</summary>
public static class ConversionJob
{
    private const int PollMilliseconds = 500;

    /// <summary>Runs one conversion to its end. Cancelling ends it within a second and leaves no file.</summary>
    /// <exception cref="PipelineException">The source is missing or cannot be converted, or the artifact cannot be written.</exception>
    public static Task<ConversionResult> RunAsync(
        ConversionRequest request,
        IProgress<StageProgress>? progress = null,
        CancellationToken cancellation = default
    ) =>
        Task.Factory.StartNew(
            () => Run(request, progress, cancellation),
            cancellation,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default
        );

    private static ConversionResult Run(ConversionRequest request, IProgress<StageProgress>? progress, CancellationToken cancellation)
    {
        NativeShim.Require();
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(request.Artifact))!);
        var conversion = ConversionJson.Of(request);
        var json = JsonSerializer.SerializeToUtf8Bytes(conversion, conversion.GetType(), NpuJson.Default);
        NativeShim.Check(NativeShim.StartJob(json, (nuint)json.Length, out var job));
        using (job)
        using (cancellation.UnsafeRegister(static job => NativeShim.CancelJob((NativeShim.JobHandle)job!), job))
        {
            try
            {
                var log = Follow(
                    job,
                    request.Activity ?? $"Convert {Path.GetFileName(request.Artifact)}",
                    request.Backend == Manifest.Backend.Rknn,
                    progress
                );
                var outcome = JsonSerializer.Deserialize(Result(job), NpuJson.Default.ConversionOutcome)!;
                return new ConversionResult(
                    outcome.Artifact,
                    outcome.Bytes,
                    outcome.Simulated,
                    outcome.Inputs,
                    outcome.Outputs,
                    log,
                    outcome.Toolkit
                );
            }
            catch (OperationCanceledException e)
            {
                throw new OperationCanceledException(e.Message, e, cancellation);
            }
        }
    }

    /// <summary>Passes events on until the job has ended; returns its log lines. A job in parts has a progress of its own for
    /// each.</summary>
    private static unsafe List<string> Follow(NativeShim.JobHandle job, string activity, bool inParts, IProgress<StageProgress>? progress)
    {
        List<string> log = [];
        while (true)
        {
            var (status, text) = NativeShim.Read(
                (byte* buffer, nuint capacity, out nuint length) => NativeShim.PollJob(job, PollMilliseconds, buffer, capacity, out length)
            );
            if (status == NativeShim.Status.Pending)
                continue;
            NativeShim.Check(status);
            var step = JsonSerializer.Deserialize(text, NpuJson.Default.JobEvent)!;
            switch (step.Event)
            {
                case "progress":
                    progress?.Report(new StageProgress(inParts ? $"{activity}: {step.Activity}" : activity, step.Done, step.Total));
                    break;
                case "log":
                    log.Add(step.Message!);
                    break;
                case "done":
                    return log;
            }
        }
    }

    private static unsafe string Result(NativeShim.JobHandle job)
    {
        var (status, text) = NativeShim.Read(
            (byte* buffer, nuint capacity, out nuint length) => NativeShim.GetJobResult(job, buffer, capacity, out length)
        );
        NativeShim.Check(status);
        return text;
    }
}
