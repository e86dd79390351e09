using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Text;

namespace ModelPipeline.Tests.Text;

public sealed class CorpusTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void The_sample_corpus_loads_in_the_order_of_its_files()
    {
        var corpus = SampleCorpus.Load();

        Assert.Equal(107, corpus.Queries.Count);
        Assert.Equal(260, corpus.Passages.Count);
        var first = corpus.Queries[0];
        Assert.Equal("q001", first.Id);
        Assert.Equal("make the memory card last longer in an always-on device", first.Text);
        Assert.Equal(["p0195", "p0014", "p0141", "p0249", "p0054", "p0089", "p0115", "p0083", "p0042", "p0046"], first.Candidates);
        Assert.Equal(3, first.Grades.Count);
        Assert.Equal(2, first.Grades["p0083"]);
    }

    [Fact]
    public void Blank_lines_carriage_returns_and_a_byte_order_mark_are_harmless()
    {
        var corpus = Load(passages: "\uFEFF{\"id\":\"p1\",\"text\":\"one\"}\r\n\r\n{\"id\":\"p2\",\"text\":\"two\"}");
        Assert.Equal("two", corpus.Passages["p2"]);
    }

    [Theory]
    [InlineData("{\"id\":\"p1\",\"title\":\"A title\",\"text\":\"one\"}", "A title one")]
    [InlineData("{\"_id\":\"p1\",\"title\":\"\",\"text\":\"one\",\"metadata\":{\"url\":\"x\"}}", "one")]
    [InlineData("{\"id\":\"p1\",\"title\":null,\"text\":\"one\"}", "one")]
    [InlineData("{\"id\":\"p1\",\"title\":\"A title\",\"text\":\"\"}", "A title")]
    public void A_title_comes_before_the_text_as_BEIRs_loaders_put_it(string line, string expected) =>
        Assert.Equal(expected, Load(passages: line).Passages["p1"]);

    [Fact]
    public void All_that_is_wrong_is_told_at_once_as_a_configuration_error()
    {
        var spec = Write(
            passages: "{\"id\":\"p1\"}\n{\"id\":\"p2\",\"text\":\" \"}\n{\"id\":\"p3\",\"text\":\"three\"}",
            qrels: "q1 p3 1\nq9\tp3\t1"
        );
        File.Delete(spec.Candidates);
        var error = Assert.Throws<PipelineException>(() => Corpus.Load(spec));
        Assert.Equal(PipelineException.ConfigurationError, error.ExitCode);
        Assert.Collection(
            error.Message.Split('\n'),
            line => Assert.EndsWith("passages.jsonl:1: \"text\" is missing.", line),
            line => Assert.EndsWith("passages.jsonl:2: \"text\" is empty.", line),
            line => Assert.EndsWith("qrels.tsv:1: expected query, passage and grade separated by tabs.", line),
            line => Assert.EndsWith("qrels.tsv:2: query 'q9' is not in the queries file.", line),
            line => Assert.Matches("^corpora\\.test\\.candidates: .*candidates\\.jsonl: cannot be read", line)
        );
    }

    [Theory]
    [InlineData("passages", "", "passages.jsonl: empty")]
    [InlineData("passages", "{\"id\":\"p1\"}", "passages.jsonl:1: \"text\" is missing")]
    [InlineData("passages", "{\"id\":\"p1\",\"text\":\" \"}", "passages.jsonl:1: \"text\" is empty")]
    [InlineData("passages", "{\"id\":1,\"text\":\"one\"}", "passages.jsonl:1: \"id\" must hold text, found Number")]
    [InlineData("passages", "{\"id\":\"p1\",\"text\":\"\\ud800\"}", "passages.jsonl:1: \"text\" has an escape")]
    [InlineData("passages", "{\"id\":\"p1\",\"text\":\"a\"}\n{\"id\":\"p1\",\"text\":\"b\"}", "passages.jsonl:2: id 'p1' is used before")]
    [InlineData("passages", "{\"id\":\"p1\",\"id\":\"p2\",\"text\":\"a\"}", "passages.jsonl:1: not a JSON object")]
    [InlineData("passages", "{\"id\":\"p1\",", "passages.jsonl:1: not a JSON object")]
    [InlineData("passages", "[1]", "passages.jsonl:1: expected a JSON object, found Array")]
    [InlineData(
        "queries",
        "{\"id\":\"q1\",\"text\":\"ask\"}\n{\"id\":\"q2\",\"text\":\"more\"}",
        "candidates.jsonl: query 'q2' has no candidates"
    )]
    [InlineData("qrels", "q1 p1 1", "qrels.tsv:1: expected query, passage and grade separated by tabs")]
    [InlineData("qrels", "q1\tp1\t-1", "qrels.tsv:1: grade '-1' is not a whole number from 0 to 10")]
    [InlineData("qrels", "q1\tp1\t11", "qrels.tsv:1: grade '11'")]
    [InlineData("qrels", "q1\tp1\t0", "qrels.tsv: query 'q1' has no passage graded above 0")]
    [InlineData("qrels", "q1\tp9\t1", "qrels.tsv:1: passage 'p9' is not in the passages file")]
    [InlineData("qrels", "q9\tp1\t1", "qrels.tsv:1: query 'q9' is not in the queries file")]
    [InlineData("qrels", "q1\tp1\t1\nq1\tp1\t2", "qrels.tsv:2: query 'q1' and passage 'p1' are graded before")]
    [InlineData("candidates", "{\"query_id\":\"q1\",\"passage_ids\":[]}", "candidates.jsonl:1: \"passage_ids\" must be a non-empty array")]
    [InlineData(
        "candidates",
        "{\"query_id\":\"q1\",\"passage_ids\":[\"p9\"]}",
        "candidates.jsonl:1: passage 'p9' is not in the passages file"
    )]
    [InlineData("candidates", "{\"query_id\":\"q1\",\"passage_ids\":[\"p1\",\"p1\"]}", "candidates.jsonl:1: passage 'p1' is listed twice")]
    [InlineData(
        "candidates",
        "{\"query_id\":\"q9\",\"passage_ids\":[\"p1\"]}",
        "candidates.jsonl:1: query 'q9' is not in the queries file"
    )]
    public void What_is_wrong_is_named_by_file_and_line(string file, string text, string expected)
    {
        var error = Assert.Throws<PipelineException>(() =>
            file switch
            {
                "passages" => Load(passages: text),
                "queries" => Load(queries: text),
                "qrels" => Load(qrels: text),
                _ => Load(candidates: text),
            }
        );
        Assert.Contains(expected, error.Message);
    }

    [Fact]
    public void Bytes_that_are_not_utf8_are_named_by_file_line_and_byte()
    {
        var spec = Write();
        File.WriteAllBytes(spec.Queries, [.. "{\"id\":\"q0\",\"text\":\"a\"}\n{\"id\":\""u8, 0xC3, 0x28, .. "\"}"u8]);
        Assert.Contains("queries.jsonl:2: not valid UTF-8 at byte 8", Assert.Throws<PipelineException>(() => Corpus.Load(spec)).Message);
    }

    [Fact]
    public void An_endless_line_is_refused_without_reading_it_whole()
    {
        var spec = Write();
        using (var sparse = new FileStream(spec.Passages, FileMode.Create))
            sparse.SetLength(8L << 30);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Contains("passages.jsonl:1: the line is longer than", Assert.Throws<PipelineException>(() => Corpus.Load(spec)).Message);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 16 << 20);
    }

    [Fact]
    public void A_missing_file_is_named()
    {
        var spec = Write();
        File.Delete(spec.Qrels!);
        Assert.Contains("qrels.tsv: cannot be read", Assert.Throws<PipelineException>(() => Corpus.Load(spec)).Message);
    }

    [Fact]
    public void Without_qrels_there_are_candidates_and_no_grades()
    {
        var query = Assert.Single(Corpus.Load(Write() with { Qrels = null }).Queries);
        Assert.Equal(["p1"], query.Candidates);
        Assert.Empty(query.Grades);
    }

    private Corpus Load(string? passages = null, string? queries = null, string? qrels = null, string? candidates = null) =>
        Corpus.Load(Write(passages, queries, qrels, candidates));

    private CorpusSpec Write(string? passages = null, string? queries = null, string? qrels = null, string? candidates = null) =>
        new()
        {
            Name = "test",
            Passages = _folder.Write("passages.jsonl", passages ?? "{\"id\":\"p1\",\"text\":\"one\"}\n{\"id\":\"p2\",\"text\":\"two\"}\n"),
            Queries = _folder.Write("queries.jsonl", queries ?? "{\"id\":\"q1\",\"text\":\"ask\"}\n"),
            Qrels = _folder.Write("qrels.tsv", qrels ?? "q1\tp1\t1\n"),
            Candidates = _folder.Write("candidates.jsonl", candidates ?? "{\"query_id\":\"q1\",\"passage_ids\":[\"p1\"]}\n"),
        };
}
