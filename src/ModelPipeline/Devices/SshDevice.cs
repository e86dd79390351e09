using System.Buffers.Binary;
using System.Text;
using System.Text.RegularExpressions;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Npu;
using ModelPipeline.Text;

namespace ModelPipeline.Devices;

/// <summary>A board reached over SSH, through the agent. A link that drops is made anew once an operation, which goes on from the last
/// finished passage.</summary>
internal sealed partial class SshDevice : Device
{
    private const int ChunkBytes = 256 << 10;
    private const int LastLines = 5;

    private readonly SshSettings settings;
    private readonly DeviceLimits limits;
    private readonly Action<string> warning;
    private readonly SshLogin login;
    private IAsyncDisposable? host;
    private SshLink? link;
    private DeviceFacts? facts;
    private (Backend Runtime, string Path, FileDigest Digest, int Batch)? loaded;
    private bool frequencyFixed;

    private SshDevice(DeviceSpec spec, SshSettings settings, DeviceLimits limits, Action<string> warning)
        : base(spec)
    {
        (this.settings, this.limits, this.warning) = (settings, limits, warning);
        login = new SshLogin(spec, settings, limits);
    }

    public override DeviceFacts Facts => facts!;

    /// <inheritdoc cref="Device.OpenAsync"/>
    public static async Task<SshDevice> ConnectAsync(
        DeviceSpec spec,
        SshSettings settings,
        DeviceLimits limits,
        Action<string> warning,
        CancellationToken cancellation
    )
    {
        var device = new SshDevice(spec, settings, limits, warning);
        await device.ConnectAsync(cancellation).ConfigureAwait(false);
        return device;
    }

    /// <summary>Connects to a stand-in, which ends with the device.</summary>
    public static async Task<SshDevice> ConnectAsync(
        LoopbackBoard board,
        DeviceLimits limits,
        Action<string> warning,
        CancellationToken cancellation
    )
    {
        try
        {
            var device = await ConnectAsync(board.Spec, board.Settings, limits, warning, cancellation).ConfigureAwait(false);
            device.host = board;
            return device;
        }
        catch
        {
            await board.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    public override Task<DeviceStatus> StatusAsync(CancellationToken cancellation = default) =>
        OnLinkAsync(
            async link =>
            {
                await link.Channel.SendAsync(AgentMessageKind.Status, default, limits.Answer, cancellation).ConfigureAwait(false);
                return await StatusOfAsync(link, cancellation).ConfigureAwait(false);
            },
            cancellation
        );

    public override Task<DeviceStatus> FixFrequencyAsync(CancellationToken cancellation = default)
    {
        frequencyFixed = true;
        return OnLinkAsync(link => FixFrequencyAsync(link, cancellation), cancellation);
    }

    public override async Task<int> CleanAsync(CancellationToken cancellation = default)
    {
        Drop();
        using var sftp = await login.ConnectSftpAsync(cancellation).ConfigureAwait(false);
        if (!sftp.Exists(settings.RemoteFolder))
            return 0;
        var ours = sftp.ListDirectory(settings.RemoteFolder).Where(file => file.IsRegularFile && OurFile().IsMatch(file.Name)).ToList();
        foreach (var file in ours)
            await sftp.DeleteFileAsync(file.FullName, cancellation).ConfigureAwait(false);
        if (sftp.ListDirectory(settings.RemoteFolder).All(entry => entry.Name is "." or ".."))
            sftp.DeleteDirectory(settings.RemoteFolder);
        return ours.Count;
    }

    public override async ValueTask DisposeAsync()
    {
        if (link is { } open)
        {
            try
            {
                // A moment to give back the governor and the lock by itself.
                await open
                    .Channel.SendAsync(AgentMessageKind.Quit, default, TimeSpan.FromSeconds(1), CancellationToken.None)
                    .ConfigureAwait(false);
                await open.Ended.WaitAsync(TimeSpan.FromSeconds(2)).ConfigureAwait(false);
            }
            catch (Exception e) when (e is LinkLostException or PipelineException or TimeoutException or Renci.SshNet.Common.SshException)
            {
                // It is gone already, or goes with the connection.
            }
        }
        Drop();
        if (host is not null)
            await host.DisposeAsync().ConfigureAwait(false);
    }

    private protected override Task<ModelDescription> LoadModelAsync(
        Backend runtime,
        string path,
        IProgress<StageProgress>? progress,
        CancellationToken cancellation
    )
    {
        loaded = (runtime, path, FileDigest.Of(path, cancellation), Batch);
        return OnLinkAsync(link => LoadAsync(link, progress, cancellation), cancellation);
    }

    private protected override async Task<DeviceRun> RunModelAsync(
        IReadOnlyList<TokenizedInput> rows,
        CorePlan plan,
        Action<int> finished,
        CancellationToken cancellation
    )
    {
        ReadOnlyMemory<long>[][] inputs = [.. rows.Select(Inputs)];
        var runs = new PassageRun?[rows.Count];
        var (elapsed, done) = (TimeSpan.Zero, 0);
        await OnLinkAsync(
                async link =>
                {
                    // On a new link, what has ended is not run again.
                    int[] open = [.. Enumerable.Range(0, rows.Count).Where(index => runs[index] is null)];
                    var remaining = Array.ConvertAll(open, index => inputs[index]);
                    for (int first = 0, count; first < remaining.Length; first += count)
                    {
                        count = RunMessages.BatchSize(remaining, first);
                        var request = RunMessages.Request(plan.Contexts, remaining[first..(first + count)]);
                        await link.Channel.SendAsync(AgentMessageKind.Run, request, limits.Answer, cancellation).ConfigureAwait(false);
                        elapsed += await ReceiveAsync(
                                link,
                                count,
                                (index, run) =>
                                {
                                    runs[open[first + index]] = run;
                                    finished(++done);
                                },
                                cancellation
                            )
                            .ConfigureAwait(false);
                    }
                    return true;
                },
                cancellation
            )
            .ConfigureAwait(false);
        return new DeviceRun([.. runs.OfType<PassageRun>()], elapsed);
    }

    private protected override Task<string> LayersAsync(CancellationToken cancellation) =>
        OnLinkAsync(
            async link =>
            {
                await link.Channel.SendAsync(AgentMessageKind.Profile, default, limits.Answer, cancellation).ConfigureAwait(false);
                var reply = await link.Channel.ReceiveAsync(limits.Answer, cancellation).ConfigureAwait(false);
                return Encoding.UTF8.GetString(link.Channel.Expect(AgentMessageKind.ProfileReply, reply).Payload.Span);
            },
            cancellation
        );

    /// <summary>Takes the results of one batch; returns its time on the device.</summary>
    private async Task<TimeSpan> ReceiveAsync(SshLink link, int passages, Action<int, PassageRun> result, CancellationToken cancellation)
    {
        var seen = new HashSet<int>();
        while (true)
        {
            var message = await link.Channel.ReceiveAsync(limits.Answer, cancellation).ConfigureAwait(false);
            if (message.Kind == AgentMessageKind.Done && message.Payload.Length == sizeof(long) && seen.Count == passages)
                return TimeSpan.FromMicroseconds(BinaryPrimitives.ReadInt64LittleEndian(message.Payload.Span));
            if (
                RunMessages.Result(link.Channel.Expect(AgentMessageKind.Result, message).Payload.Span, passages) is not var (index, run)
                || !seen.Add(index)
            )
                throw link.Channel.Malformed("a result that cannot be");
            result(index, run);
        }
    }

    private async Task<ModelDescription> LoadAsync(SshLink link, IProgress<StageProgress>? progress, CancellationToken cancellation)
    {
        var (runtime, path, digest, batch) = loaded!.Value;
        var name = Path.GetFileName(path);
        var extension = name.EndsWith(".sim.onnx", StringComparison.Ordinal) ? ".sim.onnx" : Path.GetExtension(name);
        var request = new LoadRequest(
            NpuJson.RuntimeName(runtime),
            digest.Sha256,
            extension,
            batch,
            Profiling ? 1 : 0,
            Spec.RuntimeLibrary
        );
        for (var uploaded = false; ; uploaded = true)
        {
            await link
                .Channel.SendAsync(AgentMessageKind.Load, request, AgentJson.Default.LoadRequest, limits.Answer, cancellation)
                .ConfigureAwait(false);
            var answer = await link.Channel.ReceiveAsync(limits.Load, cancellation).ConfigureAwait(false);
            if (answer.Kind != AgentMessageKind.Missing || uploaded)
                return link.Channel.Parse(link.Channel.Expect(AgentMessageKind.Loaded, answer), AgentJson.Default.ModelDescription);
            await UploadAsync(link, path, digest, extension, progress, cancellation).ConfigureAwait(false);
        }
    }

    private async Task UploadAsync(
        SshLink link,
        string path,
        FileDigest digest,
        string extension,
        IProgress<StageProgress>? progress,
        CancellationToken cancellation
    )
    {
        var store = new StoreRequest(digest.Sha256, extension, digest.Size);
        await link
            .Channel.SendAsync(AgentMessageKind.Store, store, AgentJson.Default.StoreRequest, limits.Answer, cancellation)
            .ConfigureAwait(false);
        var block = new byte[ChunkBytes];
        using (var file = File.OpenRead(path))
        {
            int read;
            while ((read = await file.ReadAsync(block, cancellation).ConfigureAwait(false)) > 0)
            {
                await link
                    .Channel.SendAsync(AgentMessageKind.Chunk, block.AsMemory(0, read), limits.Answer, cancellation)
                    .ConfigureAwait(false);
                progress?.Report(new StageProgress($"upload {Path.GetFileName(path)}", file.Position, digest.Size));
            }
        }
        link.Channel.Expect(AgentMessageKind.Stored, await link.Channel.ReceiveAsync(limits.Answer, cancellation).ConfigureAwait(false));
    }

    private async Task<DeviceStatus> FixFrequencyAsync(SshLink link, CancellationToken cancellation)
    {
        await link
            .Channel.SendAsync(
                AgentMessageKind.Governor,
                new("performance"),
                AgentJson.Default.GovernorRequest,
                limits.Answer,
                cancellation
            )
            .ConfigureAwait(false);
        return await StatusOfAsync(link, cancellation).ConfigureAwait(false);
    }

    private Task<DeviceStatus> StatusOfAsync(SshLink link, CancellationToken cancellation) =>
        link.Channel.ReceiveAsync(AgentMessageKind.StatusReply, AgentJson.Default.DeviceStatus, limits.Answer, cancellation);

    /// <summary>Does an operation, once more on a new link if the first one drops. A link in an unknown state is dropped.</summary>
    private async Task<T> OnLinkAsync<T>(Func<SshLink, Task<T>> operation, CancellationToken cancellation)
    {
        for (var attempt = 1; ; attempt++)
        {
            var current = link;
            try
            {
                if (current is null)
                {
                    current = await ConnectAsync(cancellation).ConfigureAwait(false);
                    if (frequencyFixed)
                        await FixFrequencyAsync(current, cancellation).ConfigureAwait(false);
                    if (Model is not null)
                        await LoadAsync(current, null, cancellation).ConfigureAwait(false);
                }
                return await operation(current).ConfigureAwait(false);
            }
            catch (LinkLostException e)
            {
                if (current is not null && await current.DeathAsync().ConfigureAwait(false) is { } how)
                {
                    var died = Died(current, how, e);
                    Drop();
                    throw died;
                }
                Drop();
                if (attempt == 2)
                    throw Lost("the link was lost twice", e, current);
                warning($"device '{Spec.Name}': the link to {login.Address} was lost ({e.Message.TrimEnd('.')}): connecting again.");
            }
            catch (PipelineException) when (current?.Channel.Refused == true)
            {
                throw; // the agent said so itself and waits for the next request
            }
            catch
            {
                Drop();
                throw;
            }
        }
    }

    private async Task<SshLink> ConnectAsync(CancellationToken cancellation)
    {
        SshLink? started = null;
        try
        {
            started = await SshLink.StartAsync(login, settings, Spec.Name, limits, cancellation).ConfigureAwait(false);
            var end = DateTime.UtcNow + limits.Busy;
            while (true)
            {
                await started
                    .Channel.SendAsync(
                        AgentMessageKind.Hello,
                        new(AgentChannel.Protocol, Spec.RuntimeLibrary, (int)AgentChannel.Silence.TotalSeconds),
                        AgentJson.Default.HelloRequest,
                        limits.Connect,
                        cancellation
                    )
                    .ConfigureAwait(false);
                var hello = await started
                    .Channel.ReceiveAsync(AgentMessageKind.HelloReply, AgentJson.Default.HelloReply, limits.Connect, cancellation)
                    .ConfigureAwait(false);
                if (hello.Protocol != AgentChannel.Protocol)
                    throw started.Channel.Malformed($"it speaks protocol {hello.Protocol}, this program {AgentChannel.Protocol}");
                if (hello.Busy.Length == 0)
                {
                    facts = new DeviceFacts(hello.Platform, hello.Soc, hello.Driver, hello.Runtime, hello.Cores);
                    return link = started;
                }
                if (DateTime.UtcNow > end)
                    throw new PipelineException($"device '{Spec.Name}' is in use: {hello.Busy}. Wait for it, or end that process.");
                await Task.Delay(500, cancellation).ConfigureAwait(false);
            }
        }
        catch (LinkLostException e) when (facts is null)
        {
            started?.Dispose();
            throw Lost("the agent did not start", e, started);
        }
        catch
        {
            started?.Dispose();
            throw;
        }
    }

    private PipelineException Lost(string what, Exception cause, SshLink? last) =>
        new(
            $"device '{Spec.Name}': {what} on {login.Address}: "
                + $"{cause.Message.TrimEnd('.')}.{(last?.Errors is { Length: > 0 } said ? $" It said: {said}" : "")}",
            inner: cause
        );

    /// <summary>The same request would end the next agent too: it is not tried again.</summary>
    private PipelineException Died(SshLink last, string how, Exception cause)
    {
        var request = last.Channel.LastRequest switch
        {
            AgentMessageKind.Load => $"loading '{Path.GetFileName(loaded?.Path)}'",
            AgentMessageKind.Profile => $"telling the layers of '{Path.GetFileName(loaded?.Path)}'",
            AgentMessageKind.Run => $"running '{Path.GetFileName(loaded?.Path)}'",
            AgentMessageKind.Store or AgentMessageKind.Chunk => $"storing '{Path.GetFileName(loaded?.Path)}'",
            { } other => $"answering {other}",
            null => "starting",
        };
        var said = string.Join(
            " | ",
            last.Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).TakeLast(LastLines)
        );
        return new(
            $"device '{Spec.Name}': the agent on {login.Address} died {how} when {request}; the link is well."
                + (
                    said.Length > 0
                        ? $" Its last lines: {said}"
                        : " It said nothing before; see 'dmesg' on the device for the kernel's words."
                ),
            inner: cause
        );
    }

    private void Drop()
    {
        link?.Dispose();
        link = null;
    }

    [GeneratedRegex(@"^(rknn-agent-[0-9a-f]{64}|[0-9a-f]{64}\.(rknn|onnx|sim\.onnx))(\.[0-9a-f]+\.partial)?$")]
    private static partial Regex OurFile();
}
