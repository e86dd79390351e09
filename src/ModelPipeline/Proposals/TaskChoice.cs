using ModelPipeline.Core;
using ModelPipeline.Onnx;

namespace ModelPipeline.Proposals;

/// <summary>What a model is for, and which of its outputs says it.</summary>
/// <param name="Task">As in models.yaml.</param>
/// <param name="Why">A clause.</param>
internal sealed record TaskChoice(string Task, string Why)
{
    /// <summary>Label that means relevant; null where there is one alone.</summary>
    public int? Label { get; init; }

    /// <summary>Null where the model pools by itself, or for another task.</summary>
    public string? Pooling { get; init; }

    /// <summary>Null for another task than embed.</summary>
    public bool? Normalize { get; init; }

    /// <summary>What the reader should look at, a sentence each without its full stop.</summary>
    public IReadOnlyList<string> Doubts { get; init; } = [];

    private static readonly string[] Logits = ["logits", "scores", "score"];
    private static readonly string[] Vectors = ["sentence_embedding", "embeddings", "text_embeds"];

    /// <summary>Names that say nothing, as transformers gives them to labels without a name.</summary>
    private const string Nameless = "LABEL_";

    private static readonly string[] Relevant = ["relevant", "yes", "true", "positive", "1", "label_1"];

    /// <summary>By the repository's files and the outputs of the ONNX file; where they contradict each other, the outputs count.</summary>
    /// <exception cref="PipelineException">No output is an answer.</exception>
    public static TaskChoice Of(ModelFacts facts)
    {
        var outputs = facts.Outputs.Where(output => output.Type is ElementType.Float or ElementType.Float16 or ElementType.Double).ToList();
        var logits = outputs.FirstOrDefault(output => Logits.Contains(output.Name) && output.Shape.Length is 1 or 2);
        var vector = outputs.FirstOrDefault(output => Vectors.Contains(output.Name) && output.Shape.Length == 2);
        var states = outputs.FirstOrDefault(output => output.Shape.Length == 3 && !Logits.Contains(output.Name));
        if (facts.Sentence is not null && (vector ?? states) is { } embedding)
            return Embed(facts, embedding, "modules.json makes it an embedder");
        if (logits is not null)
            return Labelled(facts, logits);
        if ((vector ?? states) is { } output)
            return Embed(facts, output, $"its output {output} is no score");
        if (outputs is [{ Shape.Length: 1 or 2 } only])
            return only.Shape.Length == 1 || only.Shape[1].Value == 1 || facts.Config?.Architecture.Contains("Classification") == true
                ? Labelled(facts, only)
                : Embed(facts, only, $"its only output {only} is a vector a text");
        throw new PipelineException(
            $"{facts.Origin}: none of the outputs {string.Join(", ", facts.Outputs)} is a score, labels or an embedding"
                + $"{(outputs.Any(each => each.Shape.Length == 3) ? ": logits of every token are a language model's" : "")}. Export it "
                + $"with --task feature-extraction (embedder) or --task text-classification (reranker, classifier).",
            PipelineException.ConfigurationError
        );
    }

    private static TaskChoice Labelled(ModelFacts facts, ValueInfo output)
    {
        var labels = facts.Config?.Labels ?? [];
        var count = output.Shape.Length == 1 ? 1 : output.Shape[1].Value ?? labels.Count;
        if (count <= 1)
            return new TaskChoice("rerank", $"{output} is one score a pair");
        var names = labels.Count == count ? labels : [.. Enumerable.Range(0, (int)count).Select(id => Nameless + id)];
        var relevant = names.ToList().FindLastIndex(name => Relevant.Contains(name.ToLowerInvariant()));
        return count == 2 && relevant >= 0
            ? new TaskChoice("rerank", $"{output} has two labels, of which {names[relevant]} is taken for relevant")
            {
                Label = relevant,
                Doubts =
                [
                    $"whether label {relevant} means relevant is not said by name: the ranking tells, and 'output: {{difference: [1, 0]}}' "
                        + $"is the other way to read it; if it is a classifier, say 'task: classify'",
                ],
            }
            : new TaskChoice("classify", $"{output} has the labels {string.Join(", ", names)}")
            {
                Doubts = ["the grades of the corpus' qrels are taken for labels: check that they are this model's"],
            };
    }

    private static TaskChoice Embed(ModelFacts facts, ValueInfo output, string why)
    {
        var doubts = new List<string>();
        if (facts.Sentence?.Unsupported is { Count: > 0 } modules)
            doubts.Add($"modules.json goes on with {string.Join(", ", modules)}, which is no part of the ONNX file");
        string? pooling = null;
        if (output.Shape.Length == 3)
        {
            pooling = facts.Sentence?.Pooling;
            if (pooling is null)
                doubts.Add(
                    facts.Sentence?.PoolingProblem
                        ?? "no 1_Pooling/config.json says how token states are pooled: mean is taken; some embedders (bge, mxbai) want cls"
                );
            pooling ??= "mean";
        }
        if (facts.Prompts.Prefixes is null)
            doubts.Add(
                "no file says that texts want a prefix; if the model's card does (as \"query: \" and \"passage: \" of e5), say so by "
                    + "'prefixes'"
            );
        return new TaskChoice("embed", why)
        {
            Pooling = pooling,
            Normalize = facts.Sentence?.Normalizes ?? false,
            Doubts = doubts,
        };
    }
}
