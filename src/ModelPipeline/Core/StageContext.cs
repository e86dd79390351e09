namespace ModelPipeline.Core;

/// <summary>What a stage tells while it runs, and how it is told to stop.</summary>
/// <param name="Progress">Long work in steps.</param>
/// <param name="Info">One line of news.</param>
/// <param name="Warning">One line that needs attention.</param>
/// <param name="Cancellation">Honoured within a second.</param>
public sealed record StageContext(
    IProgress<StageProgress> Progress,
    Action<string> Info,
    Action<string> Warning,
    CancellationToken Cancellation
);
