using ModelPipeline.Core;

namespace ModelPipeline.Tests.Toolkit;

/// <summary>Keeps all progress that was reported.</summary>
internal sealed class Steps : IProgress<StageProgress>
{
    private readonly List<StageProgress> steps = [];

    public IReadOnlyList<StageProgress> All
    {
        get
        {
            lock (steps)
                return [.. steps];
        }
    }

    public void Report(StageProgress value)
    {
        lock (steps)
            steps.Add(value);
    }
}
