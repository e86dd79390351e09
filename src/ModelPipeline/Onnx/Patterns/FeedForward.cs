namespace ModelPipeline.Onnx.Patterns;

/// <summary>A transformer layer's second half: gelu(x W1 + b1) W2 + b2, added to the residual stream.</summary>
/// <param name="First">x W1 + b1</param>
/// <param name="Activation">Its only reader.</param>
/// <param name="Second">The only reader of the activation.</param>
/// <param name="Residual">The addition to the stream.</param>
internal sealed record FeedForward(Linear First, Gelu Activation, Linear Second, Node Residual)
{
    /// <summary>Width between both projections.</summary>
    public int Hidden => Second.Inputs;

    public static FeedForward? Of(Gelu gelu, PatternMatches matches)
    {
        var uses = matches.Uses;
        return
            matches.LinearOf(gelu.Input) is { } first
            && uses.Consumers(first.Output).All(reader => gelu.Nodes.Contains(reader) || reader.OpType == "Shape")
            && uses.OnlyConsumer(gelu.Output) is { } product
            && Linear.Of(product, uses) is { } second
            && second.Input == gelu.Output
            && second.Residual(uses) is { } residual
            ? new FeedForward(first, gelu, second, residual)
            : null;
    }
}
