using ModelPipeline.Core;
using ModelPipeline.Onnx;

namespace ModelPipeline.Rewrites;

/// <summary>Gives every input its static shape.</summary>
public static class PinShapes
{
    /// <summary>Gives every input its batch and leaves lengths open. Of batch 1 all stays as it is.</summary>
    public static OnnxModel Batch(OnnxModel model, int batch) =>
        batch == 1
            ? model
            : model.With(
                model.Graph with
                {
                    Inputs = [.. model.Graph.Inputs.Select(input => input with { Shape = input.Shape.SetItem(0, batch) })],
                }
            );

    /// <summary>Inputs must be int64 [batch, sequence], dynamic or already of the wanted size. Outputs keep their rank; where a symbol of
    /// an input stands in them, so does its size.</summary>
    public static OnnxModel Apply(OnnxModel model, InputShape shape)
    {
        var sizes = new Dictionary<string, long>();
        foreach (var input in model.Graph.Inputs)
        {
            if (input is not { Type: ElementType.Int64, Shape.Length: 2 })
                throw new PipelineException(
                    $"input {input} cannot be fed from a tokenizer; a transformer's int64 [batch, sequence] was expected"
                );
            Bind(input, input.Shape[0], shape.Batch);
            Bind(input, input.Shape[1], shape.Sequence);
        }
        return model.With(
            model.Graph with
            {
                Inputs = [.. model.Graph.Inputs.Select(input => input with { Shape = [shape.Batch, shape.Sequence] })],
                Outputs =
                [
                    .. model.Graph.Outputs.Select(output =>
                        output with
                        {
                            Shape =
                            [
                                .. output.Shape.Select(dimension =>
                                    dimension.Symbol is { } symbol && sizes.TryGetValue(symbol, out var size) ? size : dimension
                                ),
                            ],
                        }
                    ),
                ],
            }
        );
        void Bind(ValueInfo input, Dimension dimension, long wanted)
        {
            var bound =
                dimension.Symbol is { Length: > 0 } symbol && !sizes.TryAdd(symbol, wanted) ? sizes[symbol] : dimension.Value ?? wanted;
            if (bound != wanted)
                throw new PipelineException(
                    $"input {input} does not allow the shape {shape} of models.yaml; give it a shape that fits, or export the model with "
                        + $"dynamic axes",
                    PipelineException.ConfigurationError
                );
        }
    }

    /// <summary>Outputs whose sizes have names of their own, as exporters give what is pooled, get those that a run of the pinned model
    /// has.</summary>
    public static OnnxModel Outputs(OnnxModel model)
    {
        if (model.Graph.Outputs.All(output => output.Shape.All(dimension => dimension.Value is not null)))
            return model;
        using var session = InferenceSessions.Open(model);
        using var values = session.Run(Probe.Of(model.Graph, 1)[0].Values(), [.. model.Graph.Outputs.Select(output => output.Name)]);
        return model.With(
            model.Graph with
            {
                Outputs =
                [
                    .. model.Graph.Outputs.Zip(
                        values,
                        (output, value) => output with { Shape = [.. value.GetTensorTypeAndShape().Shape.Select(size => (Dimension)size)] }
                    ),
                ],
            }
        );
    }
}
