using ModelPipeline.Core;
using ModelPipeline.Tasks;
using ModelPipeline.Text;

namespace ModelPipeline.Stages;

/// <summary>What is scored at a shape, in its order, and its token rows when they are needed.</summary>
internal sealed record ScoredTexts(ScoringOrder Order, Lazy<IReadOnlyList<TokenizedInput>> Rows)
{
    /// <summary>Those of the model's validation.</summary>
    public static async Task<ScoredTexts> OfAsync(ModelBuild build, InputShape shape, StageContext context)
    {
        var tokenizer = await build.TokenizerAsync(context).ConfigureAwait(false);
        var order = ScoringOrder.Of(build.Model, build.Corpus(build.Model.Validation.Corpus)).Counted(tokenizer);
        return new(order, new(() => [.. order.Texts.Select(text => order.Encode(tokenizer, text, shape.Sequence))]));
    }

    /// <summary>The outputs, which can be kept only if they are numbers.</summary>
    public List<float[]> Finite(string whose, List<float[]> outputs)
    {
        Order.RequireFinite(whose, outputs);
        return outputs;
    }
}
