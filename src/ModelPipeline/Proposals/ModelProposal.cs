using System.Globalization;
using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Metrics;
using ModelPipeline.Reports;
using ModelPipeline.Tasks;

namespace ModelPipeline.Proposals;

/// <summary>An entry of models.yaml for a model: values, and the words that explain them.</summary>
/// <param name="Facts">What was found out.</param>
/// <param name="Choice">What it is for.</param>
/// <param name="Corpus">What it is calibrated and validated on.</param>
/// <param name="Lengths">Of the corpus' texts.</param>
internal sealed record ModelProposal(ModelFacts Facts, TaskChoice Choice, CorpusFacts Corpus, LengthFacts Lengths)
{
    /// <summary>Shapes are multiples of this.</summary>
    private const int Step = 32;

    /// <summary>A longer shape costs more than the few texts that it would take whole, unless models.yaml asks for it.</summary>
    private const int LongestShape = 512;

    /// <summary>Calibration samples: more change int8's ranges little.</summary>
    private const int MostSamples = 200;

    /// <summary>Tokens of the only shape: what 99 of 100 texts need, as far as the model reaches.</summary>
    public int Tokens =>
        Math.Max(
            Math.Min((Lengths.Share99 + Step - 1) / Step * Step, Math.Min(LongestShape, (Facts.MostTokens ?? LongestShape) / 8 * 8)),
            8
        );

    /// <summary>Of gates on accuracy: a figure that other queries might turn does not pass.</summary>
    private const double Confidence = 0.95;

    /// <summary>Of fewer queries or texts, intervals are too wide to pass by.</summary>
    private const int FewestUnits = 30;

    /// <summary>What whoever reads the entry should look at.</summary>
    public IReadOnlyList<string> Doubts =>
        HasConfidence
            ? Choice.Doubts
            :
            [
                .. Choice.Doubts,
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"gates judge figures over {Lengths.Units} {Metric.Named(Task.FirstGates.Metric).Units} without asking what chance has "
                        + $"to do with them; with {FewestUnits} or more of them, give gates 'confidence: {Confidence}'"
                ),
            ];

    private bool HasConfidence => Lengths.Units >= FewestUnits;

    private ModelTask Task => ModelTask.Named(Choice.Task);

    public int Samples => Math.Min(MostSamples, Lengths.Count);

    /// <summary>The backend of NPU variants that runs here.</summary>
    public string Backend => Facts.HasToolkit ? "rknn" : "simulator";

    /// <summary>The entry's text, to stand below <c>models:</c>.</summary>
    /// <param name="folder">Of models.yaml, which paths are relative to.</param>
    public string Entry(string folder) =>
        Template.Text(
            "models-entry.yaml",
            new
            {
                Origin = Comment(Facts.Origin),
                Facts.Name,
                Choice.Task,
                Why = Comment(Choice.Why),
                Doubts = Doubts.Select(Comment),
                Licence = Facts.Licence is { } licence ? YamlText.Scalar(licence) : "",
                Source = Lines(Facts.Source, folder),
                Tokenizer = Facts.Tokenizer.Files.Select(file => new { file.Key, Lines = Lines(file.Source, folder) }),
                Kind = Comment(Facts.Tokenizer.Kind),
                Prefixes = Facts.Prompts.Prefixes is { } prefixes && !Task.TakesPairs
                    ? $"{{ query: {YamlText.Quoted(prefixes.Query)}, passage: {YamlText.Quoted(prefixes.Passage)} }}"
                    : "",
                Output = Choice.Label is { } label ? $"{{ label: {label} }}" : "",
                Pooling = Choice.Pooling ?? "",
                Normalize = Choice.Normalize switch
                {
                    true => "true",
                    false => "false",
                    null => "",
                },
                Tokens,
                Lengths = Length(),
                Corpus = YamlText.Scalar(Corpus.Name),
                Described = Comment(Corpus.Described),
                Corpus.IsJudged,
                Samples,
                Backend,
                IsReal = Facts.HasToolkit,
                Gates = Gates(),
            }
        );

    private string Length()
    {
        var text = string.Create(
            CultureInfo.InvariantCulture,
            $"{(Task.TakesPairs ? "Pairs" : "Texts")} of the corpus have {Lengths.Median} tokens in the middle, {Lengths.Share99} "
                + $"at 99 %, {Lengths.Longest} at most"
        );
        return Facts.MostTokens is { } most ? $"{text}; the model takes {most}" : text;
    }

    /// <summary>Limits of each variant, fp16 first: what keeps an order or a direction, and how well it does where somebody
    /// judged.</summary>
    private IReadOnlyList<object> Gates()
    {
        var gates = Task.FirstGates;
        var confidence = HasConfidence ? string.Create(CultureInfo.InvariantCulture, $", confidence: {Confidence}") : "";
        return
        [
            .. new[] { gates.Fp16, gates.Int8, gates.Int8 }.Select(limit => new
            {
                Limit = string.Create(CultureInfo.InvariantCulture, $"{gates.Metric}: {{ min: {limit}{confidence} }}"),
                Judged = Corpus.IsJudged && gates.Judged is { } judged ? $"{judged}: {{ max_drop: 0.02{confidence} }}" : "",
            }),
        ];
    }

    /// <summary>A source in block form, a line each, without indentation.</summary>
    private static IReadOnlyList<string> Lines(SourceSpec source, string folder)
    {
        var where = source.HuggingFace is { } hub
            ? $"huggingface: {{ repo: {hub.Repo}, revision: {YamlText.Scalar(hub.Revision)}, file: {YamlText.Scalar(hub.File)} }}"
            : $"file: {YamlText.Scalar(PathFrom(folder, source.File!))}";
        return [where, $"sha256: {YamlText.Scalar(source.Sha256!)}"];
    }

    /// <summary>Relative within the folder, else absolute.</summary>
    private static string PathFrom(string folder, string path) =>
        Path.GetRelativePath(folder, path) is var relative && !relative.StartsWith("..", StringComparison.Ordinal)
            ? relative.Replace('\\', '/')
            : path;

    /// <summary>On one line.</summary>
    private static string Comment(string text) => string.Concat(text.Select(letter => char.IsControl(letter) ? ' ' : letter));
}
