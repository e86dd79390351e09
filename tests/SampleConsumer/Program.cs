using System.Globalization;
using System.Reflection;
using System.Text.Json;
using SampleConsumer;

if (args is not [var query, ..])
{
    Console.Error.WriteLine(
        "Expected a question, and perhaps passages to rank:  "
            + """dotnet run --project tests/SampleConsumer -- "Why is the sky blue?" ["passage" ...]"""
    );
    return 2;
}
const int Shown = 5;
var model = typeof(Reranker).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(entry => entry.Key == "Model").Value!;
string[] passages =
    args.Length > 1 ? args[1..] : [.. File.ReadLines(Path.Combine(AppContext.BaseDirectory, "passages.jsonl")).Select(Text)];

using var reranker = new Reranker(Path.Combine(AppContext.BaseDirectory, "models", model), "cpu-int8");
var ranked = reranker.Score(query, passages).Zip(passages).OrderByDescending(pair => pair.First).Take(Shown);
foreach (var (rank, (score, passage)) in ranked.Index())
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{rank + 1}. {score, 7:F3}  {passage}"));
return 0;

static string Text(string line)
{
    using var passage = JsonDocument.Parse(line);
    return passage.RootElement.GetProperty("text").GetString()!;
}
