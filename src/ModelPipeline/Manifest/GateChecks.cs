using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace ModelPipeline.Manifest;

/// <summary>Gates that can never say anything: on a metric that the task does not give, or with a limit outside of the metric's
/// range.</summary>
internal static class GateChecks
{
    private static readonly JsonObject Known = ManifestSchema.Definition("gates")["properties"]!.AsObject();

    /// <summary>Records every error in a mapping of gates. Passes over what the schema refuses.</summary>
    /// <param name="gates">By metric.</param>
    /// <param name="task">Of the model; null where gates are for models of any task.</param>
    /// <param name="errors">Takes them.</param>
    public static void Check(JsonNode? gates, string? task, Diagnostics errors)
    {
        if (gates is not JsonObject mapping)
            return;
        foreach (var (name, gate) in mapping)
        {
            if (Known[name] is not JsonObject metric || gate is not JsonObject limits)
                continue;
            if (task is not null && Of(task).Any() && metric["x-tasks"] is { } tasks && !Names(tasks).Contains(task))
                errors.AddToKey(mapping, name, $"task {task} gives no {name}; it gives {string.Join(", ", Of(task))}");
            if (task is not null and not "rerank" && limits["slices"] is not null)
                errors.AddToKey(limits, "slices", $"task {task} has no slices: they are for task rerank");
            if (metric["x-range"] is JsonArray { Count: 2 } range)
                Limits(name, limits, (double?)range[0], (double?)range[1], errors);
        }
    }

    private static void Limits(string metric, JsonObject limits, double? low, double? high, Diagnostics errors)
    {
        foreach (var (name, limit) in limits)
        {
            if (limit is not JsonValue value || value.GetValueKind() != JsonValueKind.Number || errors.IsFaulty(value))
                continue;
            if (name == "confidence")
                continue;
            var number = value.Deserialize<double>();
            // A drop is a difference of two figures; below 0 it asks the variant to be better than fp32, which it may be.
            var (least, largest) = name is "max_drop" or "max_drop_vs_release" ? (low - high, high - low) : (low, high);
            if (number < least || number > largest)
                errors.Add(value, $"{name} {Text(number)} of {metric} can never decide: the figure is {Range(least, largest)}");
        }
    }

    /// <summary>Metrics that a task gives.</summary>
    internal static IEnumerable<string> Of(string task) =>
        Known.Where(metric => metric.Value!["x-tasks"] is { } tasks && Names(tasks).Contains(task)).Select(metric => metric.Key);

    private static IEnumerable<string?> Names(JsonNode list) => list.AsArray().Select(name => (string?)name);

    private static string Range(double? low, double? high) =>
        (low, high) switch
        {
            ({ } least, { } largest) => $"from {Text(least)} to {Text(largest)}",
            ({ } least, null) => $"{Text(least)} or more",
            (null, { } largest) => $"{Text(largest)} or less",
            (null, null) => "any number",
        };

    private static string Text(double number) => number.ToString("0.######", CultureInfo.InvariantCulture);
}
