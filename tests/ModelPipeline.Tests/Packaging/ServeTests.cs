using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using CsCheck;
using Json.Schema;
using ModelPipeline.Artifacts;
using ModelPipeline.Core;
using ModelPipeline.Decision;
using ModelPipeline.Devices;
using ModelPipeline.Latency;
using ModelPipeline.Manifest;
using ModelPipeline.Packaging;
using ModelPipeline.Tasks;
using ModelPipeline.Tests.Latency;
using ModelPipeline.Tests.Publishing;
using ModelPipeline.Tests.Toolkit;

namespace ModelPipeline.Tests.Packaging;

/// <summary>serve.json, and the lines of the model card that follow it.</summary>
public sealed partial class ServeTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    private static readonly Gen<(ServedShape[] Shapes, int[] Contexts, int[] Lengths)> Requests = Gen.Select(
        Gen.Select(Gen.Int[1, 16], Gen.Int[1, 4], Gen.Int[1, 9]).Array[1, 5],
        Gen.Int[1, 4],
        Gen.Int[1, 600].Array[1, 12],
        (sizes, contexts, lengths) =>
            (
                sizes
                    .DistinctBy(size => size.Item1)
                    .OrderBy(size => size.Item1)
                    .Select(size => new ServedShape(size.Item2, size.Item1 * 32, $"f{size.Item1}.rknn", size.Item3 / 4.0))
                    .ToArray(),
                Enumerable.Range(0, contexts).Select(context => 1 << context).ToArray(),
                lengths
            )
    );

    [Fact]
    public async Task The_lines_of_the_model_card_route_as_the_pipeline_does()
    {
        using var packages = new Packages();
        var report = packages.Report("int8", Backend.Rknn, DeviceKind.Ssh, p95: 43.6);
        var (package, _) = await packages.WriteAsync([report]);
        var card = File.ReadAllText(Path.Combine(package, ArtifactManifest.CardName));
        var lines = Assert.Single(Lines().Matches(card)).Groups[1].Value;
        Assert.Equal(10, lines.TrimEnd('\n').Split('\n').Length);
        var cases = new List<(ServedShape[] Shapes, int[] Contexts, int[] Lengths)>();
        Requests.Sample(each => cases.Add(each), iter: 300, threads: 1);
        var script = folder.Write(
            "route.py",
            "import json, sys\n" + lines + "for case in json.load(open(sys.argv[1])):\n    print(json.dumps(route(**case)))\n"
        );
        var input = folder.Write(
            "cases.json",
            new JsonArray([
                .. cases.Select(each =>
                    (JsonNode)
                        new JsonObject
                        {
                            ["shapes"] = JsonNode.Parse(ReportJson.Text(each.Shapes)),
                            ["contexts"] = JsonSerializer.SerializeToNode(each.Contexts),
                            ["lengths"] = JsonSerializer.SerializeToNode(each.Lengths),
                        }
                ),
            ]).ToJsonString()
        );

        var (exit, output) = await Programs.RunAsync(folder.Path, RecordedToolkit.SystemPython, script, input);

        Assert.True(exit == 0, output);
        Assert.Equal(
            cases.Select(each =>
            {
                var routing = Router.Route(
                    [.. each.Shapes.Select(shape => new Bucket(shape.Tokens, shape.Batch, shape.Cost))],
                    each.Lengths,
                    each.Contexts.Length
                );
                return JsonSerializer.Serialize(
                    routing.Contexts.Select(context =>
                        context.Select(run => new object[] { each.Shapes[run.Bucket].File, each.Shapes[run.Bucket].Tokens, run.Passages })
                    )
                );
            }),
            output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Replace(" ", ""))
        );
    }

    [Fact]
    public async Task A_package_and_its_release_say_how_their_own_variants_are_served()
    {
        using var packages = new Packages();
        var npu = packages.Report("npu", Backend.Rknn, DeviceKind.Ssh, p95: 43.6);
        var simulated = packages.Report("sim", Backend.Simulator);
        var cpu = packages.Report("cpu", Backend.Onnx);
        var (package, model) = await packages.WriteAsync([npu, simulated, cpu]);
        var manifest = PackageCheck.Verify<PackageManifest>(package, Packages.Cancellation);
        var release = ModelPipeline.Publishing.Release.Of(
            ModelPipeline.Reports.ReleaseText.Of(model),
            manifest,
            ReportJson.Read<ProductionDecision>(Path.Combine(package, "decision.json"))
        );

        var packaged = ReportJson.Read<ServeFile>(Path.Combine(package, ServeFile.FileName));
        Assert.Equal(["npu", "sim", "cpu"], packaged.Variants.Keys);
        var released = Assert.Single(release.Files, file => file.Name == ServeFile.FileName);
        Assert.Equal(released.Digest, Assert.Single(release.Manifest.Files, file => file.Name == ServeFile.FileName).Digest);
        Assert.Contains(
            $"{released.Digest.Sha256}  serve.json\n",
            release.Files.Single(file => file.Name == ArtifactManifest.SumsName).Text,
            StringComparison.Ordinal
        );
        var served = folder.Write("serve.json", released.Text!);
        var file = ReportJson.Read<ServeFile>(served);
        Assert.Equal(["npu", "cpu"], file.Variants.Keys);
        Assert.Equal(("three_contexts", CostUnit.Tokens), (file.Variants["npu"].CorePlan, file.Variants["npu"].Unit));
        Assert.Equal([1, 2, 4], file.Variants["npu"].Contexts);
        Assert.Equal(new ServedShape(1, 128, npu.Subject.Artifact, 128), Assert.Single(file.Variants["npu"].Shapes));
        Assert.Equal(("cpu", "sequence"), (file.Variants["cpu"].Platform, file.Variants["cpu"].CorePlan));
        Assert.Equal([0], file.Variants["cpu"].Contexts);
        foreach (var text in new[] { released.Text!, File.ReadAllText(Path.Combine(package, ServeFile.FileName)) })
            Assert.True(Schema().Evaluate(JsonDocument.Parse(text).RootElement).IsValid, text);
    }

    [Fact]
    public void What_a_device_measured_is_what_runs_cost_there()
    {
        var plan = BucketPlan.Of(
            [
                .. new[] { (64, 8.0), (128, 20.0) }.Select(shape =>
                    Latencies.Artifact("npu", shape.Item1, [shape.Item2]) with
                    {
                        Artifact = "npu.rknn",
                        Plans =
                        [
                            Latencies.Plan(CorePlan.Sequence, [shape.Item2], [1]),
                            Latencies.Plan(CorePlan.ThreeContexts, [shape.Item2 * 1.25], [1]),
                        ],
                    }
                ),
            ],
            [60, 60, 60, 60, 100],
            5
        );
        Assert.Equal([10.0, 25.0], plan.Buckets.Select(bucket => bucket.RunMs!.Value));
        var routing = new VariantRouting("npu", plan.Buckets, plan.Truncation, plan.Expected, new Dictionary<string, double>(), []);
        var manifest = new PackageManifest
        {
            Name = "m",
            Version = "1.0.0",
            Task = ModelTask.Rerank,
            Origin = "",
            Simulated = false,
            Files = [new("npu.rknn", PackageRole.Model, "npu", false, new(1, new('a', 64)), "rk3588")],
            Variants = [],
            Routings = [routing],
            Inputs = new Dictionary<string, string>(),
            Settings = [],
            Tools = new Dictionary<string, string>(),
        };

        var served = Serving.Of(manifest, "npu.rknn");

        Assert.Equal("npu", served.Serve);
        var variant = served.Variants["npu"];
        Assert.Equal(("three_contexts", CostUnit.Ms), (variant.CorePlan, variant.Unit));
        Assert.Equal([new(1, 64, "npu.rknn", 10), new ServedShape(1, 128, "npu.rknn", 25)], variant.Shapes);
        Assert.True(Schema().Evaluate(JsonDocument.Parse(ReportJson.Text(served)).RootElement).IsValid);
        // As the routing expects it: the long one on one core, the four short ones two by two on the others.
        Assert.Equal(
            plan.Expected[1].RequestMs,
            Router
                .Route([.. variant.Shapes.Select(shape => new Bucket(shape.Tokens, shape.Batch, shape.Cost))], [60, 60, 60, 60, 100], 3)
                .Makespan
        );
    }

    public void Dispose() => folder.Dispose();

    private static JsonSchema Schema() =>
        JsonSchema.FromText(File.ReadAllText(Path.Combine(RepositoryFiles.Root, "pipeline/schema/serve.schema.json")));

    [GeneratedRegex(@"```python\n(def route\(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Lines();
}
