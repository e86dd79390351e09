using System.Globalization;

namespace ModelPipeline.Benchmarks;

/// <summary>Options of the form <c>--name=value</c>; the defaults are the sample model and corpus of the repository.</summary>
internal sealed class Arguments
{
    private static readonly string[] Names = ["model", "vocab", "corpus", "pairs", "queries", "sequence"];
    private readonly Dictionary<string, string> values = [];

    public Arguments(IEnumerable<string> arguments)
    {
        foreach (var argument in arguments)
        {
            var cells = argument.Split('=', 2);
            if (cells.Length != 2 || !cells[0].StartsWith("--", StringComparison.Ordinal) || !Names.Contains(cells[0][2..]))
                throw new PipelineException($"'{argument}' is not an option; known are {string.Join(", ", Names.Select(name => $"--{name}=..."))}.");
            values[cells[0][2..]] = cells[1];
        }
    }

    public string Model => values.GetValueOrDefault("model", Sample("tiny-reranker/model.onnx"));

    public string Vocabulary => values.GetValueOrDefault("vocab", Sample("tiny-reranker/vocab.txt"));

    /// <summary>A folder of queries.jsonl, passages.jsonl, qrels.tsv and candidates.jsonl.</summary>
    public string Corpus => values.GetValueOrDefault("corpus", Sample("corpus"));

    /// <summary>A file of tokenized pairs instead of a corpus: query id, passage id, then ids, mask and types, separated by spaces.</summary>
    public string? Pairs => values.GetValueOrDefault("pairs");

    public int Queries => Number("queries", 20);

    public int Sequence => Number("sequence", 128);

    private int Number(string name, int otherwise) =>
        !values.TryGetValue(name, out var text) ? otherwise
        : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number > 0 ? number
        : throw new PipelineException($"--{name}={text}: expected a positive number.");

    private static string Sample(string name)
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "ModelPipeline.sln")))
            folder = Path.GetDirectoryName(folder) ?? throw new PipelineException("Not inside the repository: name --model, --vocab and --corpus.");
        return Path.Combine(folder, "pipeline", "sample", name);
    }
}
