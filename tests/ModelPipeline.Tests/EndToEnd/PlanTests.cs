using System.Text.Json.Nodes;
using ModelPipeline.Artifacts;
using ModelPipeline.Core;
using ModelPipeline.Decision;
using ModelPipeline.Latency;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Packaging;
using ModelPipeline.Planning;

namespace ModelPipeline.Tests.EndToEnd;

/// <summary>From the plan to what is built by it.</summary>
public sealed class PlanTests
{
    [Fact]
    public async Task Auto_shapes_are_those_of_the_frozen_plan_and_missing_without_one()
    {
        // Ten queries tell no int8 apart from its gates at each shape of a plan.
        using var workspace = new Workspace(
            Workspace.TenQueries,
            ("shapes: [[1, 128]] ", "shapes: auto "),
            ("kendall_tau: { min: 0.9 }", "kendall_tau: { min: 0.5 }"),
            ("kendall_tau: { min: 0.95 }", "kendall_tau: { min: 0.5 }"),
            ("kendall_tau: { min: 0.999 }", "kendall_tau: { min: 0.5 }"),
            ("ndcg_at_10: { max_drop: 0.01 }", "ndcg_at_10: { max_drop: 0.5 }")
        );

        var early = await workspace.RunAsync("--target=Quantize");
        Assert.Equal(PipelineException.ConfigurationError, early.ExitCode);
        Assert.Contains("--target=Plan --model=tiny-reranker", early.Error, StringComparison.Ordinal);

        var planned = (await workspace.RunAsync("--target=Plan")).Succeeded();
        var report = ReportJson.Read<PlanReport>(workspace.Built("plan/plan.json"));
        var best = report.Best!;
        Assert.Equal(Precision.Fp16, best.Precision);
        Assert.True(report.CpuRequestMs > best.RequestMs);
        Assert.Contains(report.Sentence, planned.Output, StringComparison.Ordinal);
        Assert.All(
            planned
                .Output.Split('\n')
                .SkipWhile(line => !line.Contains("Plans for", StringComparison.Ordinal))
                .TakeWhile(line => !line.Contains("tiny-reranker:", StringComparison.Ordinal)),
            line => Assert.True(line.TrimEnd().Length <= 80, line)
        );
        var locked = JsonNode.Parse(File.ReadAllText(Path.Combine(Path.GetDirectoryName(workspace.Manifest)!, "models.lock.json")))![
            "plans"
        ]!["tiny-reranker"]!;
        Assert.Equal("fp16", (string?)locked["precision"]);

        // From there to what is served: built, measured and validated at each of its shapes, routed by length, decided and packaged.
        (await workspace.RunAsync("--target=Package")).Succeeded();
        var names = best.Shapes.Select(tokens => $"{best.Batch}x{tokens}").ToArray();
        var latency = ReportJson.Read<LatencyReport>(workspace.Built("latency/latency.json"));
        Assert.Equal(names, latency.Artifacts.Where(artifact => artifact.Variant == "int8").Select(artifact => artifact.Shape));
        Assert.Equal(latency.Lengths.Tokens.Count, report.Lengths.Sum(length => length.Passages));
        var manifest = ReportJson.Read<PackageManifest>(Path.Combine(workspace.Package, "manifest.json"));
        Assert.All(manifest.Routings, routing => Assert.Equal(best.Shapes, routing.Buckets.Select(bucket => bucket.MaxTokens)));
        Assert.All(manifest.Routings, routing => Assert.Equal(0, routing.Truncation.Passages));
        Assert.All(manifest.Routings, routing => Assert.Contains(routing.Gates, gate => gate.Result == GateResult.Passed));
        var served = ReportJson.Read<ServeFile>(Path.Combine(workspace.Package, ServeFile.FileName));
        Assert.Equal(best.Shapes, served.Variants["fp16"].Shapes.Select(shape => shape.Tokens));
        Assert.Equal(best.CorePlan, served.Variants["fp16"].CorePlan);
        Assert.Equal("cpu-int8", served.Serve);
        var decision = ReportJson.Read<ProductionDecision>(workspace.Built("decision.json"));
        Assert.Null(decision.Winner);
        Assert.Contains(
            $"By the plan, the corpus is served best at {best.ShapesText} tokens in fp16, three contexts. ",
            decision.Advice,
            StringComparison.Ordinal
        );
        Assert.Contains("estimated and not measured, on the chip's CPU about", decision.Advice, StringComparison.Ordinal);
        Assert.Equal(names, decision.Variants.Where(verdict => verdict.Variant == "fp16").Select(verdict => verdict.Shape));
        var page = File.ReadAllText(workspace.Built("validation/report.html"));
        Assert.Contains("<h2>Plan", page, StringComparison.Ordinal);
        Assert.Contains(report.Sentence, System.Net.WebUtility.HtmlDecode(page), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_config_alone_is_estimated_in_one_table()
    {
        using var workspace = new Workspace();
        var config = Path.Combine(Path.GetDirectoryName(workspace.Manifest)!, "config.json");
        File.WriteAllText(
            config,
            """{"model_type": "bert", "num_hidden_layers": 12, "hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536, "vocab_size": 30522, "max_position_embeddings": 512}"""
        );
        var run = (await workspace.RunAsync("--target=Plan", $"--from={config}")).Succeeded();
        Assert.Contains("184 (", run.Output, StringComparison.Ordinal);
        Assert.Contains("70 MB in fp16, 37 in int8", run.Output, StringComparison.Ordinal);
        Assert.Equal(PipelineException.ConfigurationError, (await workspace.RunAsync("--target=Fetch", $"--from={config}")).ExitCode);
    }
}
