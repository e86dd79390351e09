using System.Globalization;
using System.Text.Json.Serialization;
using ModelPipeline.Core;
using ModelPipeline.Latency;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Tasks;
using ModelPipeline.Validation;

namespace ModelPipeline.Decision;

/// <summary>Why one validated artifact was or was not chosen.</summary>
/// <param name="Variant">Its name in models.yaml.</param>
/// <param name="Shape">As in file names: 1x128.</param>
/// <param name="Artifact">Its file name.</param>
/// <param name="Chosen">Production runs it; only artifacts of one variant are chosen.</param>
/// <param name="Reasons">At least one, each a sentence without its full stop.</param>
public sealed record VariantVerdict(string Variant, string Shape, string Artifact, bool Chosen, IReadOnlyList<string> Reasons);

/// <summary>What production should run: the content of decision.json.</summary>
/// <param name="Model">Its name in models.yaml.</param>
/// <param name="Version">Of what was validated.</param>
/// <param name="Winner">The NPU artifact to run, of several shapes the largest; null sends production to the CPU.</param>
/// <param name="Serve">The file to load: the winner or, on the CPU, the first of its variants that passes its accuracy gates; null if
/// nothing passes.</param>
/// <param name="Buckets">Which artifact takes which lengths, ascending, the last one the winner; empty without one.</param>
/// <param name="CorePlan">Cores and contexts to run them on; null without a winner.</param>
/// <param name="Variants">In the order they were considered.</param>
/// <param name="Environment">The content of production.env, sorted by key.</param>
public sealed record ProductionDecision(
    string Model,
    string Version,
    string? Winner,
    string? Serve,
    IReadOnlyList<LengthBucket> Buckets,
    string? CorePlan,
    IReadOnlyList<VariantVerdict> Variants,
    IReadOnlyDictionary<string, string> Environment
)
{
    /// <summary>The paragraph that everything opens with: what to run, where, at which lengths, what it costs, against what, and what would
    /// change it. Empty in files of versions that had none.</summary>
    [JsonPropertyOrder(-1)]
    public string Advice { get; init; } = "";

    /// <summary>
    /// The first NPU variant wins that passes every gate on its accuracy and size at every shape, and as its shapes serve the corpus
    /// together, and whose p95 over the corpus' passages, measured on a device, is within the limit.
    /// CPU variants and simulated ones never win, nor does one without an accuracy gate: nothing would vouch for it.
    /// </summary>
    /// <param name="model">Whose decision settings apply.</param>
    /// <param name="reports">Of the model's variants, in the order of models.yaml.</param>
    /// <param name="routings">Of the same variants.</param>
    /// <param name="plan">What a plan adds to the advice; null without one.</param>
    /// <exception cref="PipelineException">A variable cannot be written to an environment file.</exception>
    public static ProductionDecision Make(
        ModelSpec model,
        IReadOnlyList<ValidationReport> reports,
        IReadOnlyList<VariantRouting> routings,
        PlanAdvice? plan = null
    )
    {
        var candidates = Candidates(model, reports, routings);
        var winner = candidates.FirstOrDefault(candidate => candidate.Passes);
        var served = winner?.Routing;
        var serve = served?.Largest ?? candidates.FirstOrDefault(candidate => candidate.Serves)?.Routing.Largest;
        var variables = EnvironmentFile.Defaults(ModelTask.Named(model.Task).Variable, served is not null, serve);
        return new(
            model.Name,
            model.Version,
            served?.Largest,
            serve,
            served?.Buckets ?? [],
            served?.CorePlan,
            [.. candidates.SelectMany(candidate => candidate.Verdicts(winner))],
            EnvironmentFile.Resolve((winner is null ? model.Decision.Cpu : model.Decision.Npu) ?? variables, serve, served)
        )
        {
            Advice = AdviceOn(model, reports, candidates, plan),
        };
    }

    /// <summary>The advice alone: for pages that are written before there is a decision.</summary>
    /// <inheritdoc cref="Make"/>
    public static string AdviceOn(
        ModelSpec model,
        IReadOnlyList<ValidationReport> reports,
        IReadOnlyList<VariantRouting> routings,
        PlanAdvice? plan = null
    ) => AdviceOn(model, reports, Candidates(model, reports, routings), plan);

    private static string AdviceOn(ModelSpec model, IReadOnlyList<ValidationReport> reports, Candidate[] candidates, PlanAdvice? plan)
    {
        var winner = candidates.FirstOrDefault(candidate => candidate.Passes);
        var chosen = winner ?? candidates.FirstOrDefault(candidate => candidate.Serves);
        var choice = new Choice(reports, chosen?.Reports ?? [], chosen?.Routing, winner is not null, model.Decision.LatencyP95Ms);
        return Decision.Advice.Of(choice, plan);
    }

    private static Candidate[] Candidates(
        ModelSpec model,
        IReadOnlyList<ValidationReport> reports,
        IReadOnlyList<VariantRouting> routings
    ) =>
        [
            .. reports
                .GroupBy(report => report.Subject.Variant)
                .Select(variant =>
                    Candidate.Of([.. variant], routings.Single(routing => routing.Variant == variant.Key), model.Decision.LatencyP95Ms)
                ),
        ];

    /// <summary>One variant at all its shapes.</summary>
    /// <param name="Reports">One a shape.</param>
    /// <param name="Routing">Of all shapes together.</param>
    /// <param name="Objections">To each of the reports.</param>
    /// <param name="Common">Objections to the variant as a whole.</param>
    /// <param name="Praise">What speaks for it if nothing speaks against it.</param>
    private sealed record Candidate(
        IReadOnlyList<ValidationReport> Reports,
        VariantRouting Routing,
        IReadOnlyList<IReadOnlyList<string>> Objections,
        IReadOnlyList<string> Common,
        string Praise
    )
    {
        /// <summary>Whether the CPU can serve with it: it is made for the CPU, and passes its accuracy gates.</summary>
        public bool Serves => Reports[0].Subject.Backend == Backend.Onnx && Objections.All(each => each.Count == 0);

        public bool Passes => Common.Count == 0 && Objections.All(each => each.Count == 0);

        public static Candidate Of(IReadOnlyList<ValidationReport> reports, VariantRouting routing, double limit)
        {
            IReadOnlyList<IReadOnlyList<string>> objections = [.. reports.Select(Against)];
            if (reports[0].Subject.Backend == Backend.Onnx)
            {
                var falls = objections.All(each => each.Count == 0) ? ": it is what production falls back to" : "";
                return new(reports, routing, objections, [$"runs on the CPU{falls}"], "");
            }
            var several = reports.Count > 1;
            List<string> common =
            [
                .. routing
                    .Gates.Where(gate => several && gate.Result != GateResult.Passed)
                    .Select(gate => $"served by length, {gate.Statement}"),
            ];
            // The decision's own limit is a gate like any other: judged on a device or not at all.
            var figures = several ? routing.Figures : reports[0].Figures;
            var latency = Gate.Judge(
                new(Metric.LatencyP95Ms, null, limit, null),
                figures,
                reports[0].Reference,
                reports[0].Subject.OnDevice
            );
            if (latency.Result != GateResult.Passed)
                common.Add(several ? $"served by length, {latency.Statement}" : latency.Statement);
            return new(
                reports,
                routing,
                objections,
                common,
                latency.Result != GateResult.Passed
                    ? ""
                    : string.Create(
                        CultureInfo.InvariantCulture,
                        $"passes its accuracy gates and its p95 of {figures[Metric.LatencyP95Ms]:F1} ms a passage, measured on "
                            + $"{reports[0].Subject.Device}, is within {limit:0.###} ms"
                    )
            );
        }

        public IEnumerable<VariantVerdict> Verdicts(Candidate? winner) =>
            Reports.Zip(
                Objections,
                (report, own) =>
                {
                    var subject = report.Subject;
                    var chosen = this == winner && Routing.Buckets.Any(bucket => bucket.Artifact == subject.Artifact);
                    IReadOnlyList<string> reasons = (own, Common, Passes) switch
                    {
                        ([_, ..], _, _) or (_, [_, ..], _) => [.. own, .. Common],
                        (_, _, false) => ["another shape of this variant does not pass"],
                        _ when chosen => [Praise],
                        _ when this == winner => ["a longer shape of this variant is as fast"],
                        _ => [$"{Praise}, but {winner!.Routing.Largest} comes first in models.yaml"],
                    };
                    return new VariantVerdict(subject.Variant, subject.Shape, subject.Artifact, chosen, reasons);
                }
            );

        private static IReadOnlyList<string> Against(ValidationReport report)
        {
            List<string> objections = [];
            if (report.Subject.Simulated)
                objections.Add("its figures come from a simulator, and nothing simulated goes into production");
            var gates = report.Gates.Where(gate => Metric.Named(gate.Metric).Kind != MetricKind.Latency).ToArray();
            objections.AddRange(gates.Where(gate => gate.Result != GateResult.Passed).Select(gate => gate.Statement));
            if (!gates.Any(gate => Metric.Named(gate.Metric).Kind == MetricKind.Accuracy))
                objections.Add("it declares no accuracy gate, so nothing vouches for its results");
            return objections;
        }
    }
}
