using ModelPipeline.Core;
using ModelPipeline.Corpora;
using ModelPipeline.Metrics;
using ModelPipeline.Text;

namespace ModelPipeline.Tests.Corpora;

/// <summary>Collections in the forms that others publish, imported and read back.</summary>
public sealed class CorpusImportTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly StageContext context = new(new Progress<StageProgress>(), _ => { }, _ => { }, TestContext.Current.CancellationToken);

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_beir_folder_keeps_titles_and_grades_and_gets_bm25_candidates()
    {
        Beir();
        var (imported, corpus) = Import(folder.Path);
        Assert.Equal(("BEIR", 2, true), (imported.Form, imported.Queries, imported.IsJudged));
        Assert.Contains("judgements of test.tsv, not of train.tsv", imported.Notes);
        var bread = corpus.Queries.Single(query => query.Id == "q1");
        Assert.Equal("Bread dough that rises", corpus.Passages["d1"]);
        Assert.Equal(["d1", "d3", "d2"], bread.Candidates);
        Assert.Equal(new Dictionary<string, int> { ["d1"] = 2, ["d2"] = 1 }, bread.Grades);
    }

    /// <summary>The streaming search gives what the one in memory does.</summary>
    [Fact]
    public void Candidates_are_in_the_order_of_bm25()
    {
        var corpus = Corpus.Load(
            new()
            {
                Name = "sample",
                Passages = RepositoryFiles.Sample("corpus/passages.jsonl"),
                Queries = RepositoryFiles.Sample("corpus/queries.jsonl"),
                Candidates = RepositoryFiles.Sample("corpus/candidates.jsonl"),
            }
        );
        var bm25 = new Bm25(corpus.Passages);
        var found = PassageSearch.Best(
            corpus.Queries.ToDictionary(query => query.Id, query => query.Text),
            _ => corpus.Passages.Select(passage => new ForeignText(passage.Key, passage.Value, "")),
            10,
            context
        );
        Assert.All(
            corpus.Queries,
            query =>
            {
                var all = query with { Candidates = [.. corpus.Passages.Keys] };
                var scores = bm25.Score(all);
                var best = scores.Where(score => score > 0).OrderDescending().Take(10);
                Assert.Equal(best, bm25.Score(query with { Candidates = found[query.Id] }));
            }
        );
    }

    [Fact]
    public void Trec_files_are_read_by_column_and_a_run_gives_the_candidates()
    {
        folder.Write("collection.tsv", "1\talpha beta\n2\tbeta gamma\n3\tdelta\n");
        folder.Write("queries.dev.tsv", "10\tbeta\n11\tnothing judged\n");
        folder.Write("queries.train.tsv", "12\tother\n");
        folder.Write("qrels.dev.tsv", "10 0 3 1\n10 0 1 -2\n");
        folder.Write("run.dev.txt", "10 Q0 2 2 0.5 x\n10 Q0 1 1 0.9 x\n10 Q0 9 3 0.1 x\n");
        var (imported, corpus) = Import(folder.Path);
        var query = Assert.Single(corpus.Queries);
        Assert.Equal(["1", "2", "3"], query.Candidates);
        Assert.Equal(new Dictionary<string, int> { ["3"] = 1, ["1"] = 0 }, query.Grades);
        Assert.Contains("queries of queries.dev.tsv, not of queries.train.tsv", imported.Notes);
        Assert.Contains("1 candidates are left out: the collection has no such passages", imported.Notes);
        Assert.Contains(imported.Notes, note => note.StartsWith("1 relevant passages that these lack", StringComparison.Ordinal));
    }

    [Fact]
    public void Ms_marco_runs_of_three_columns_are_read()
    {
        folder.Write("collection.tsv", "1\talpha\n2\tbeta\n");
        folder.Write("queries.tsv", "10\tbeta\n");
        folder.Write("qrels.tsv", "10\t0\t2\t1\n");
        folder.Write("run.tsv", "10\t2\t1\n10\t1\t2\n");
        Assert.Equal(["2", "1"], Assert.Single(Import(folder.Path).Corpus.Queries).Candidates);
    }

    [Fact]
    public void Texts_are_lines_or_paragraphs_and_nothing_is_judged()
    {
        var lines = folder.Write("a.txt", "The first text here.\nThe second text there.\n");
        Assert.Equal(2, Import(lines).Imported.Passages);
        folder.Write("b.md", "One paragraph\nof two lines.\n\nAnother one.\n");
        var (imported, corpus) = Import(folder.Path);
        Assert.Equal((4, false), (imported.Passages, imported.IsJudged));
        Assert.Contains("One paragraph of two lines.", corpus.Passages.Values);
        Assert.All(corpus.Queries, query => Assert.Empty(query.Grades));
    }

    [Fact]
    public void All_errors_are_told_at_once_by_line_and_nothing_is_left()
    {
        Beir();
        File.AppendAllText(folder.File("corpus.jsonl"), "{\"_id\":\"d9\"}\n{\n");
        File.AppendAllText(folder.File("queries.jsonl"), "[]\n");
        File.AppendAllText(folder.File("qrels/test.tsv"), "q1\td3\tmuch\nq1\td3\n");
        var failure = Assert.Throws<PipelineException>(() => Import(folder.Path));
        Assert.Contains("test.tsv:5: the grade 'much' is no whole number", failure.Message);
        Assert.Contains("test.tsv:6: expected query, passage and grade separated by tabs", failure.Message);
        Assert.Contains("queries.jsonl:3: expected a JSON object", failure.Message);
        Assert.Equal(PipelineException.ConfigurationError, failure.ExitCode);
        Assert.False(Directory.Exists(folder.File("imported")));
    }

    [Fact]
    public void Of_many_queries_a_part_is_taken_evenly()
    {
        Directory.CreateDirectory(folder.File("qrels"));
        var ids = Enumerable.Range(0, 1000).ToList();
        folder.Write("corpus.jsonl", string.Concat(ids.Select(id => $"{{\"_id\":\"d{id}\",\"text\":\"word{id} common\"}}\n")));
        folder.Write("queries.jsonl", string.Concat(ids.Select(id => $"{{\"_id\":\"q{id}\",\"text\":\"word{id}\"}}\n")));
        folder.Write("qrels/test.tsv", string.Concat(ids.Select(id => $"q{id}\td{id}\t1\n")));
        var (imported, corpus) = Import(folder.Path);
        Assert.Equal(CorpusImport.MostQueries, imported.Queries);
        Assert.Equal(["q0", "q5", "q10"], corpus.Queries.Take(3).Select(query => query.Id));
        Assert.Contains("200 of 1,000 queries, evenly over the file", imported.Notes);
    }

    [Fact]
    public void What_is_none_of_the_forms_is_refused()
    {
        var failure = Assert.Throws<PipelineException>(() => CorpusImport.Open(folder.File("nowhere")));
        Assert.Contains("there is no such file or folder", failure.Message);
        folder.Write("corpus.jsonl", "");
        Assert.Contains(
            "corpus.jsonl without queries.jsonl",
            Assert.Throws<PipelineException>(() => CorpusImport.Open(folder.Path)).Message
        );
    }

    private void Beir()
    {
        Directory.CreateDirectory(folder.File("qrels"));
        folder.Write(
            "corpus.jsonl",
            """
            {"_id":"d1","title":"Bread","text":"dough that rises","metadata":{}}
            {"_id":"d2","title":"","text":"ships at sea"}
            {"_id":"d3","title":"","text":"dough"}
            {"_id":"d4","title":"","text":"never asked for"}

            """
        );
        folder.Write("queries.jsonl", "{\"_id\":\"q1\",\"text\":\"bread dough\"}\n{\"_id\":\"q2\",\"text\":\"sea\"}\n");
        folder.Write("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t1\nq2\td2\t1\n");
        folder.Write("qrels/train.tsv", "query-id\tcorpus-id\tscore\nq2\td1\t1\n");
    }

    private (ImportedCorpus Imported, Corpus Corpus) Import(string path)
    {
        var target = Path.Combine(folder.Path, "imported");
        var imported = CorpusImport.Run(CorpusImport.Open(path), target, context);
        var corpus = Corpus.Load(CorpusImport.SpecOf("c", target));
        Directory.Delete(target, recursive: true);
        return (imported, corpus);
    }
}
