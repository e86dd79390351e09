using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Sources;
using ModelPipeline.Tests.Onnx;

namespace ModelPipeline.Tests.Sources;

/// <summary>Sources whose weights are in files beside the ONNX.</summary>
public sealed class ExternalSourceTests : IDisposable
{
    private const string Data = "model.onnx.data";

    private readonly TemporaryFolder folder = new();

    public ExternalSourceTests() => TinyReranker.Source.Save(folder.File("model.onnx"), mostInline: 0);

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task A_hubs_data_come_from_beside_the_model_and_are_locked()
    {
        await using var hub = await HubStandIn.StartAsync("org/large", Files());
        var address = hub.Address;
        var first = await FetchAsync(address, "huggingface: { repo: org/large, file: onnx/model.onnx }");
        Assert.Equal([Data], first.Data.Keys);
        Assert.Equal(TinyReranker.Source.Digest(), first.Load().Digest());
        Assert.Contains(first.Data[Data].Sha256, File.ReadAllText(folder.File("models.lock.json")));

        await hub.DisposeAsync();
        var again = await FetchAsync(address, "huggingface: { repo: org/large, file: onnx/model.onnx }", offline: true);
        Assert.Equal(first.Digests(), again.Digests());
    }

    [Fact]
    public async Task Data_that_the_hub_has_not_are_named()
    {
        var files = Files();
        files.Remove("onnx/" + Data);
        await using var hub = await HubStandIn.StartAsync("org/large", files);
        var failure = await Assert.ThrowsAsync<PipelineException>(() =>
            FetchAsync(hub.Address, "huggingface: { repo: org/large, file: onnx/model.onnx }")
        );
        Assert.Contains($"the model keeps data in '{Data}', and the repository has no such file beside it", failure.Message);
    }

    [Fact]
    public async Task A_files_data_lie_beside_it_and_are_held_to()
    {
        var hub = new Uri("http://127.0.0.1:1");
        await FetchAsync(hub, "file: model.onnx");
        File.AppendAllText(folder.File(Data), "x");
        Assert.Contains(
            $"{Data}: sha256 is",
            (await Assert.ThrowsAsync<PipelineException>(() => FetchAsync(hub, "file: model.onnx"))).Message
        );
        File.Delete(folder.File(Data));
        Assert.Contains(
            $"the model keeps data in '{Data}', and there is no file {folder.File(Data)}; put it there",
            (await Assert.ThrowsAsync<PipelineException>(() => FetchAsync(hub, "file: model.onnx"))).Message
        );
    }

    private Dictionary<string, byte[]> Files() =>
        new()
        {
            ["onnx/model.onnx"] = File.ReadAllBytes(folder.File("model.onnx")),
            ["onnx/" + Data] = File.ReadAllBytes(folder.File(Data)),
            ["vocab.txt"] = "[PAD]\n"u8.ToArray(),
        };

    private async Task<FetchedModel> FetchAsync(Uri hub, string source, bool offline = false)
    {
        var vocabulary = folder.Write("vocab.txt", "[PAD]\n");
        var manifest = ModelsYaml.Load(
            folder.Write(
                "models.yaml",
                $$"""
                corpora:
                  c: { passages: p, queries: q, candidates: c }
                models:
                  large:
                    version: 1.0.0
                    task: rerank
                    source: { {{source}} }
                    tokenizer: { vocab: { file: {{vocabulary}} } }
                    shapes: [[1, 128]]
                    calibration: { corpus: c }
                    variants:
                      fp16: { backend: simulator, precision: fp16 }

                """
            ),
            new ManifestOverrides(),
            _ => null
        );
        using var fetcher = new SourceFetcher(
            new SourceSettings
            {
                Cache = folder.File("cache"),
                Hub = hub,
                Offline = offline,
                RetryDelay = TimeSpan.FromMilliseconds(1),
            }
        );
        return await new ModelSources(manifest, fetcher).FetchAsync("large", null, TestContext.Current.CancellationToken);
    }
}
