using Microsoft.ML.OnnxRuntime;
using ModelPipeline.Onnx;
using ModelPipeline.Validation;

namespace ModelPipeline.Benchmarks;

/// <summary>The CPU int8 model against its fp32 source, one thread. U is one fp32 inference at the same shape in the same run.</summary>
internal static class CpuInt8
{
    private const int Rounds = 40;

    public static IEnumerable<Row> Run(Arguments arguments)
    {
        var folder = Directory.CreateTempSubdirectory("modelpipeline-");
        try
        {
            return Measure(arguments, Path.Combine(folder.FullName, "int8.onnx"));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static List<Row> Measure(Arguments arguments, string quantized)
    {
        CpuQuantizationProcess[] builds = [.. Enumerable.Range(0, 3).Select(_ => CpuQuantizationProcess.Measure(arguments.Model, quantized))];
        using var fp32 = InferenceSessions.Open(arguments.Model, new RunSettings(Threads: 1));
        using var int8 = InferenceSessions.Open(quantized, new RunSettings(Threads: 1));
        var embeds = fp32.OutputMetadata.First().Value.Dimensions.Length == 3;
        var inputs = embeds ? ModelInput.Passages(arguments) : ModelInput.Pairs(arguments);
        var (fp32Bytes, int8Bytes) = (new FileInfo(arguments.Model).Length, new FileInfo(quantized).Length);
        var runs = PairedRuns.Measure(i => Output(fp32, inputs[i % inputs.Count]), i => Output(int8, inputs[i % inputs.Count]), Rounds);
        var build = PairedRuns.Median([.. builds.Select(b => b.Milliseconds)]);
        return
        [
            new("U: fp32, one inference", runs.FirstMilliseconds, "ms"),
            new("fp32 file", fp32Bytes / 1e6, "MB"),
            new("int8 file", int8Bytes / 1e6, "MB", embeds ? "<= 23.0 (MiniLM-L6)" : "<= 34.1 (MiniLM-L12)"),
            .. embeds ? Cosines(fp32, int8, inputs) : Ranks(fp32, int8, inputs),
            new("int8, one inference", runs.SecondMilliseconds, "ms"),
            new("int8 to fp32", runs.Ratio, "", "<= 0.45 with VNNI, <= 0.70 without"),
            new("load, quantize, save: median of 3", build, "ms"),
            new("the same", build / runs.FirstMilliseconds, "U", "<= 15"),
            new("startup of that process besides", PairedRuns.Median([.. builds.Select(b => b.StartupMilliseconds)]), "ms"),
            new("peak RSS to fp32 file", builds.Max(b => b.PeakBytes) / fp32Bytes, "x", "<= 2.5"),
        ];
    }

    private static IEnumerable<Row> Ranks(InferenceSession fp32, InferenceSession int8, IReadOnlyList<ModelInput> inputs)
    {
        var scores = inputs.Select(input => (input.Group, Fp32: Output(fp32, input)[0], Int8: Output(int8, input)[0])).ToList();
        var perQuery = scores.GroupBy(score => score.Group).Select(query => Tau([.. query.Select(s => s.Fp32)], [.. query.Select(s => s.Int8)])).Where(double.IsFinite);
        float[] all = [.. scores.Select(s => s.Fp32)], allInt8 = [.. scores.Select(s => s.Int8)];
        return
        [
            new("pairs", scores.Count, ""),
            new("Kendall tau, mean over queries", perQuery.Average(), "", ">= 0.96"),
            new("Kendall tau, all pairs", Tau(all, allInt8), "", ">= 0.96"),
            new("Spearman, all pairs", RankCorrelation.Spearman<float>(all, allInt8), ""),
            new("mean score difference", all.Zip(allInt8, (x, y) => Math.Abs(x - y)).Average(), ""),
        ];
    }

    private static double Tau(float[] x, float[] y) => RankCorrelation.KendallTauB<float>(x, y);

    private static IEnumerable<Row> Cosines(InferenceSession fp32, InferenceSession int8, IReadOnlyList<ModelInput> inputs)
    {
        var figures = EmbeddingValidation.Measure(
            [.. inputs.Select(input => input.Id)], [.. inputs.Select(input => Pooled(fp32, input))], [.. inputs.Select(input => Pooled(int8, input))]).Figures;
        return
        [
            new("texts", inputs.Count, ""),
            new("cosine, mean", figures[Metric.CosineMean], "", ">= 0.995"),
            new("cosine, smallest", figures[Metric.CosineMin], ""),
        ];
    }

    /// <summary>Mean of the token vectors before the padding.</summary>
    private static float[] Pooled(InferenceSession session, ModelInput input)
    {
        var tokens = Output(session, input);
        var mean = new float[tokens.Length / input.Tokens.InputIds.Length];
        for (var i = 0; i < input.Tokens.Length * mean.Length; i++)
            mean[i % mean.Length] += tokens[i] / input.Tokens.Length;
        return mean;
    }

    private static float[] Output(InferenceSession session, ModelInput input)
    {
        using var outputs = session.Run([.. session.InputNames.Select(name => input.Tokens[name])], session.OutputNames.Take(1).ToArray());
        return outputs[0].GetTensorDataAsSpan<float>().ToArray();
    }
}
