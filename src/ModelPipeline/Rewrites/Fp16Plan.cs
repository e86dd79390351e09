using System.Text.RegularExpressions;
using ModelPipeline.Core;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Patterns;

namespace ModelPipeline.Rewrites;

/// <summary>
/// Which tensors of a w8a8 build stay fp16, in names of the prepared graph. Entries come from the variant's <c>fp16</c> list and from
/// passes, which leave theirs in the model's metadata. An entry is a value with * for any characters and # for a number; <c>from -> to</c>,
/// everything computed behind the one up to and with the other, where what * and # of the left side stand for replaces those of the right
/// side in turn; or <c>head</c>, everything behind the last LayerNorm.
/// </summary>
public static partial class Fp16Plan
{
    /// <summary>Metadata entry of a prepared model: plan entries, one a line.</summary>
    private const string MetadataKey = "modelpipeline.fp16";
    private const string Arrow = "->";

    /// <summary>The entries that passes left.</summary>
    public static IReadOnlyList<string> OfModel(OnnxModel model) =>
        model.Metadata.TryGetValue(MetadataKey, out var entries) ? entries.Split('\n', StringSplitOptions.RemoveEmptyEntries) : [];

    internal static OnnxModel Add(OnnxModel model, IEnumerable<string> entries) =>
        model.WithMetadata((MetadataKey, string.Join('\n', OfModel(model).Union(entries))));

    /// <summary>The values that the entries keep in fp16: points of <paramref name="fused"/>, and what is laid out or fused behind named
    /// ones.</summary>
    /// <exception cref="PipelineException">An entry names nothing; exit code 2.</exception>
    internal static IReadOnlySet<string> Resolve(IEnumerable<string> entries, Graph graph, FusedOperators fused)
    {
        var matches = new Lazy<PatternMatches>(() => PatternMatches.Of(graph));
        return entries.SelectMany(Values).ToHashSet();

        IEnumerable<string> Values(string entry) =>
            Float16Class.All.FirstOrDefault(each => each.Name == entry) is { } known
                ? known.Values(matches.Value)
                : Spans(entry, graph, fused).SelectMany(span => span.From is null ? [span.To] : Between(span.From, span.To));

        IEnumerable<string> Between(string from, string to)
        {
            var behind = new HashSet<string> { from };
            foreach (var node in graph.Nodes.Where(node => node.Inputs.Any(behind.Contains)))
                behind.UnionWith(node.Outputs);
            behind.Remove(from);
            var before = new HashSet<string> { to };
            foreach (var node in graph.Nodes.Reverse().Where(node => node.Outputs.Any(before.Contains)))
                before.UnionWith(node.Inputs);
            return fused.Points.Where(point => behind.Contains(point) && before.Contains(point));
        }
    }

    /// <summary>What an entry names: all behind From up to and with To, or the operation that computes To alone if From is null.</summary>
    /// <exception cref="PipelineException">It names nothing; exit code 2.</exception>
    internal static IReadOnlyList<(string? From, string To)> Spans(string entry, Graph graph, FusedOperators fused)
    {
        if (entry == "head")
            return
            [
                .. graph.Outputs.Select(output => (From: fused.LastNorm ?? throw Wrong(entry, "there is no LayerNorm"), To: output.Name)),
            ];
        if (!entry.Contains(Arrow))
            return !fused.Points.Contains(entry) && graph.Nodes.Any(node => node.Outputs.Contains(entry))
                ? [(null, entry)]
                : [.. Matches(entry, entry, fused.Points).Select(match => ((string?)null, match.Value))];
        if (entry.Split(Arrow, StringSplitOptions.TrimEntries) is not [{ Length: > 0 } from, { Length: > 0 } to])
            throw Wrong(entry, $"two names belong around one {Arrow}");
        if (Wildcards(to) > Wildcards(from))
            throw Wrong(entry, "the right side has more * and # than the left one, which says what they stand for,");
        List<string> values = [.. graph.Inputs.Select(input => input.Name), .. graph.Nodes.SelectMany(node => node.Outputs)];
        return [.. Matches(entry, from, values).Select(match => (match.Value, Target(match)))];

        string Target(Match match)
        {
            var captured = 1;
            var target = Wildcard().Replace(to, part => part.Value is "*" or "#" ? match.Groups[captured++].Value : part.Value);
            return values.Contains(target) ? target : throw Wrong(entry, $"there is '{match.Value}' but no '{target}'");
        }
    }

    private static int Wildcards(string pattern) => pattern.Count(character => character is '*' or '#');

    private static List<Match> Matches(string entry, string pattern, IReadOnlyList<string> names)
    {
        var parts = Wildcard()
            .Replace(
                pattern,
                part =>
                    part.Value switch
                    {
                        "*" => "(.*)",
                        "#" => "([0-9]+)",
                        var text => Regex.Escape(text),
                    }
            );
        var regex = new Regex($"\\A{parts}\\z", RegexOptions.NonBacktracking);
        var matches = names.Select(name => regex.Match(name)).Where(match => match.Success).ToList();
        return matches.Count > 0 ? matches : throw Wrong(entry, $"no tensor is called '{pattern}'");
    }

    private static PipelineException Wrong(string entry, string reason) =>
        new($"fp16: '{entry}': {reason} in the prepared model; quantization.json lists its tensors", PipelineException.ConfigurationError);

    [GeneratedRegex("[*#]|[^*#]+")]
    private static partial Regex Wildcard();
}
