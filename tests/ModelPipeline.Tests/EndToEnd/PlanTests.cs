using System.Text.Json.Nodes;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Planning;

namespace ModelPipeline.Tests.EndToEnd;

/// <summary>From the plan to what is built by it.</summary>
public sealed class PlanTests
{
    [Fact]
    public async Task Auto_shapes_are_those_of_the_frozen_plan_and_missing_without_one()
    {
        using var workspace = new Workspace(Workspace.TenQueries, ("shapes: [[1, 128]] ", "shapes: auto "));

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

        (await workspace.RunAsync("--target=Calibrate")).Succeeded();
        Assert.Equal(
            best.Shapes.Order(),
            Directory
                .GetDirectories(workspace.Built("calibration"))
                .Select(path => int.Parse(Path.GetFileName(path)[2..], System.Globalization.CultureInfo.InvariantCulture))
                .Order()
        );
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
