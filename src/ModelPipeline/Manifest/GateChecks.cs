using System.Globalization;
using Newtonsoft.Json.Linq;

namespace ModelPipeline.Manifest;

/// <summary>Gates that can never say anything: on a metric that the task does not give, or with a limit outside of the metric's range.</summary>
internal static class GateChecks
{
    private static readonly JObject Known = (JObject)ManifestSchema.Definition("gates")["properties"]!;

    /// <summary>Records every error in a mapping of gates. Passes over what the schema refuses.</summary>
    /// <param name="gates">By metric.</param>
    /// <param name="task">Of the model; null where gates are for models of any task.</param>
    /// <param name="errors">Takes them.</param>
    public static void Check(JToken? gates, string? task, Diagnostics errors)
    {
        foreach (var gate in (gates as JObject)?.Properties() ?? [])
        {
            if (Known[gate.Name] is not JObject metric || gate.Value is not JObject limits)
                continue;
            if (task is not null && metric["x-tasks"] is JArray tasks && !tasks.Values<string>().Contains(task))
                errors.Add(gate, $"task {task} gives no {gate.Name}; it gives {string.Join(", ", Of(task))}");
            if (metric["x-range"] is JArray { Count: 2 } range)
                Limits(gate.Name, limits, (double?)range[0], (double?)range[1], errors);
        }
    }

    private static void Limits(string metric, JObject limits, double? low, double? high, Diagnostics errors)
    {
        foreach (var limit in limits.Properties())
        {
            if (limit.Value is not JValue { Value: double or long } value || errors.IsFaulty(value))
                continue;
            // A drop is a difference of two figures; below 0 it asks the variant to be better than fp32, which it may be.
            var (least, largest) = limit.Name == "max_drop" ? (low - high, high - low) : (low, high);
            if ((double)value < least || (double)value > largest)
                errors.Add(value, $"{limit.Name} {Text((double)value)} of {metric} can never decide: the figure is {Range(least, largest)}");
        }
    }

    private static IEnumerable<string> Of(string task) =>
        Known.Properties().Where(metric => metric.Value["x-tasks"] is JArray tasks && tasks.Values<string>().Contains(task)).Select(metric => metric.Name);

    private static string Range(double? low, double? high) => (low, high) switch
    {
        ({ } least, { } largest) => $"from {Text(least)} to {Text(largest)}",
        ({ } least, null) => $"{Text(least)} or more",
        (null, { } largest) => $"{Text(largest)} or less",
        (null, null) => "any number",
    };

    private static string Text(double number) => number.ToString("0.######", CultureInfo.InvariantCulture);
}
