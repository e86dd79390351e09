using ModelPipeline.Core;

namespace ModelPipeline.Artifacts.Downloads;

/// <summary>Adds up bytes, of several threads if need be, and reports them about once a mebibyte.</summary>
internal sealed class TransferProgress(IProgress<StageProgress>? progress, string activity)
{
    private const int StepBytes = 1 << 20;
    private readonly Lock _guard = new();
    private long _done;
    private long _next;

    /// <summary>Bytes in all; 0 while unknown.</summary>
    public long Total { get; set; }

    /// <summary>Counts from here; told with the next bytes.</summary>
    public void Restart(long done)
    {
        lock (_guard)
            (_done, _next) = (done, done);
    }

    public void Add(int bytes)
    {
        lock (_guard)
        {
            _done += bytes;
            if (_done < _next && _done != Total)
                return;
            _next = _done + StepBytes;
            progress?.Report(new StageProgress(activity, _done, Total));
        }
    }
}
