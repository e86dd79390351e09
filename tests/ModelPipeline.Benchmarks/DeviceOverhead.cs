using System.Diagnostics;
using ModelPipeline.Devices;
using ModelPipeline.Manifest;
using ModelPipeline.Npu;
using ModelPipeline.Onnx;

namespace ModelPipeline.Benchmarks;

/// <summary>What the shim adds to ONNX Runtime, and what SSH and the agent add to the shim, on this machine.</summary>
internal static class DeviceOverhead
{
    private const int Rounds = 200;

    /// <summary>As many passages as one message has.</summary>
    private const int Batch = 64;

    public static IEnumerable<Row> Run(Arguments arguments)
    {
        var inputs = ModelInput.Pairs(arguments);
        return [.. Shim(arguments, inputs), .. Ssh(arguments, inputs).GetAwaiter().GetResult()];
    }

    private static List<Row> Shim(Arguments arguments, IReadOnlyList<ModelInput> inputs)
    {
        using var raw = InferenceSessions.Open(arguments.Model, new RunSettings(Threads: 1));
        using var shim = NpuModel.Load(Backend.Onnx, arguments.Model, new NpuOptions { Threads = 1 });
        ReadOnlyMemory<long>[][] rows =
        [
            .. inputs.Select(input => shim.Inputs.Select(tensor => (ReadOnlyMemory<long>)input.Tokens[tensor.Name]).ToArray()),
        ];
        var around = new double[Rounds];
        var runs = PairedRuns.Measure(
            round => ModelOutputs.Of(raw, inputs[round % inputs.Count]),
            round =>
            {
                var start = Stopwatch.GetTimestamp();
                shim.Run(rows[round % rows.Length]);
                around[round] = (Stopwatch.GetElapsedTime(start) - shim.LastRun).TotalMicroseconds;
            },
            Rounds
        );
        return
        [
            new("ONNX Runtime by its .NET API, one inference, one thread", runs.FirstMilliseconds, "ms"),
            new("the same through the shim: ratio", runs.Ratio, "", "<= 1.02"),
            new("shim: time around ONNX Runtime's own run", PairedRuns.Median(around), "us", "<= 30"),
        ];
    }

    private static async Task<List<Row>> Ssh(Arguments arguments, IReadOnlyList<ModelInput> inputs)
    {
        await using var device = await Device.OpenAsync(new DeviceSpec { Name = "loopback", Kind = DeviceKind.Loopback });
        await device.LoadAsync(Backend.Onnx, arguments.Model);
        List<Row> rows = [];
        foreach (var passages in new[] { 1, Batch })
        {
            var around = new double[Math.Max(Rounds / passages, 5)];
            for (var round = -1; round < around.Length; round++)
            {
                var start = Stopwatch.GetTimestamp();
                var run = await device.RunAsync(
                    [.. Enumerable.Range(0, passages).Select(passage => inputs[passage % inputs.Count].Tokens)],
                    CorePlan.Sequence
                );
                if (round >= 0)
                    around[round] = (Stopwatch.GetElapsedTime(start) - run.Elapsed).TotalMilliseconds / passages;
            }
            rows.Add(
                new($"SSH to 127.0.0.1 and agent: time around a batch of {passages}, a passage", PairedRuns.Median(around), "ms", "<= 1")
            );
        }
        return rows;
    }
}
