using System.Text.RegularExpressions;
using ModelPipeline.Onnx;

namespace ModelPipeline.Toolkit;

/// <summary>Part of the model that stays in fp16: what is computed behind <see cref="From"/> up to and with <see cref="To"/>, in the toolkit's names.</summary>
public sealed record HybridSpan(string From, string To);

/// <summary>
/// A variant's <c>fp16</c> list as the pairs that the toolkit's custom_hybrid takes. An entry is one of
/// <list type="bullet">
/// <item>a value of the prepared ONNX, with * for any characters and # for a number: each matching value and the operation that computes it;</item>
/// <item><c>from -> to</c>: everything between; what * and # of the left side stand for replaces those of the right side in turn;</item>
/// <item><c>head</c>: everything behind the last LayerNorm.</item>
/// </list>
/// </summary>
public static partial class HybridPlan
{
    private const string Arrow = "->";

    /// <summary>Pairs in the order of entries and of the graph, each once.</summary>
    /// <param name="entries">As in models.yaml.</param>
    /// <param name="graph">The prepared graph.</param>
    /// <param name="tensors">Names in the toolkit's <c>.quantization.cfg</c>.</param>
    /// <exception cref="PipelineException">An entry matches nothing, or what it names was fused away.</exception>
    public static IReadOnlyList<HybridSpan> Resolve(IReadOnlyList<string> entries, Graph graph, IReadOnlyList<string> tensors)
    {
        var resolver = new Resolver(graph, new OptimisedNames(graph, tensors));
        return [.. entries.SelectMany(resolver.Spans).Distinct()];
    }

    /// <summary>Entries that keep the worst tensors of an analysis in fp16; those without a name in the prepared graph are left out.</summary>
    /// <param name="analysis">Of the quantized model.</param>
    /// <param name="graph">The prepared graph.</param>
    /// <param name="minCosine">A tensor whose own layer stays at or above this needs no fp16.</param>
    /// <param name="count">At most so many entries.</param>
    public static IReadOnlyList<string> Suggest(ErrorAnalysis analysis, Graph graph, double minCosine = 0.999, int count = 16)
    {
        var names = new OptimisedNames(graph, [.. analysis.Layers.Select(layer => layer.Name)]);
        var worst = analysis.Worst(count).Where(layer => !(layer.SingleCosine >= minCosine)).Select(layer => names.ValueOf(layer.Name)).OfType<string>().ToHashSet();
        return [.. graph.Nodes.SelectMany(node => node.Outputs).Where(worst.Contains)];
    }

    private static bool IsWildcard(char character) => character is '*' or '#';

    [GeneratedRegex(@"[*#]|[^*#]+")]
    private static partial Regex Wildcard();

    private sealed class Resolver(Graph graph, OptimisedNames names)
    {
        private readonly UseDef uses = new(graph);
        private readonly List<string> values = [.. graph.Inputs.Select(input => input.Name), .. graph.Nodes.SelectMany(node => node.Outputs)];

        public IEnumerable<HybridSpan> Spans(string entry) => entry switch
        {
            "head" => graph.Outputs.Select(output => new HybridSpan(LastNorm(), Required(entry, output.Name))),
            _ when entry.Contains(Arrow) => Between(entry),
            _ => Matching(entry),
        };

        private List<HybridSpan> Matching(string entry)
        {
            var matches = Matches(entry, entry).Select(match => match.Value).ToList();
            List<HybridSpan> spans = [.. from value in matches
                                         where uses.Producer(value) is not null
                                         let to = names.Find(value)
                                         where to is not null
                                         select new HybridSpan(Before(value, to), to)];
            return spans.Count > 0 ? spans : throw Fused(entry, string.Join("', '", matches.Take(3)));
        }

        private IEnumerable<HybridSpan> Between(string entry)
        {
            if (entry.Split(Arrow, StringSplitOptions.TrimEntries) is not [{ Length: > 0 } left, { Length: > 0 } right])
                throw new PipelineException($"fp16: '{entry}': expected two names around one {Arrow}.", PipelineException.ConfigurationError);
            if (right.Count(IsWildcard) > left.Count(IsWildcard))
                throw new PipelineException($"fp16: '{entry}': the right side has more * and # than the left one, which says what they stand for.", PipelineException.ConfigurationError);
            foreach (var match in Matches(entry, left))
            {
                var captured = 1;
                var target = string.Concat(right.Select(character => IsWildcard(character) ? match.Groups[captured++].Value : character.ToString()));
                if (!values.Contains(target))
                    throw new PipelineException($"fp16: '{entry}': the prepared model has '{match.Value}' but no '{target}'. {Nearest(target)}", PipelineException.ConfigurationError);
                yield return new HybridSpan(graph.Inputs.Any(input => input.Name == match.Value) ? match.Value : Required(entry, match.Value), Required(entry, target));
            }
        }

        private List<Match> Matches(string entry, string pattern)
        {
            var regex = new Regex($"^{Wildcard().Replace(pattern, part => part.Value switch { "*" => "(.*)", "#" => "([0-9]+)", var text => Regex.Escape(text) })}$", RegexOptions.NonBacktracking);
            var matches = values.Select(value => regex.Match(value)).Where(match => match.Success).ToList();
            return matches.Count > 0 ? matches
                : throw new PipelineException($"fp16: '{entry}' matches no value of the prepared model. {Nearest(pattern)}", PipelineException.ConfigurationError);
        }

        private string Required(string entry, string value) => names.Find(value) ?? throw Fused(entry, value);

        private string LastNorm() =>
            graph.Nodes.Reverse().Where(node => node.OpType is "Add" or "LayerNormalization" && IsNorm(node)).Select(node => names.Find(node.Output)).FirstOrDefault(name => name is not null)
            ?? throw new PipelineException("fp16: 'head' is what comes behind the last LayerNorm, and the prepared model has none: name values instead.", PipelineException.ConfigurationError);

        private bool IsNorm(Node node) =>
            node.OpType == "LayerNormalization" || node.Inputs.Any(input => uses.Producer(input) is { OpType: "Mul" } scale && scale.Inputs.Any(factor => uses.Producer(factor)?.OpType == "Div"));

        /// <summary>The nearest tensor of the toolkit that a value is computed from; a model input if there is none.</summary>
        private string Before(string value, string to)
        {
            var queue = new Queue<string>([value]);
            var seen = new HashSet<string>();
            var source = graph.Inputs[0].Name;
            while (queue.TryDequeue(out var current))
            {
                if (current != value && names.Find(current) is { } name && name != to && uses.Constant(current) is null)
                    return name;
                if (uses.Producer(current) is not { } producer)
                {
                    if (graph.Inputs.Any(input => input.Name == current))
                        source = current;
                    continue;
                }
                foreach (var input in producer.Inputs.Where(input => input.Length > 0 && uses.Constant(input) is null && seen.Add(input)))
                    queue.Enqueue(input);
            }
            return source;
        }

        private string Nearest(string pattern)
        {
            var words = pattern.Split('*', '#', '/').Where(word => word.Length > 2).ToList();
            var near = values.OrderByDescending(value => words.Count(word => value.Contains(word, StringComparison.OrdinalIgnoreCase))).Take(3);
            return $"Near are '{string.Join("', '", near)}'; names are those of the file in the folder 'prepared'.";
        }

        private static PipelineException Fused(string entry, string value) => new(
            $"fp16: '{entry}': the toolkit fused '{value}' into an operation around it, so it is no tensor of its own there: name the value behind it.",
            PipelineException.ConfigurationError);
    }
}
