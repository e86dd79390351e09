using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Npu;
using ModelPipeline.Text;

namespace ModelPipeline.Devices;

/// <summary>The shim in this process: the simulator anywhere, the NPU on the board itself.</summary>
internal sealed class InProcessDevice : Device
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(500);

    private readonly DeviceLimits limits;
    private readonly NativeShim.MachineHandle machine;
    private readonly Dictionary<(NpuCores Cores, int Ordinal), NpuModel> contexts = [];
    private NpuModel? model;

    private InProcessDevice(DeviceSpec spec, DeviceLimits limits, NativeShim.MachineHandle machine)
        : base(spec)
    {
        (this.limits, this.machine) = (limits, machine);
        Facts = Report().Facts;
    }

    public override DeviceFacts Facts { get; }

    /// <inheritdoc cref="Device.OpenAsync"/>
    public static async Task<InProcessDevice> OpenAsync(
        DeviceSpec spec,
        LocalSettings settings,
        DeviceLimits limits,
        CancellationToken cancellation
    )
    {
        NativeShim.Require();
        var options = JsonSerializer.Serialize(
            new(settings.Root, spec.RuntimeLibrary, spec.Kind == DeviceKind.Local ? settings.Lock : null),
            AgentJson.Default.MachineOptions
        );
        for (var waited = Stopwatch.StartNew(); ; await Task.Delay(Poll, cancellation).ConfigureAwait(false))
        {
            var status = NativeShim.OpenMachine(options, out var machine);
            if (status == NativeShim.Status.Ok)
                return new InProcessDevice(spec, limits, machine);
            if (status != NativeShim.Status.Busy)
                throw new PipelineException($"device '{spec.Name}': {NativeShim.LastError()}");
            if (waited.Elapsed > limits.Busy)
                throw new PipelineException($"device '{spec.Name}' is in use: {NativeShim.LastError()}. Wait for it, or end that process.");
        }
    }

    public override Task<DeviceStatus> StatusAsync(CancellationToken cancellation = default) => Task.FromResult(Report().Status);

    public override Task<DeviceStatus> FixFrequencyAsync(CancellationToken cancellation = default)
    {
        var note =
            Spec.Kind != DeviceKind.Local || NativeShim.SetGovernor(machine, "performance") == NativeShim.Status.Ok
                ? ""
                : NativeShim.LastError();
        return Task.FromResult(Report().Status with { Note = note });
    }

    public override Task<int> CleanAsync(CancellationToken cancellation = default) => Task.FromResult(0);

    public override ValueTask DisposeAsync()
    {
        Unload();
        machine.Dispose();
        return ValueTask.CompletedTask;
    }

    private protected override async Task<ModelDescription> LoadModelAsync(
        Backend runtime,
        string path,
        IProgress<StageProgress>? progress,
        CancellationToken cancellation
    )
    {
        Unload();
        var options = new NpuOptions
        {
            RknnRuntimeLibrary = Spec.RuntimeLibrary,
            Batch = Batch,
            Profile = Profiling,
        };
        model = await Limited(() => NpuModel.Load(runtime, path, options), limits.Load, $"loading '{path}'", cancellation)
            .ConfigureAwait(false);
        return model.Description;
    }

    private protected override async Task<DeviceRun> RunModelAsync(
        IReadOnlyList<TokenizedInput> rows,
        CorePlan plan,
        Action<int> finished,
        CancellationToken cancellation
    )
    {
        List<NpuModel> workers = [];
        foreach (var (index, cores) in plan.Contexts.Index())
            workers.Add(
                await ContextAsync(cores, plan.Contexts.Take(index).Count(other => other == cores), cancellation).ConfigureAwait(false)
            );
        var runs = new PassageRun[rows.Count];
        var waiting = new ConcurrentQueue<int>(Enumerable.Range(0, rows.Count));
        var last = Stopwatch.GetTimestamp();
        var done = 0;
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        void Work(NpuModel worker)
        {
            while (waiting.TryDequeue(out var index))
            {
                try
                {
                    runs[index] = new PassageRun(worker.Run(Inputs(rows[index]), stop.Token), worker.LastRun);
                }
                catch (PipelineException e)
                {
                    waiting.Clear();
                    throw Named(e);
                }
                catch
                {
                    waiting.Clear();
                    throw;
                }
                Volatile.Write(ref last, Stopwatch.GetTimestamp());
                finished(Interlocked.Increment(ref done));
            }
        }
        var started = Stopwatch.GetTimestamp();
        var all = Task.WhenAll(
            workers.Select(worker =>
                Task.Factory.StartNew(() => Work(worker), stop.Token, TaskCreationOptions.LongRunning, TaskScheduler.Default)
            )
        );
        try
        {
            while (
                await Task.WhenAny(all, Task.Delay(Poll, stop.Token)).ConfigureAwait(false) != all && !cancellation.IsCancellationRequested
            )
            {
                if (Stopwatch.GetElapsedTime(Volatile.Read(ref last)) > limits.Answer)
                    throw new PipelineException(
                        $"device '{Spec.Name}': no passage ended within {limits.Answer.TotalSeconds:0} s: the run hangs. Restart the "
                            + $"board if it repeats."
                    );
            }
            cancellation.ThrowIfCancellationRequested();
            await all.ConfigureAwait(false);
            return new DeviceRun(runs, Stopwatch.GetElapsedTime(started, Volatile.Read(ref last)));
        }
        finally
        {
            waiting.Clear();
            await stop.CancelAsync().ConfigureAwait(false);
        }
    }

    private protected override Task<string> LayersAsync(CancellationToken cancellation) =>
        Limited(() => model!.Layers(), limits.Answer, "reading the table of layers", cancellation);

    /// <summary>Contexts are kept for the next run of their plan.</summary>
    private async Task<NpuModel> ContextAsync(NpuCores cores, int ordinal, CancellationToken cancellation)
    {
        if (cores == NpuCores.Auto && ordinal == 0)
            return model!;
        if (!contexts.TryGetValue((cores, ordinal), out var context))
            contexts[(cores, ordinal)] = context = await Limited(
                    () => model!.Duplicate(cores),
                    limits.Load,
                    "making a context",
                    cancellation
                )
                .ConfigureAwait(false);
        return context;
    }

    /// <summary>Where a device of kind <c>local</c> has its librknnrt.so: as declared, else where the shim finds it; empty if
    /// nowhere.</summary>
    /// <exception cref="PipelineException">The shim is missing, or is another one.</exception>
    public static string RuntimeLibraryOf(DeviceSpec spec)
    {
        NativeShim.Require();
        NativeShim.Check(
            NativeShim.OpenMachine(
                JsonSerializer.Serialize(new("", spec.RuntimeLibrary, Lock: null), AgentJson.Default.MachineOptions),
                out var machine
            )
        );
        using (machine)
            return (string)JsonNode.Parse(Describe(machine))!["facts"]!["runtime_library"]!;
    }

    private MachineReport Report() => JsonSerializer.Deserialize(Describe(machine), AgentJson.Default.MachineReport)!;

    private static unsafe string Describe(NativeShim.MachineHandle machine)
    {
        var (status, text) = NativeShim.Read(
            (byte* buffer, nuint capacity, out nuint length) => NativeShim.DescribeMachine(machine, buffer, capacity, out length)
        );
        NativeShim.Check(status);
        return text;
    }

    private void Unload()
    {
        foreach (var context in contexts.Values)
            context.Dispose();
        contexts.Clear();
        model?.Dispose();
        model = null;
    }

    private async Task<T> Limited<T>(Func<T> work, TimeSpan limit, string activity, CancellationToken cancellation)
    {
        try
        {
            return await Task.Run(work, cancellation).WaitAsync(limit, cancellation).ConfigureAwait(false);
        }
        catch (PipelineException e)
        {
            throw Named(e);
        }
        catch (TimeoutException e)
        {
            throw new PipelineException(
                $"device '{Spec.Name}': {activity} did not end within {limit.TotalSeconds:0} s. Restart the board if it repeats.",
                inner: e
            );
        }
    }

    private PipelineException Named(PipelineException e) => new($"device '{Spec.Name}': {e.Message}", inner: e);
}
