using ModelPipeline.Core;
using ModelPipeline.Metrics;
using ModelPipeline.Stages;
using ModelPipeline.Tasks;
using ModelPipeline.Tests.Inspection;
using ModelPipeline.Tests.Stages;
using ModelPipeline.Tests.Text;
using ModelPipeline.Tests.Validation;
using ModelPipeline.Text;

namespace ModelPipeline.Tests.Metrics;

/// <summary>Whether fp32 ranks better than chance, and what words alone would do.</summary>
public sealed class RankingBaselinesTests
{
    /// <summary>By hand: three passages of 3, 2 and 1 words; "red" is in two of them, "shoe" in one.</summary>
    [Fact]
    public void Without_judgements_there_is_nothing_to_compare()
    {
        var query = new CorpusQuery("q", "a", ["p"], new Dictionary<string, int>());
        var baselines = RankingBaselines.Measure(
            new Corpus("plain", [query], new Dictionary<string, string> { ["p"] = "a" }),
            [query],
            [
                [1f],
            ]
        );
        Assert.Equal(
            (null, null, null, RankingVerdict.Undecided),
            (baselines.Fp32, baselines.Bm25, baselines.RandomOrders, baselines.Verdict)
        );
        Assert.Contains("corpus 'plain' has no judgements", baselines.Statement);
    }

    [Fact]
    public void BM25_is_the_published_formula()
    {
        var bm25 = new Bm25(
            new Dictionary<string, string>
            {
                ["a"] = "Red, red shoe!",
                ["b"] = "red hat",
                ["c"] = "hat",
            }
        );
        var scores = bm25.Score(new CorpusQuery("q", "red SHOE", ["a", "b", "c"], new Dictionary<string, int>()));
        double red = Math.Log(1 + (1.5 / 2.5)),
            shoe = Math.Log(1 + (2.5 / 1.5));
        Assert.Equal((red * 2 / (2 + (1.2 * (0.25 + (0.75 * 3 / 2))))) + (shoe / (1 + (1.2 * (0.25 + (0.75 * 3 / 2))))), scores[0], 1e-6);
        Assert.Equal(red / (1 + 1.2), scores[1], 1e-6);
        Assert.Equal(0, scores[2]);
    }

    [Fact]
    public void Ideographs_are_words_and_marks_belong_to_theirs()
    {
        var bm25 = new Bm25(
            new Dictionary<string, string>
            {
                ["a"] = "\u6771\u4eac",
                ["b"] = "\u4eac",
                ["c"] = "e\u0301te\u0301",
            }
        );
        Assert.True(bm25.Score(new CorpusQuery("q", "\u6771 tower", ["a"], new Dictionary<string, int>()))[0] > 0);
        Assert.Equal(0, bm25.Score(new CorpusQuery("q", "ete", ["c"], new Dictionary<string, int>()))[0]);
    }

    [Fact]
    public void The_sample_model_ranks_better_than_words_and_chance()
    {
        var baselines = RankingBaselines.Measure(SampleCorpus.Loaded, TinyScores.Queries, TinyScores.Of("fp32"));
        Assert.Equal(RankingVerdict.Ranks, baselines.Verdict);
        Assert.False(baselines.IsWorseThanBm25);
        Assert.True(baselines.Fp32 > baselines.Bm25 && baselines.Bm25 > baselines.RandomOrders);
        Assert.Contains("NDCG@10 of fp32 0.763, of BM25 0.", baselines.Statement);
    }

    [Fact]
    public void Scores_that_order_nothing_or_all_the_wrong_way_do_not_rank()
    {
        var random = new SplitMix64(7);
        IReadOnlyList<float[]> chance =
        [
            .. TinyScores.Queries.Select(query => query.Candidates.Select(_ => (float)random.Between(0, 1_000_000)).ToArray()),
        ];
        Assert.Equal(RankingVerdict.DoesNotRank, RankingBaselines.Measure(SampleCorpus.Loaded, TinyScores.Queries, chance).Verdict);
        IReadOnlyList<float[]> inverse = [.. TinyScores.Of("fp32").Select(scores => scores.Select(score => -score).ToArray())];
        var baselines = RankingBaselines.Measure(SampleCorpus.Loaded, TinyScores.Queries, inverse);
        Assert.Equal(RankingVerdict.DoesNotRank, baselines.Verdict);
        Assert.Contains("fp32 is not better than chance", baselines.Statement);
    }

    /// <summary>Of few queries, those that all go the wrong way tell, as with the label that means irrelevant.</summary>
    [Theory]
    [InlineData(1, 1, RankingVerdict.Undecided)]
    [InlineData(RankingBaselines.FewestQueries - 1, 1, RankingVerdict.Undecided)]
    [InlineData(RankingBaselines.FewestQueries - 1, 0, RankingVerdict.Undecided)]
    [InlineData(RankingBaselines.FewestQueries - 1, -1, RankingVerdict.DoesNotRank)]
    [InlineData(10, -1, RankingVerdict.DoesNotRank)]
    [InlineData(5, -1, RankingVerdict.Undecided)]
    public void Few_queries_tell_only_of_a_model_that_ranks_backwards(int few, int sign, RankingVerdict expected)
    {
        var baselines = RankingBaselines.Measure(
            SampleCorpus.Loaded,
            [.. TinyScores.Queries.Take(few)],
            [.. TinyScores.Of("fp32").Take(few).Select(scores => scores.Select(score => sign * score).ToArray())]
        );
        Assert.Equal(expected, baselines.Verdict);
        Assert.Contains(expected == RankingVerdict.Undecided ? "too few to tell" : "is not better than chance", baselines.Statement);
    }

    [Fact]
    public void What_is_not_defined_says_why()
    {
        var baselines = RankingBaselines.Measure(SampleCorpus.Loaded, TinyScores.Queries, null, "because");
        Assert.Null(baselines.Fp32);
        Assert.Equal("NDCG@10 of fp32 is not defined: because", baselines.Statement);
    }

    [Theory]
    [InlineData("rerank")]
    [InlineData("embed")]
    public async Task A_model_that_does_not_rank_is_refused_with_likely_causes_and_few_queries_are_not(string task)
    {
        using var folder = new TemporaryFolder();
        var model = task == "rerank" ? new TinyModels().WithLogits(1) : new TinyModels(words: 8000).WithLogits(1, "a").WithPooled();
        using var sample = new SampleBuild(
            task,
            model.Save(folder.File("model.onnx")),
            """
                shapes: [[1, 64]]
                variants: { fp16: { backend: simulator, precision: fp16 } }
            """
        );
        var spec = sample.Build.Model;

        await new ModelRun(sample.Build).PrepareAsync(sample.Stage);

        var told = ReportJson.Read<RankingBaselines>(Path.Combine(sample.Build.Folder, "prepared", BaselineStage.FileName));
        Assert.Equal(RankingVerdict.Undecided, told.Verdict);
        Assert.Contains(sample.Notes, note => note.StartsWith("sample at 1x64: NDCG@10 of fp32 0.", StringComparison.Ordinal));
        if (task == "embed")
            return; // Sums of word vectors rank a little, even random ones: the same words make the same sum.
        var all = sample.Again(spec with { Validation = spec.Validation with { Queries = null } });
        var error = await Assert.ThrowsAsync<PipelineException>(() => new ModelRun(all).PrepareAsync(sample.Stage));
        Assert.Contains("sample at 1x64: NDCG@10 of fp32 0.", error.Message);
        Assert.Contains("Likely causes: another output or label than the score is read (it is logits, label 0", error.Message);
    }

    /// <summary>Cut at 16 tokens, the sample's reranker sees little of a passage, and BM25 all of it.</summary>
    [Fact]
    public async Task A_model_that_ranks_worse_than_bm25_is_warned_of_before_anything_is_built_and_its_scores_are_kept()
    {
        using var sample = new SampleBuild(
            "rerank",
            RepositoryFiles.Sample("tiny-reranker/model.onnx"),
            """
                shapes: [[1, 16]]
                variants: { fp16: { backend: simulator, precision: fp16 } }
            """
        );
        var spec = sample.Build.Model;
        var all = sample.Again(spec with { Validation = spec.Validation with { Queries = null } });

        await new ModelRun(all).PrepareAsync(sample.Stage);

        Assert.Contains(
            sample.Warnings,
            warning =>
                warning.StartsWith("sample at 1x16: NDCG@10 of fp32 0.", StringComparison.Ordinal)
                && warning.EndsWith("fp32 is worse than BM25, which needs no model", StringComparison.Ordinal)
        );
        Assert.False(Directory.Exists(Path.Combine(all.Folder, "variants")));
        var kept = Path.Combine(all.Folder, "validation", "reference-1x16.json");
        var written = File.GetLastWriteTimeUtc(kept);
        var report = await ValidateStage.RunAsync(all, spec.Variants[0], spec.Shapes[0], sample.Stage);
        Assert.True(report.Baselines!.IsWorseThanBm25);
        Assert.Equal(written, File.GetLastWriteTimeUtc(kept));
    }

    [Fact]
    public void An_output_that_is_no_number_is_named_by_variant_query_and_passage()
    {
        var order = new ScoringOrder(
            ModelTask.Rerank,
            [new CorpusQuery("q1", "ask", ["p1", "p2"], new Dictionary<string, int>())],
            new Dictionary<string, string> { ["p1"] = "one", ["p2"] = "two" }
        );
        var error = Assert.Throws<PipelineException>(() =>
            order.RequireFinite(
                "int8 at 1x64",
                [
                    [1],
                    [float.NaN],
                ]
            )
        );
        Assert.Contains("The output of int8 at 1x64 for query q1, passage p2 is NaN", error.Message);
        order.RequireFinite(
            "fp32",
            [
                [1],
                [2],
            ]
        );
    }
}
