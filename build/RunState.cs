using System.Runtime.InteropServices;
using ModelPipeline.Core;

namespace Build;

/// <summary>One run of the host: cancelled by Ctrl-C or SIGTERM, and how it ends where that is not Cake's to say.</summary>
public sealed class RunState : IDisposable
{
    private const int Interrupted = 130;

    /// <summary>What does not stop by itself within this time is stopped with the process.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(1.5);

    private readonly CancellationTokenSource cancellation = new();
    private readonly PosixSignalRegistration[] signals;
    private WorkFolder? folder;

    public RunState() =>
        signals = [
            PosixSignalRegistration.Create(PosixSignal.SIGINT, Interrupt),
            PosixSignalRegistration.Create(PosixSignal.SIGTERM, Interrupt),
        ];

    public CancellationToken Cancellation => cancellation.Token;

    /// <summary>The process's exit code; null leaves it to Cake.</summary>
    public int? ExitCode { get; set; }

    /// <summary>Folder in which unfinished files are deleted when the process has to be stopped.</summary>
    public string? Artifacts { get; set; }

    /// <summary>Joins those at work in a folder for as long as this run lasts; the first call does it.</summary>
    public async Task EnterAsync(string artifacts) =>
        folder ??= await WorkFolder.EnterAsync(artifacts, ArtifactsFolder.Parts, Cancellation);

    public void Dispose()
    {
        folder?.Dispose();
        foreach (var signal in signals)
            signal.Dispose();
        cancellation.Dispose();
    }

    private void Interrupt(PosixSignalContext signal)
    {
        signal.Cancel = true;
        ExitCode = Interrupted;
        cancellation.Cancel();
        _ = Task.Delay(Grace)
            .ContinueWith(
                _ =>
                {
                    try
                    {
                        if (Artifacts is not null)
                            AtomicFile.DeleteUnfinished(Artifacts);
                    }
                    finally
                    {
                        Environment.Exit(Interrupted);
                    }
                },
                TaskScheduler.Default
            );
    }
}
