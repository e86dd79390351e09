using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Onnx;
using ModelPipeline.Rewrites;
using ModelPipeline.Searching;
using ModelPipeline.Sources;
using ModelPipeline.Stages;
using ModelPipeline.Tests.EndToEnd;

namespace ModelPipeline.Tests.Searching;

/// <summary>From recipes to a choice that later runs build, on the sample model.</summary>
public sealed class SearchStageTests
{
    [Fact]
    public async Task The_choice_is_frozen_built_by_later_runs_and_found_again_without_scoring_anything()
    {
        using var workspace = new Workspace(
            ("    device: simulator\n", "    device: simulator\n    queries: 16\n"),
            ("samples: 200 ", "samples: 8 "),
            ("      int8:\n", "      int8:\n        search: { minutes: 0.001, builds: 1 }\n")
        );

        (await workspace.RunAsync("--target=Search")).Succeeded();

        var report = ReportJson.Read<SearchReport>(workspace.Built("search/int8/search.json"));
        Assert.Equal(new SearchCounts(8, 4, 4), report.Parts);
        Assert.Equal(2, report.Tried.Count);
        var written = Assert.Single(report.Built, built => built.IsWritten);
        var choice = report.Built.Single(built => built.Recipe == report.Choice);
        Assert.True(choice.Loss < written.Loss, $"{choice.Loss} is not less than {written.Loss}");
        Assert.True(report.Figures["kendall_tau"] >= report.WrittenFigures["kendall_tau"]);
        var @lock = ModelsLock.Load(Path.Combine(Path.GetDirectoryName(workspace.Manifest)!, ModelsLock.FileName));
        Assert.Equal(report.Choice, @lock.Recipes!["tiny-reranker:int8"]);
        Assert.DoesNotContain("norm-copy", @lock.Models.GetValueOrDefault("tiny-reranker")?.Settings.ToJsonString() ?? "");

        (await workspace.RunAsync("--target=Quantize", "--variant=int8")).Succeeded();
        Assert.True(Directory.Exists(workspace.Built($"prepared/1x128/{string.Join('+', report.Choice!.Rewrites)}")));

        var before = workspace.Files();
        (await workspace.RunAsync("--target=Search")).Succeeded();
        var after = workspace.Files();
        Assert.All(
            before.Where(file =>
                file.Key.Contains("/search/int8/", StringComparison.Ordinal) && !file.Key.EndsWith("search.json", StringComparison.Ordinal)
            ),
            file => Assert.Equal(file.Value, after[file.Key])
        );
        Assert.Equal(before.Keys, after.Keys);
    }

    /// <summary>On the CPU only rewrites make a difference, and what is compared is what would be built.</summary>
    [Fact]
    public async Task An_int8_for_the_CPU_is_found_by_steps_alone_and_made_of_one_graph_for_any_shape()
    {
        using var workspace = new Workspace(
            ("    device: simulator\n", "    device: simulator\n    queries: 16\n"),
            ("samples: 200 ", "samples: 8 "),
            ("      cpu-int8:\n", "      cpu-int8:\n        search: { builds: 1 }\n")
        );

        (await workspace.RunAsync("--target=Search")).Succeeded();

        var report = ReportJson.Read<SearchReport>(workspace.Built("search/cpu-int8/search.json"));
        var written = report.Built.Single(built => built.IsWritten);
        var choice = report.Built.Single(built => built.Recipe == report.Choice);
        Assert.True(choice.Loss < written.Loss, $"{choice.Loss} is not less than {written.Loss}");
        Assert.Equal(written.Recipe, choice.Recipe with { Rewrites = written.Recipe.Rewrites });
        Assert.Equal(("ONNX Runtime", "ONNX Runtime"), (report.RankedBy, report.ScoredBy));
        Assert.Empty(report.Sensitivity);

        (await workspace.RunAsync("--target=Quantize", "--variant=cpu-int8")).Succeeded();

        var steps = string.Join('+', report.Choice!.Rewrites.Except(["families"]));
        var preparation = ReportJson.Read<PreparationReport>(workspace.Built($"prepared/any-shape/{steps}/prepare.json"));
        Assert.NotEmpty(preparation.Passes);
        Assert.All(preparation.Passes, pass => Assert.True(pass.Applied && pass.ScoreShift is null or < 1e-4, pass.ToString()));
        var model = OnnxModel.Load(Assert.Single(Directory.GetFiles(workspace.Built("variants/cpu-int8"), "*.onnx")));
        Assert.Equal(Math.Round(model.ToBytes().Length / 1e6, 6), choice.Mb);
        foreach (var tokens in new[] { 16, 40 })
        {
            using var session = InferenceSessions.Open(PinShapes.Apply(model, new InputShape(2, tokens)), new RunSettings());
            Assert.Equal(model.Graph.Inputs.Length, session.InputNames.Count);
        }
    }

    [Fact]
    public async Task Limits_that_nothing_keeps_to_are_told_and_freeze_nothing()
    {
        using var workspace = new Workspace(
            ("    device: simulator\n", "    device: simulator\n    queries: 8\n"),
            ("samples: 200 ", "samples: 4 "),
            ("      int8:\n", "      int8:\n        search: { minutes: 0.001, builds: 1, max_mb: 0.5 }\n")
        );

        var run = await workspace.RunAsync("--target=Search");

        Assert.Equal(1, run.ExitCode);
        Assert.Contains("MB of 0.5", run.Error, StringComparison.Ordinal);
        Assert.Null(ModelsLock.Load(Path.Combine(Path.GetDirectoryName(workspace.Manifest)!, ModelsLock.FileName)).Recipes);
    }

    [Fact]
    public void The_three_parts_share_no_query()
    {
        using var workspace = new Workspace();
        var manifest = ModelsYaml.Load(workspace.Manifest, new ManifestOverrides(), _ => null);
        var model = workspace.Spec();
        var corpus = ModelPipeline.Text.Corpus.Load(manifest.Corpora["sample"]);
        var whole = ModelPipeline.Tasks.ScoringOrder.Of(model, corpus);

        var parts = SearchParts.Of(ModelPipeline.Tasks.ModelTask.Rerank, whole, corpus);

        var queries = new[] { parts.Search, parts.Confirm, parts.Report }.SelectMany(part => part.Order.Queries).ToList();
        Assert.Equal(queries.Distinct(), queries);
        Assert.All(
            new[] { parts.Search, parts.Confirm, parts.Report, parts.Search.First(3) },
            part => Assert.Equal(part.Order.Texts, part.Texts.Select(text => whole.Texts[text]))
        );
        Assert.Equal(3, parts.Search.First(3).Items);
        Assert.Throws<PipelineException>(() =>
            SearchParts.Of(
                ModelPipeline.Tasks.ModelTask.Rerank,
                new(ModelPipeline.Tasks.ModelTask.Rerank, [.. whole.Queries.Take(5)], corpus.Passages),
                corpus
            )
        );
    }
}
