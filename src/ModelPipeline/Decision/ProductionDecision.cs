using ModelPipeline.Manifest;
using ModelPipeline.Validation;

namespace ModelPipeline.Decision;

/// <summary>Why one validated variant was or was not chosen.</summary>
/// <param name="Variant">Its name in models.yaml.</param>
/// <param name="Shape">As in file names: 1x128.</param>
/// <param name="Artifact">Its file name.</param>
/// <param name="Chosen">At most one is.</param>
/// <param name="Reasons">At least one, each a sentence without its full stop.</param>
public sealed record VariantVerdict(string Variant, string Shape, string Artifact, bool Chosen, IReadOnlyList<string> Reasons);

/// <summary>What production should run: the content of decision.json.</summary>
/// <param name="Model">Its name in models.yaml.</param>
/// <param name="Version">Of what was validated.</param>
/// <param name="Winner">The NPU artifact to run; null sends production to the CPU.</param>
/// <param name="Variants">In the order they were considered.</param>
/// <param name="Environment">The content of production.env, sorted by key.</param>
public sealed record ProductionDecision(
    string Model,
    string Version,
    string? Winner,
    IReadOnlyList<VariantVerdict> Variants,
    IReadOnlyDictionary<string, string> Environment)
{
    /// <summary>
    /// The first NPU variant that passes every gate on its accuracy and size, and whose p95 measured on a device is within the limit, wins.
    /// CPU variants and simulated ones never win, nor does one without an accuracy gate: nothing would vouch for it.
    /// </summary>
    /// <param name="model">Whose decision settings apply.</param>
    /// <param name="reports">Of the model's variants, in the order of models.yaml.</param>
    /// <exception cref="PipelineException">A variable cannot be written to an environment file.</exception>
    public static ProductionDecision Make(ModelSpec model, IReadOnlyList<ValidationReport> reports)
    {
        var limit = model.Decision.LatencyP95Ms;
        var objections = reports.Select(report => Objections(report, limit)).ToArray();
        var chosen = Array.FindIndex(objections, found => found.Count == 0);
        var winner = chosen < 0 ? null : reports[chosen].Subject.Artifact;
        var verdicts = reports.Select((report, i) => new VariantVerdict(
            report.Subject.Variant,
            report.Subject.Shape,
            report.Subject.Artifact,
            i == chosen,
            objections[i] is [_, ..] against ? against : [i == chosen ? Praise(report, limit) : $"{Praise(report, limit)}, but {winner} comes first in models.yaml"]));
        return new(model.Name, model.Version, winner, [.. verdicts], EnvironmentFile.Resolve(winner is null ? model.Decision.Cpu : model.Decision.Npu, winner));
    }

    private static IReadOnlyList<string> Objections(ValidationReport report, double limit)
    {
        var subject = report.Subject;
        if (subject.Backend == Backend.Onnx)
            return ["runs on the CPU: it is what production falls back to"];
        List<string> objections = [];
        if (subject.Simulated)
            objections.Add("its figures come from a simulator, and nothing simulated goes into production");
        var gates = report.Gates.Where(gate => Metric.Named(gate.Metric).Kind != MetricKind.Latency).ToArray();
        objections.AddRange(gates.Where(gate => gate.Result != GateResult.Passed).Select(gate => gate.Statement));
        if (!gates.Any(gate => Metric.Named(gate.Metric).Kind == MetricKind.Accuracy))
            objections.Add("it declares no accuracy gate, so nothing vouches for its ranking");
        // The decision's own limit is a gate like any other: judged on a device or not at all.
        var latency = Gate.Judge(new(Metric.LatencyP95Ms, null, limit, null), report.Figures, report.Reference, subject.OnDevice);
        if (latency.Result != GateResult.Passed)
            objections.Add(latency.Statement);
        return objections;
    }

    private static string Praise(ValidationReport report, double limit) =>
        FormattableString.Invariant(
            $"passes its accuracy gates and its p95 of {report.Figures[Metric.LatencyP95Ms]:F1} ms a passage, measured on {report.Subject.Device}, is within {limit:0.###} ms");
}
