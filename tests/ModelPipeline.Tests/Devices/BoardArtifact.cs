using Google.Protobuf;
using ModelPipeline.Core;
using ModelPipeline.Devices;
using ModelPipeline.Manifest;
using ModelPipeline.Npu;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Proto;
using ModelPipeline.Rewrites;
using ModelPipeline.Text;

namespace ModelPipeline.Tests.Devices;

/// <summary>The tiny reranker as an artifact of the simulator at 32 tokens, rows for it, and what they score in this process.</summary>
public sealed class BoardArtifact : IAsyncLifetime
{
    private const int Tokens = 32;
    private readonly TemporaryFolder folder = new();

    /// <summary>For rk3588.</summary>
    public string Path { get; private set; } = "";

    /// <summary>A graph of the CPU variant: the source model, whose length is open.</summary>
    public static string Onnx => RepositoryFiles.Sample("tiny-reranker/model.onnx");

    public async ValueTask InitializeAsync() => Path = await BuildAsync("rk3588");

    public async Task<string> BuildAsync(string target, int tokens = Tokens)
    {
        var source = folder.File("prepared.onnx");
        PinShapes.Apply(OnnxModel.Load(Onnx), new InputShape(1, tokens)).Save(source);
        var request = new ConversionRequest
        {
            Backend = Backend.Simulator,
            Source = source,
            Artifact = folder.File($"{target}-{tokens}.sim.onnx"),
            Target = target,
        };
        return (await ConversionJob.RunAsync(request, cancellation: TestContext.Current.CancellationToken)).Artifact;
    }

    /// <summary>One file for several lengths, which the stand-in runs as a board runs an .rknn with dynamic input.</summary>
    public string ForLengths(params IEnumerable<int> tokens)
    {
        var path = folder.File($"{Guid.NewGuid():N}.sim.onnx");
        OnnxModel
            .Load(Onnx)
            .WithMetadata(
                ("modelpipeline.simulated", "true"),
                ("modelpipeline.target", "rk3588"),
                ("rknnrt_sim.sequences", string.Join(' ', tokens))
            )
            .Save(path);
        return path;
    }

    /// <summary>A copy that fails: its run of this number, over all contexts, takes so long and then returns this code of the
    /// vendor's.</summary>
    public string WithFault(int run, TimeSpan takes, int status) => With("rknnrt_sim.fault", $"{run} {takes.TotalMilliseconds:0} {status}");

    /// <summary>A copy whose runtime answers with this table of layers; if it is empty, it knows no such question.</summary>
    public string WithLayers(string table) => With("rknnrt_sim.layers", table);

    private string With(string key, string value)
    {
        var entry = new ModelProto
        {
            MetadataProps =
            {
                new StringStringEntryProto { Key = key, Value = value },
            },
        };
        // Protobuf messages merge.
        return folder.Write($"{Guid.NewGuid():N}.sim.onnx", [.. File.ReadAllBytes(Path), .. entry.ToByteArray()]);
    }

    /// <summary>Rows of different token ids and lengths.</summary>
    public static IReadOnlyList<TokenizedInput> Rows(int count, int tokens = Tokens) =>
        [
            .. Enumerable
                .Range(0, count)
                .Select(row =>
                {
                    var length = 4 + (row * 7 % (tokens - 4));
                    return new TokenizedInput(
                        [.. Enumerable.Range(0, tokens).Select(i => i < length ? 5 + (((row * 131L) + (i * 37)) % 7900) : 0)],
                        [.. Enumerable.Range(0, tokens).Select(i => i < length ? 1L : 0)],
                        new long[tokens],
                        length
                    );
                }),
        ];

    /// <summary>Scores by the simulator in this process.</summary>
    public static float[] Expected(string artifact, Backend backend, IReadOnlyList<TokenizedInput> rows)
    {
        using var model = NpuModel.Load(backend, artifact);
        return [.. rows.Select(row => model.Run([.. model.Inputs.Select(input => (ReadOnlyMemory<long>)row[input.Name])])[0][0])];
    }

    /// <summary>Outputs of one file for several shapes and those of files for one. ONNX Runtime fuses a graph of fixed shapes otherwise:
    /// the last digits differ.</summary>
    public static void Same(IEnumerable<float> expected, DeviceRun run) =>
        Assert.Equal(
            expected,
            run.Passages.Select(passage => passage.Outputs[0][0]),
            (one, other) => Math.Abs(one - other) < 1e-5 * Math.Max(1, Math.Abs(one))
        );

    public ValueTask DisposeAsync()
    {
        folder.Dispose();
        return ValueTask.CompletedTask;
    }
}
