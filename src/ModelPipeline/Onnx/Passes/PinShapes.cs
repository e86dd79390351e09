using ModelPipeline.Manifest;

namespace ModelPipeline.Onnx.Passes;

/// <summary>Gives every input its static shape.</summary>
public static class PinShapes
{
    /// <summary>Inputs must be [batch, sequence], dynamic or already of the wanted size. Outputs keep their rank; their symbolic batch becomes the batch.</summary>
    public static OnnxModel Apply(OnnxModel model, InputShape shape)
    {
        var symbols = new Dictionary<string, long>();
        foreach (var input in model.Graph.Inputs)
        {
            if (input.Shape.Length != 2)
                throw new PipelineException($"input {input} has rank {input.Shape.Length}; a transformer's [batch, sequence] was expected");
            Bind(input, 0, shape.Batch);
            Bind(input, 1, shape.Sequence);
        }
        return model.With(model.Graph with
        {
            Inputs = [.. model.Graph.Inputs.Select(input => input with { Shape = [shape.Batch, shape.Sequence] })],
            Outputs = [.. model.Graph.Outputs.Select(output => output with { Shape = [.. output.Shape.Select(Resolve)] })],
        });

        void Bind(ValueInfo input, int axis, long wanted)
        {
            var dimension = input.Shape[axis];
            if (dimension.Value is { } value && value != wanted)
                throw new PipelineException($"input {input} is fixed already; the shape [{shape.Batch},{shape.Sequence}] in models.yaml needs a dynamic export or one of that shape");
            if (dimension.Symbol is { } symbol)
                symbols[symbol] = wanted;
        }

        Dimension Resolve(Dimension dimension) =>
            dimension.Symbol is { } symbol && symbols.TryGetValue(symbol, out var value) ? value : dimension;
    }
}
