namespace ModelPipeline.Core;

/// <summary>How far one piece of long work is. Stages report it through <see cref="IProgress{T}"/>; the host draws it.</summary>
/// <param name="Activity">What is being done, short and stable for the whole work: it labels one progress bar.</param>
/// <param name="Done">Units finished, 0 to <paramref name="Total"/>.</param>
/// <param name="Total">Units in all; 0 while unknown.</param>
public readonly record struct StageProgress(string Activity, long Done, long Total);
