using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Npu;
using ModelPipeline.Text;

namespace ModelPipeline.Devices;

/// <summary>A machine that runs artifacts: this process, this board, or a board (or what stands in for one) reached over SSH. It holds one
/// model at a time. Not for several threads.</summary>
public abstract class Device(DeviceSpec spec) : IAsyncDisposable
{
    /// <summary>Where boards keep models and the agent, relative to the user's home folder.</summary>
    public const string CacheFolder = ".cache/modelpipeline";

    public DeviceSpec Spec => spec;

    /// <summary>What the machine is.</summary>
    public abstract DeviceFacts Facts { get; }

    /// <summary>The loaded model, null before <see cref="LoadAsync"/>.</summary>
    public ModelDescription? Model { get; protected set; }

    /// <summary>Passages that a run of the loaded model takes.</summary>
    public int Batch { get; private set; } = 1;

    /// <summary>Whether models are loaded so that the runtime keeps a table of layers.</summary>
    private protected bool Profiling { get; private set; }

    /// <summary>Connects to the device and takes its lock: one pipeline at a time uses a board.</summary>
    /// <param name="spec">From models.yaml.</param>
    /// <param name="limits">Those of the device if null.</param>
    /// <param name="warning">Takes one line of news that needs attention, such as a connection that had to be made again.</param>
    /// <param name="cancellation">Honoured within a second.</param>
    /// <exception cref="PipelineException">The device cannot be reached, is not the one that was pinned, refuses the log-in, or is
    /// busy.</exception>
    public static async Task<Device> OpenAsync(
        DeviceSpec spec,
        DeviceLimits? limits = null,
        Action<string>? warning = null,
        CancellationToken cancellation = default
    )
    {
        limits ??= spec.Limits;
        return spec.Kind switch
        {
            DeviceKind.Ssh => await SshDevice
                .ConnectAsync(spec, new SshSettings(), limits, warning ?? (_ => { }), cancellation)
                .ConfigureAwait(false),
            DeviceKind.Loopback => await SshDevice
                .ConnectAsync(
                    await LoopbackBoard.StartAsync(spec, cancellation).ConfigureAwait(false),
                    limits,
                    warning ?? (_ => { }),
                    cancellation
                )
                .ConfigureAwait(false),
            DeviceKind.Simulator or DeviceKind.Local => await InProcessDevice
                .OpenAsync(spec, new LocalSettings(), limits, cancellation)
                .ConfigureAwait(false),
        };
    }

    /// <summary>Loads an artifact in place of the one before. A board keeps files by content: what it has is not sent again.</summary>
    /// <param name="backend">The variant's. On a board, artifacts of the simulator run on the runtime library that stands in for the
    /// vendor's.</param>
    /// <param name="path">The artifact on this machine.</param>
    /// <param name="batch">Passages a run, if the file leaves it open; else it is the file's.</param>
    /// <param name="progress">Of the upload, in bytes.</param>
    /// <param name="cancellation">Honoured within a second.</param>
    /// <exception cref="PipelineException">The file does not run there, or the device's runtime or driver is older than it
    /// wants.</exception>
    public async Task<ModelDescription> LoadAsync(
        Backend backend,
        string path,
        int batch = 1,
        IProgress<StageProgress>? progress = null,
        CancellationToken cancellation = default
    )
    {
        if (!File.Exists(path))
            throw new PipelineException($"model '{path}' does not exist: build it first.");
        var runtime = RuntimeOf(backend);
        if (backend == Backend.Rknn)
            RuntimeCheck.Require(spec, path, Facts.Runtime, Facts.Driver);
        Model = null;
        Batch = batch;
        var loaded = await LoadModelAsync(runtime, path, progress, cancellation).ConfigureAwait(false);
        if (loaded.Inputs is [{ Dims: [> 0 and var rows, _] }, ..])
            Batch = (int)rows;
        // The kernel tells some users nothing of the driver; the runtime knows it, but only now.
        if (backend == Backend.Rknn && Facts.Driver.Length == 0)
            RuntimeCheck.Require(spec, path, Facts.Runtime, loaded.Driver);
        return Model = loaded;
    }

    /// <summary>Runs passages under a plan, <see cref="Batch"/> at once; a last run of fewer is filled up.</summary>
    /// <param name="rows">Each of the length that the model takes.</param>
    /// <param name="plan">Cores and contexts.</param>
    /// <param name="finished">Takes the number of passages that are done.</param>
    /// <param name="cancellation">Honoured within a second.</param>
    public async Task<DeviceRun> RunAsync(
        IReadOnlyList<TokenizedInput> rows,
        CorePlan plan,
        Action<int>? finished = null,
        CancellationToken cancellation = default
    )
    {
        if (Model is null)
            throw new InvalidOperationException("No model is loaded.");
        if (rows.Count == 0)
            return new DeviceRun([], TimeSpan.Zero);
        var run = await RunModelAsync(
                TokenizedInput.Batches(rows, Batch),
                plan,
                done => finished?.Invoke(Math.Min(done * Batch, rows.Count)),
                cancellation
            )
            .ConfigureAwait(false);
        return run.Divided(Batch, rows.Count);
    }

    /// <summary>The runtime's own tables of layers, one a run, of an artifact in a context made for it: there, each operator is a job of
    /// its own, and runs are slower. No model is loaded afterwards.</summary>
    /// <param name="backend">As for <see cref="LoadAsync"/>.</param>
    /// <param name="path">As for <see cref="LoadAsync"/>.</param>
    /// <param name="batch">As for <see cref="LoadAsync"/>.</param>
    /// <param name="rows">Each of the length that the model takes; at least one.</param>
    /// <param name="cancellation">Honoured within a second.</param>
    /// <exception cref="PipelineException">The file does not run there, or its runtime keeps no such table.</exception>
    public async Task<IReadOnlyList<string>> ProfileAsync(
        Backend backend,
        string path,
        int batch,
        IReadOnlyList<TokenizedInput> rows,
        CancellationToken cancellation = default
    )
    {
        Profiling = true;
        try
        {
            await LoadAsync(backend, path, batch, cancellation: cancellation).ConfigureAwait(false);
            List<string> tables = [];
            foreach (var run in TokenizedInput.Batches(rows, Batch))
            {
                await RunModelAsync([run], CorePlan.Sequence, _ => { }, cancellation).ConfigureAwait(false);
                tables.Add(PrintableText.Of(await LayersAsync(cancellation).ConfigureAwait(false)));
            }
            return tables;
        }
        finally
        {
            (Profiling, Model) = (false, null);
        }
    }

    /// <summary>Governors, frequencies and temperatures at this moment.</summary>
    public abstract Task<DeviceStatus> StatusAsync(CancellationToken cancellation = default);

    /// <summary>Sets the NPU's governor to performance until the device is disposed; the status' note says why not where that is not
    /// permitted.</summary>
    public abstract Task<DeviceStatus> FixFrequencyAsync(CancellationToken cancellation = default);

    /// <summary>Removes what earlier sessions left on the device. The device cannot be used afterwards.</summary>
    /// <returns>Number of files that were removed.</returns>
    public abstract Task<int> CleanAsync(CancellationToken cancellation = default);

    public abstract ValueTask DisposeAsync();

    private protected abstract Task<ModelDescription> LoadModelAsync(
        Backend runtime,
        string path,
        IProgress<StageProgress>? progress,
        CancellationToken cancellation
    );

    private protected abstract Task<DeviceRun> RunModelAsync(
        IReadOnlyList<TokenizedInput> rows,
        CorePlan plan,
        Action<int> finished,
        CancellationToken cancellation
    );

    /// <summary>The runtime's table of layers of the last run.</summary>
    private protected abstract Task<string> LayersAsync(CancellationToken cancellation);

    /// <summary>The arrays of one row in the model's order.</summary>
    private protected ReadOnlyMemory<long>[] Inputs(TokenizedInput row) =>
        [.. Model!.Inputs.Select(input => (ReadOnlyMemory<long>)row[input.Name])];

    private Backend RuntimeOf(Backend backend) =>
        (spec.Kind, backend) switch
        {
            (_, Backend.Onnx) => Backend.Onnx,
            (DeviceKind.Simulator, Backend.Simulator) => Backend.Simulator,
            (DeviceKind.Simulator, Backend.Rknn) => throw new PipelineException(
                $"device '{spec.Name}' is a simulator and runs no .rknn: validate on a device of kind local or ssh (--device=NAME)."
            ),
            (DeviceKind.Local or DeviceKind.Ssh or DeviceKind.Loopback, Backend.Rknn or Backend.Simulator) => Backend.Rknn,
        };
}
