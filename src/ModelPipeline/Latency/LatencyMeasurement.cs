using System.Globalization;
using ModelPipeline.Core;
using ModelPipeline.Devices;
using ModelPipeline.Manifest;
using ModelPipeline.Text;

namespace ModelPipeline.Latency;

/// <summary>Times artifacts on an open device, one after the other, all in the same way.</summary>
/// <param name="device">The device of all of them.</param>
/// <param name="settings">How often.</param>
public sealed class LatencyMeasurement(Device device, LatencySpec settings)
{
    private const int ProfiledRuns = 5;

    /// <summary>Loads an artifact, warms up each plan's contexts, and times requests.</summary>
    /// <param name="subject">What the artifact is; filled in with times.</param>
    /// <param name="path">The artifact's file.</param>
    /// <param name="plans">Core plans to run requests under.</param>
    /// <param name="requests">Passages of each request, of the shape's length.</param>
    /// <param name="progress">In requests.</param>
    /// <param name="cancellation">Honoured within a second.</param>
    public async Task<ArtifactLatency> RunAsync(
        ArtifactLatency subject,
        string path,
        IReadOnlyList<CorePlan> plans,
        IReadOnlyList<IReadOnlyList<TokenizedInput>> requests,
        IProgress<StageProgress> progress,
        CancellationToken cancellation
    )
    {
        var model = await device.LoadAsync(subject.Backend, path, subject.Batch, progress, cancellation).ConfigureAwait(false);
        var before = await device.StatusAsync(cancellation).ConfigureAwait(false);
        var measured = new List<PlanLatency>();
        var activity = $"measure {subject.Variant} {subject.Shape}";
        foreach (var plan in plans)
        {
            // As many passages at once as it takes to keep every context busy.
            for (var i = 0; i < settings.WarmUp; i++)
                await device
                    .RunAsync(
                        [.. Enumerable.Range(0, plan.Contexts.Count * device.Batch).Select(each => requests[0][each % requests[0].Count])],
                        plan,
                        cancellation: cancellation
                    )
                    .ConfigureAwait(false);
            var (passages, times) = (new List<TimeSpan>(), new List<TimeSpan>());
            foreach (var request in requests)
            {
                var run = await device.RunAsync(request, plan, cancellation: cancellation).ConfigureAwait(false);
                passages.AddRange(run.Runs.Select(time => time / run.Batch));
                times.Add(run.Elapsed);
                progress.Report(new StageProgress(activity, (measured.Count * requests.Count) + times.Count, plans.Count * requests.Count));
            }
            measured.Add(new PlanLatency(plan.Name, Series.Of(passages), Series.Of(times)));
        }
        var after = await device.StatusAsync(cancellation).ConfigureAwait(false);
        return subject with
        {
            OnDevice = device.Spec.IsBoard && !model.Simulated,
            Runtime = model.SdkVersion,
            Plans = measured,
            Doubts = [.. DeviceStatus.Doubts(before, after), .. measured.Select(Slowdown).OfType<string>()],
        };
    }

    /// <summary>Asks the runtime what each operator takes, in a context of its own after a first run. No model is loaded
    /// afterwards.</summary>
    /// <param name="measured">The artifact, as it was timed before.</param>
    /// <param name="path">The artifact's file.</param>
    /// <param name="passages">Of the shape's length, at least one.</param>
    /// <param name="cancellation">Honoured within a second.</param>
    /// <exception cref="PipelineException">The runtime keeps no table of layers, or one that cannot be read.</exception>
    public async Task<OperatorProfile> ProfileAsync(
        ArtifactLatency measured,
        string path,
        IReadOnlyList<TokenizedInput> passages,
        CancellationToken cancellation
    )
    {
        var tables = await device
            .ProfileAsync(
                measured.Backend,
                path,
                measured.Batch,
                [.. Enumerable.Range(0, (1 + ProfiledRuns) * measured.Batch).Select(each => passages[each % passages.Count])],
                cancellation
            )
            .ConfigureAwait(false);
        return OperatorProfile.Of([.. tables.Skip(1).Select(LayerTable.Parse)], !measured.OnDevice || !device.Facts.IsRockchip);
    }

    private static string? Slowdown(PlanLatency plan) =>
        plan.Request.Slowdown() is { } factor
            ? string.Create(
                CultureInfo.InvariantCulture,
                $"under {plan.Plan}, the last third of the requests took {factor:0.00} times as long as the first: the machine was "
                    + $"throttled or busy with other work"
            )
            : null;
}
