using ModelPipeline.Core;
using ModelPipeline.Devices;
using ModelPipeline.Latency;
using ModelPipeline.Manifest;
using ModelPipeline.Text;

namespace ModelPipeline.Tests.Devices;

/// <summary>The runtime's table of layers, from every kind of device that stands in for a board.</summary>
public sealed class ProfileTests(BoardArtifact artifact) : BoardTests(artifact)
{
    private static readonly IReadOnlyList<TokenizedInput> Rows = BoardArtifact.Rows(3);

    private static readonly DeviceSpec Local = new()
    {
        Name = "here",
        Kind = DeviceKind.Local,
        RuntimeLibrary = Path.Combine(new SshSettings().Agents, SshSettings.ThisPlatform, "librknnrt-sim.so"),
    };

    [Theory]
    [InlineData(DeviceKind.Simulator)]
    [InlineData(DeviceKind.Local)]
    [InlineData(DeviceKind.Ssh)]
    public async Task A_device_tells_the_layers_of_each_run_in_the_vendors_form(DeviceKind kind)
    {
        await using var device = await OpenAsync(kind);
        await device.LoadAsync(Backend.Simulator, Artifact.Path, cancellation: Cancellation);

        var tables = await device.ProfileAsync(Backend.Simulator, Artifact.Path, 1, Rows, Cancellation);

        Assert.Equal(Rows.Count, tables.Count);
        Assert.All(
            tables.Select(LayerTable.Parse),
            table =>
            {
                Assert.Equal(
                    [.. Enumerable.Repeat("InputOperator", 3), "Simulated", "OutputOperator"],
                    table.Layers.Select(layer => layer.Type)
                );
                Assert.Equal(0, table.Unread);
                var graph = table.Layers[3];
                Assert.Equal(("CPU", 3, 1), (graph.Target, graph.Inputs.Count, graph.Outputs.Count));
                Assert.All(graph.Inputs, shape => Assert.Equal([1, 32], shape));
                Assert.True(graph.Microseconds > 0);
            }
        );
        Assert.Null(device.Model);
        // And the next model keeps no table.
        await device.LoadAsync(Backend.Simulator, Artifact.Path, cancellation: Cancellation);
        var run = await device.RunAsync(Rows, CorePlan.Sequence, cancellation: Cancellation);
        Assert.Equal(BoardArtifact.Expected(Artifact.Path, Backend.Simulator, Rows), run.Passages.Select(passage => passage.Outputs[0][0]));
        Assert.Empty(Warnings);
    }

    /// <summary>As runtimes do that are older than the question; the session goes on.</summary>
    [Theory]
    [InlineData(DeviceKind.Local)]
    [InlineData(DeviceKind.Ssh)]
    public async Task A_runtime_that_keeps_no_table_says_so_and_runs_on(DeviceKind kind)
    {
        await using var device = await OpenAsync(kind);

        var error = await Assert.ThrowsAsync<PipelineException>(() =>
            device.ProfileAsync(Backend.Simulator, Artifact.WithLayers(""), 1, Rows, Cancellation)
        );

        Assert.Contains("its table of layers: RKNN_ERR_PARAM_INVALID", error.Message);
        await device.LoadAsync(Backend.Simulator, Artifact.Path, cancellation: Cancellation);
        Assert.Equal(Rows.Count, (await device.RunAsync(Rows, CorePlan.Sequence, cancellation: Cancellation)).Passages.Count);
        Assert.Empty(Warnings);
    }

    /// <summary>Longer than a table may be, with what would move a terminal.</summary>
    [Fact]
    public async Task A_tables_text_is_cut_at_its_limit_and_cleaned()
    {
        await using var device = await OpenAsync(DeviceKind.Ssh);
        var wild = "\u001b[2J" + new string('x', 5 << 20);

        var table = Assert.Single(await device.ProfileAsync(Backend.Simulator, Artifact.WithLayers(wild), 1, [Rows[0]], Cancellation));

        Assert.StartsWith("\uFFFD[2Jxxx", table);
        Assert.Equal(4 << 20, table.Length);
        Assert.Throws<PipelineException>(() => LayerTable.Parse(table));
    }

    [Fact]
    public async Task Of_a_file_for_several_shapes_the_layers_are_of_the_shape_that_ran()
    {
        await using var device = await OpenAsync(DeviceKind.Ssh);

        var tables = await device.ProfileAsync(
            Backend.Simulator,
            Artifact.ForLengths(32, 48),
            1,
            [BoardArtifact.Rows(1, 48)[0], BoardArtifact.Rows(1)[0]],
            Cancellation
        );

        Assert.Equal([48, 32], tables.Select(table => LayerTable.Parse(table).Layers[0].Outputs[0][1]));
    }

    private async Task<Device> OpenAsync(DeviceKind kind) =>
        kind switch
        {
            DeviceKind.Ssh => await ConnectAsync(),
            DeviceKind.Local => await InProcessDevice.OpenAsync(
                Local,
                new LocalSettings { Lock = Folder.File("lock"), Root = Folder.Path },
                Limits,
                Cancellation
            ),
            DeviceKind.Simulator => await InProcessDevice.OpenAsync(
                Local with
                {
                    Kind = DeviceKind.Simulator,
                },
                new LocalSettings { Lock = Folder.File("lock"), Root = Folder.Path },
                Limits,
                Cancellation
            ),
            DeviceKind.Loopback => throw new ArgumentOutOfRangeException(nameof(kind)),
        };
}
