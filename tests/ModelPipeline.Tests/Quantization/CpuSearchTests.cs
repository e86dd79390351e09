using ModelPipeline.Onnx;
using ModelPipeline.Quantization;
using ModelPipeline.Tests.Onnx;

namespace ModelPipeline.Tests.Quantization;

/// <summary>Weights that stay in fp32 within a budget, chosen by what they gain.</summary>
public sealed class CpuSearchTests
{
    private const int Pairs = 24;
    private static readonly CpuQuantization Plain = CpuQuantizer.Quantize(TinyReranker.Source, new CpuQuantizationSettings());

    private static float[] Outputs(OnnxModel model) => TinyReranker.Scores(model, Pairs);

    private static float[] HeldOut(OnnxModel model) => TinyReranker.Scores(model, 2 * Pairs)[Pairs..];

    private static CpuQuantization Search(OnnxModel model, long bytes) =>
        CpuQuantizer.Search(
            model,
            new CpuQuantizationSettings(),
            bytes,
            Outputs,
            HeldOut,
            cancellation: TestContext.Current.CancellationToken
        );

    [Fact]
    public void The_model_comes_closer_to_fp32_and_grows_by_no_more_than_the_budget()
    {
        const int Budget = 400_000;
        var chosen = Search(TinyReranker.Source, Budget);

        Assert.InRange(Error(chosen), 0, 0.9 * Error(Plain));
        Assert.InRange(chosen.Gain, 0.01, 0.99);
        // Names and nodes of what is no longer quantized go, too.
        Assert.InRange(chosen.Model.ToBytes().Length - Plain.Model.ToBytes().Length, 1, Budget);
        // What shifts all scores alike changes no ranking.
        static double Error(CpuQuantization quantization)
        {
            var errors = Outputs(quantization.Model).Zip(Outputs(TinyReranker.Source), (x, y) => (double)x - y).ToList();
            return errors.Sum(error => Math.Pow(error - errors.Average(), 2));
        }
    }

    [Fact]
    public void Without_room_for_any_weight_it_is_the_plain_quantization() =>
        Assert.Equal(Plain.Model.ToBytes(), Search(TinyReranker.Source, 1000).Model.ToBytes());

    [Fact]
    public void A_choice_that_other_samples_do_not_confirm_is_dropped()
    {
        var found = CpuQuantizer.Search(
            TinyReranker.Source,
            new CpuQuantizationSettings(),
            400_000,
            Outputs,
            model =>
                model == TinyReranker.Source || model.ToBytes().Length == Plain.Model.ToBytes().Length
                    ? HeldOut(model)
                    : [.. HeldOut(model).Select((score, i) => score + i)],
            cancellation: TestContext.Current.CancellationToken
        );

        Assert.Equal(0, found.Gain);
        Assert.Equal(Plain.Model.ToBytes(), found.Model.ToBytes());
    }

    [Fact]
    public void The_projections_that_read_one_value_stay_together()
    {
        var kept = Search(TinyReranker.Source, 400_000)
            .Weights.Where(weight => weight.Form == CpuWeightForm.Float)
            .Select(weight => weight.Node)
            .ToHashSet();

        var attention = kept.Where(node => node.Contains("/self/")).GroupBy(node => node.Split("/self/")[0]);
        Assert.All(attention, layer => Assert.Equal(3, layer.Count()));
        Assert.NotEmpty(kept);
    }
}
