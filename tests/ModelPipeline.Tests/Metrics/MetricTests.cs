using System.Text.Json;
using ModelPipeline.Metrics;

namespace ModelPipeline.Tests.Metrics;

public class MetricTests
{
    [Fact]
    public void The_schema_of_models_yaml_offers_gates_on_just_these_metrics()
    {
        using var schema = typeof(Metric).Assembly.GetManifestResourceStream("models.schema.json")!;
        var gates = JsonDocument.Parse(schema).RootElement.GetProperty("definitions").GetProperty("gates").GetProperty("properties");
        Assert.Equal(
            Metric.All.Where(metric => metric.Kind != MetricKind.Compile).Select(metric => (metric.Name, metric.Description)),
            gates
                .EnumerateObject()
                .Where(gate => gate.Name != "compile")
                .Select(gate => (gate.Name, gate.Value.GetProperty("description").GetString()!))
        );
        // Limits on the compile report stand together under one key.
        Assert.Equal(
            Metric.All.Where(metric => metric.Kind == MetricKind.Compile).Select(metric => metric.Name),
            gates.GetProperty("compile").GetProperty("properties").EnumerateObject().Select(gate => $"compile.{gate.Name}")
        );
    }
}
