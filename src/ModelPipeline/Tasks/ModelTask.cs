using System.Text.Json;
using System.Text.Json.Serialization;
using ModelPipeline.Core;
using ModelPipeline.Inspection;
using ModelPipeline.Metrics;
using ModelPipeline.Text;

namespace ModelPipeline.Tasks;

/// <summary>
/// A kind of task: which texts are scored, which output says what, the figures it is judged by, and the words for it. A file each;
/// <see cref="All"/> is the whole list.
/// </summary>
[JsonConverter(typeof(ByName))]
public abstract class ModelTask
{
    public static ModelTask Rerank { get; } = new RerankTask();

    public static ModelTask Embed { get; } = new EmbedTask();

    /// <summary>In the order of models.schema.json.</summary>
    public static IReadOnlyList<ModelTask> All { get; } = [Rerank, Embed, new ClassifyTask()];

    /// <summary>As in models.yaml.</summary>
    public abstract string Name { get; }

    /// <summary>What such a model is, with a capital.</summary>
    public abstract string Noun { get; }

    /// <summary>The task's name on model hubs: pipeline_tag of the card.</summary>
    public abstract string HubTag { get; }

    /// <summary>What it does, as a sentence of the model card.</summary>
    public abstract string Description { get; }

    /// <summary>A row of tokens in BERT's notation, for the model card.</summary>
    public abstract string Row { get; }

    /// <summary>What to do with an output, as a sentence of the model card.</summary>
    /// <param name="answer">Which output is read, and how; null where nothing is known of it.</param>
    internal abstract string Usage(Answer? answer);

    /// <summary>What its variables in production.env begin with, unless models.yaml names them.</summary>
    public abstract string Variable { get; }

    /// <summary>Each query is scored with each of its candidates; else each passage alone.</summary>
    public abstract bool TakesPairs { get; }

    /// <summary>Names of the figures on accuracy that <see cref="Measure"/> gives.</summary>
    public abstract IReadOnlyList<string> Metrics { get; }

    /// <summary>Those of them that tables with little room show, the two most telling ones first.</summary>
    public abstract IReadOnlyList<string> Headline { get; }

    /// <summary>What a new model's gates ask to begin with.</summary>
    internal abstract FirstGates FirstGates { get; }

    /// <summary>Which of a model's outputs is its answer, and how it is read; null, with the reason noted, if none is.</summary>
    internal abstract Answer? Choose(OutputChoice choice, InspectionNotes notes);

    /// <summary>Figures of a variant's outputs against fp32's. Give fp32's own as outputs for its own figures.</summary>
    /// <param name="order">The texts.</param>
    /// <param name="reference">fp32's, one an element of <see cref="ScoringOrder.Texts"/>.</param>
    /// <param name="outputs">The variant's, likewise.</param>
    /// <exception cref="PipelineException">An output is not finite, or there are not as many as texts.</exception>
    internal abstract TaskFigures Measure(ScoringOrder order, IReadOnlyList<float[]> reference, IReadOnlyList<float[]> outputs);

    /// <summary>Its outputs put a query's candidates in an order, so that <see cref="Baselines"/> has something to say.</summary>
    internal virtual bool Ranks => false;

    /// <summary>The figures of parts of the texts; none for a task that has none.</summary>
    internal virtual IReadOnlyList<SliceFigures> Slices(
        ScoringOrder order,
        IReadOnlyList<float[]> reference,
        IReadOnlyList<float[]> outputs
    ) => [];

    /// <summary>fp32's ranking beside those that need no model; null for a task that ranks nothing.</summary>
    /// <param name="corpus">Of the queries.</param>
    /// <param name="order">The texts.</param>
    /// <param name="reference">fp32's outputs, one an element of <see cref="ScoringOrder.Texts"/>.</param>
    internal virtual RankingBaselines? Baselines(Corpus corpus, ScoringOrder order, IReadOnlyList<float[]> reference) => null;

    /// <summary>On what it was validated, in words: "1,070 candidates of 107 queries".</summary>
    public abstract string Counted(TaskFigures figures);

    /// <summary>The task of that name.</summary>
    /// <exception cref="PipelineException">There is none; the message lists what there is.</exception>
    public static ModelTask Named(string name) =>
        All.FirstOrDefault(task => task.Name == name)
        ?? throw new PipelineException(
            $"Unknown task '{name}'. Use one of {string.Join(", ", All.Select(task => task.Name))}.",
            PipelineException.ConfigurationError
        );

    public static implicit operator string(ModelTask task) => task.Name;

    public override string ToString() => Name;

    private sealed class ByName : JsonConverter<ModelTask>
    {
        public override ModelTask Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
        {
            var name = reader.GetString();
            return All.FirstOrDefault(task => task.Name == name) ?? throw new JsonException($"no task is called '{name}'");
        }

        public override void Write(Utf8JsonWriter writer, ModelTask value, JsonSerializerOptions options) =>
            writer.WriteStringValue(value.Name);
    }
}

/// <summary>Limits that hold for most models that are well made: users set their own by what the report shows.</summary>
/// <param name="Metric">How far a variant does as fp32 does.</param>
/// <param name="Fp16">Least for fp16.</param>
/// <param name="Int8">Least for int8, on the NPU and on the CPU.</param>
/// <param name="Judged">How well a variant does where somebody judged, which may fall by 0.02; null if the task has no such figure.</param>
internal sealed record FirstGates(string Metric, double Fp16, double Int8, string? Judged);

/// <summary>What a task's outputs are worth, and where that comes from.</summary>
/// <param name="Figures">By metric name.</param>
public sealed record TaskFigures(IReadOnlyDictionary<string, double> Figures)
{
    /// <summary>These, and further figures of the same outputs.</summary>
    internal TaskFigures With(IReadOnlyDictionary<string, Sample> samples) =>
        this with
        {
            Figures = Figure.Set(
                Figures
                    .Select(figure => KeyValuePair.Create(figure.Key, (double?)figure.Value))
                    .Concat(samples.Select(sample => KeyValuePair.Create(sample.Key, (double?)sample.Value.Figure)))
            ),
            Samples = Samples.Concat(samples).ToDictionary(),
        };

    /// <summary>The figures that are of queries or texts, as what each of these adds to them, by metric name.</summary>
    internal IReadOnlyDictionary<string, Sample> Samples { get; init; } = new Dictionary<string, Sample>();

    /// <summary>Rankings: query by query.</summary>
    public IReadOnlyList<QueryFigures> Queries { get; init; } = [];

    /// <summary>Embeddings: text by text.</summary>
    public IReadOnlyList<TextFigures> Texts { get; init; } = [];

    /// <summary>Classes: label by label.</summary>
    public IReadOnlyList<ClassFigures> Classes { get; init; } = [];
}
