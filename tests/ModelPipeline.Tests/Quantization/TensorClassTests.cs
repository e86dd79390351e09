using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Onnx;
using ModelPipeline.Stages;
using ModelPipeline.Tests.Onnx;

namespace ModelPipeline.Tests.Quantization;

/// <summary>What int8 costs where it is in one class of tensors alone.</summary>
public sealed class TensorClassTests
{
    private static readonly StageContext Quiet = new(
        new Progress<StageProgress>(),
        _ => { },
        _ => { },
        TestContext.Current.CancellationToken
    );

    private readonly Emulation emulation = new(TinyReranker.Prepared);

    [Fact]
    public void Every_tensor_is_in_one_class()
    {
        var points = FusedOperators.Of(TinyReranker.Prepared.Graph).Points;

        Assert.Equal(points.Order(), emulation.Classes.SelectMany(each => each.Points).Order());
        Assert.Equal(
            [("GELU", 4), ("context", 4), ("norms before attention", 4), ("norms before feed-forward", 4), ("q and k", 8), ("v", 4)],
            emulation
                .Classes.Where(each => each.Remedy is "norm-copy" or "balance" or "hidden-split" or "ranges")
                .Select(each => (each.Name, each.Points.Count))
                .OrderBy(each => each.Name, StringComparer.Ordinal)
        );
        Assert.True(emulation.Classes[^1].IsWeights);
    }

    [Fact]
    public void Only_the_tensors_of_the_class_are_int8()
    {
        var ranges = emulation.Ranges(QuantizationAlgorithm.Normal, TinyReranker.CalibrationSamples.Take(4).ToList(), Quiet);

        foreach (var each in emulation.Classes)
        {
            var graph = emulation.Build(each, ranges, new Dictionary<string, ModelPipeline.Rewrites.ClippedRange>()).Graph;
            var quantized = graph.Nodes.Where(node => node.OpType == "QuantizeLinear").Select(node => node.Inputs[0]).ToList();
            Assert.Empty(emulation.Classes.Where(other => other.Name != each.Name).SelectMany(other => other.Points).Intersect(quantized));
            Assert.True(each.IsWeights || each.Name == "embeddings" || quantized.Count == each.Points.Count, each.Name);
            var weights = graph.Initializers.Values.Count(tensor => tensor is { Type: ElementType.Int8, Rank: 2 });
            Assert.Equal(
                (each.IsWeights, each.Name) switch
                {
                    (true, _) => 26,
                    (_, "embeddings") => 2,
                    _ => 0,
                },
                weights
            );
        }
    }
}
