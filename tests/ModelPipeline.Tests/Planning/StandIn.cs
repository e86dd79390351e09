using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Planning;

namespace ModelPipeline.Tests.Planning;

/// <summary>A board whose operators take what a table of rates says.</summary>
internal static class StandIn
{
    public const string Session = "stand-in";

    /// <summary>What a run there adds to the data: whole runs in fp16 at some lengths, and the operators of each as a profile has
    /// them.</summary>
    public static IReadOnlyList<LatencyRow> Measure(double[] logRates, string chip, EncoderShape encoder, IReadOnlyList<int> lengths) =>
        [
            .. from tokens in lengths
            let whole = encoder.At(new InputShape(1, tokens))
            from row in whole
                .Where(work => work.Class is OperatorClass.Attention or OperatorClass.Linear or OperatorClass.Norm)
                .Select((work, index) => Row(chip, $"{work.Class} {index} at {tokens}", [work]))
                .Prepend(Row(chip, $"[1,{tokens}]", whole))
            select row with
            {
                Ms = new OperatorTime(logRates).Of(row.Work, row.Place),
            },
        ];

    private static LatencyRow Row(string chip, string name, IReadOnlyList<OperatorWork> work) =>
        new()
        {
            Name = name,
            Session = Session,
            Chip = chip,
            Precision = Precision.Fp16,
            Ms = 1,
            Source = "a table",
            Operators = work,
            Own = true,
        };
}
