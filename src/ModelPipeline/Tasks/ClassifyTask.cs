using ModelPipeline.Core;
using ModelPipeline.Inspection;
using ModelPipeline.Metrics;

namespace ModelPipeline.Tasks;

/// <summary>What one label says about a classifier.</summary>
/// <param name="Label">Index of the logit.</param>
/// <param name="Judged">Pairs that have it by the judgements.</param>
/// <param name="Given">Judged pairs that the variant gives it.</param>
/// <param name="Right">Those of them that have it.</param>
[OneLine]
public sealed record ClassFigures(int Label, int Judged, int Given, int Right)
{
    /// <summary>Harmonic mean of precision and recall, 0 to 1; 0 where nothing is right.</summary>
    public double F1 => Right == 0 ? 0 : 2.0 * Right / (Judged + Given);
}

/// <summary>A classifier of pairs: a logit a label. The label of a pair is its grade in the corpus' qrels; what is not judged counts for
/// agreement alone.</summary>
internal sealed class ClassifyTask : ModelTask
{
    public override string Name => "classify";

    public override string Noun => "Classifier";

    public override string HubTag => "text-classification";

    public override string Description => "A classifier that gives a pair of texts one of its labels: a logit a label, the largest wins.";

    public override string Row => "`[CLS] query [SEP] passage [SEP]`";

    internal override string Usage(Answer? answer) => "The output is one float a label: take the label of the largest.";

    public override string Variable => "CLASSIFY";

    public override bool TakesPairs => true;

    public override IReadOnlyList<string> Metrics =>
        [Metric.Accuracy, Metric.MacroF1, Metric.LabelAgreement, Metric.MaxScoreDifference, Metric.MeanScoreDifference];

    public override IReadOnlyList<string> Headline => [Metric.Accuracy, Metric.MacroF1];

    internal override FirstGates FirstGates => new(Metric.LabelAgreement, 0.98, 0.9, Metric.Accuracy);

    internal override Answer? Choose(OutputChoice choice, InspectionNotes notes) => ClassifyAnswer.Choose(choice, notes);

    internal override TaskFigures Measure(ScoringOrder order, IReadOnlyList<float[]> reference, IReadOnlyList<float[]> outputs)
    {
        Require(order, reference, "fp32");
        Require(order, outputs, "the variant");
        int[] given = [.. outputs.Select(Label)];
        var judged = order
            .Pairs.Index()
            .Where(pair => pair.Item.Grade is not null)
            .Select(pair => (Truth: pair.Item.Grade!.Value, Given: given[pair.Index]))
            .ToList();
        var classes = Enumerable
            .Range(0, outputs[0].Length)
            .Select(label => new ClassFigures(
                label,
                judged.Count(pair => pair.Truth == label),
                judged.Count(pair => pair.Given == label),
                judged.Count(pair => pair == (label, label))
            ))
            .ToList();
        var differences = outputs
            .Zip(reference)
            .SelectMany(pair => pair.First.Zip(pair.Second, (own, fp32) => Math.Abs((double)own - fp32)))
            .ToList();
        return new(
            Figure.Set(
                KeyValuePair.Create(
                    Metric.Accuracy,
                    judged.Count == 0 ? null : (double?)judged.Average(pair => pair.Truth == pair.Given ? 1 : 0)
                ),
                KeyValuePair.Create(Metric.MacroF1, classes.Where(each => each.Judged > 0).Average(each => (double?)each.F1)),
                KeyValuePair.Create(
                    Metric.LabelAgreement,
                    (double?)reference.Select(Label).Zip(given, (fp32, own) => fp32 == own ? 1 : 0).Average()
                ),
                KeyValuePair.Create(Metric.MaxScoreDifference, (double?)differences.Max()),
                KeyValuePair.Create(Metric.MeanScoreDifference, (double?)differences.Average())
            )
        )
        {
            Classes = classes,
            Samples = Samples(order, [.. reference.Select(Label)], given, classes),
        };
    }

    /// <summary>By queries, whose pairs are no independent ones; accuracy and agreement are ratios of sums, macro F1 is linear in what each
    /// query adds to the counts.</summary>
    private static Dictionary<string, Sample> Samples(ScoringOrder order, int[] reference, int[] given, IReadOnlyList<ClassFigures> classes)
    {
        var queries = order.Pairs.Index().GroupBy(pair => pair.Item.Query).Select(query => query.ToList()).ToList();
        double[] pairs = [.. queries.Select(query => (double)query.Count)];
        double[] judged = [.. queries.Select(query => (double)query.Count(pair => pair.Item.Grade is not null))];
        var samples = new Dictionary<string, Sample>
        {
            [Metric.LabelAgreement] = new(
                [.. queries.Select(query => (double)query.Count(pair => reference[pair.Index] == given[pair.Index]))],
                pairs
            ),
        };
        if (judged.Sum() == 0)
            return samples;
        samples[Metric.Accuracy] = new(
            [.. queries.Select(query => (double)query.Count(pair => pair.Item.Grade == given[pair.Index]))],
            judged
        );
        var judgedClasses = classes.Where(each => each.Judged > 0).ToList();
        samples[Metric.MacroF1] = Sample.Linear(
            judgedClasses.Average(each => each.F1),
            queries.Select(query => queries.Count * judgedClasses.Average(each => Added(each, query)))
        );
        return samples;

        // The derivative of 2 right / (judged + given) by the query's share in the three.
        double Added(ClassFigures each, List<(int Index, (string Query, string Passage, int? Grade) Item)> query)
        {
            var own = query.Where(pair => pair.Item.Grade is not null).ToList();
            var right = own.Count(pair => pair.Item.Grade == each.Label && given[pair.Index] == each.Label);
            var counted = own.Count(pair => pair.Item.Grade == each.Label) + own.Count(pair => given[pair.Index] == each.Label);
            return ((2 * right) - (each.F1 * counted)) / (each.Judged + each.Given);
        }
    }

    public override string Counted(TaskFigures figures) =>
        FormattableString.Invariant($"{figures.Classes.Sum(each => each.Judged):N0} judged pairs with {figures.Classes.Count} labels");

    /// <summary>The first of the largest logits.</summary>
    private static int Label(float[] logits) => Array.IndexOf(logits, logits.Max());

    private static void Require(ScoringOrder order, IReadOnlyList<float[]> outputs, string whose)
    {
        if (order.Pairs.Count == 0)
            throw new PipelineException("The validation corpus has no pairs. Give it queries with candidates.");
        order.RequireFinite(whose, outputs);
        foreach (var (i, (query, passage, grade)) in order.Pairs.Index())
        {
            if (outputs[i].Length < 2)
                throw new PipelineException(
                    $"The output of {whose} has {outputs[i].Length} number a pair: a classifier has a logit a label, at least two."
                );
            if (grade >= outputs[i].Length || grade < 0)
                throw new PipelineException(
                    $"The qrels give query {query}, passage {passage} the label {grade}, but the model has {outputs[i].Length}, from 0.",
                    PipelineException.ConfigurationError
                );
        }
    }
}
