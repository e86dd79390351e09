using ModelPipeline.Metrics;
using ModelPipeline.Onnx;

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
        CpuQuantizationProcess[] builds =
        [
            .. Enumerable.Range(0, 3).Select(_ => CpuQuantizationProcess.Measure(arguments.Model, quantized)),
        ];
        using var fp32 = InferenceSessions.Open(arguments.Model, new RunSettings(Threads: 1));
        using var int8 = InferenceSessions.Open(quantized, new RunSettings(Threads: 1));
        var embeds = ModelOutputs.Embeds(fp32);
        var inputs = embeds ? ModelInput.Passages(arguments) : ModelInput.Pairs(arguments);
        var (fp32Bytes, int8Bytes) = (new FileInfo(arguments.Model).Length, new FileInfo(quantized).Length);
        var runs = PairedRuns.Measure(
            i => ModelOutputs.Of(fp32, inputs[i % inputs.Count]),
            i => ModelOutputs.Of(int8, inputs[i % inputs.Count]),
            Rounds
        );
        var build = PairedRuns.Median([.. builds.Select(b => b.Milliseconds)]);
        List<Row> rows =
        [
            new("U: fp32, one inference", runs.FirstMilliseconds, "ms"),
            new("fp32 file", fp32Bytes / 1e6, "MB"),
            new("CPU int8: file", int8Bytes / 1e6, "MB", embeds ? "<= 23.0 (MiniLM-L6)" : "<= 34.1 (MiniLM-L12)"),
            new("CPU int8: one inference", runs.SecondMilliseconds, "ms"),
            new("CPU int8: ratio to fp32", runs.Ratio, "", embeds ? "" : "<= 0.45 with VNNI, <= 0.70 without"),
            new("CPU int8: load, quantize, save (median of 3)", build, "ms"),
            new("CPU int8: the same", build / runs.FirstMilliseconds, "U", embeds ? "" : "<= 15"),
            new("CPU int8: startup of that process besides", PairedRuns.Median([.. builds.Select(b => b.StartupMilliseconds)]), "ms"),
            new("CPU int8: peak RSS to fp32 file", builds.Max(b => b.PeakBytes) / fp32Bytes, "x", "<= 2.5"),
        ];
        if (embeds)
        {
            var (mean, min) = ModelOutputs.Cosines(inputs, ModelOutputs.Embeddings(fp32, inputs), ModelOutputs.Embeddings(int8, inputs));
            rows.Add(new($"CPU int8: cosine, mean of {inputs.Count}", mean, "", ">= 0.995"));
            rows.Add(new("CPU int8: cosine, smallest", min, ""));
        }
        else
        {
            var (reference, scores) = (ModelOutputs.Scores(fp32, inputs), ModelOutputs.Scores(int8, inputs));
            rows.Add(new($"CPU int8: Kendall tau, all {inputs.Count} pairs", ModelOutputs.Tau(reference, scores), "", ">= 0.96"));
            rows.Add(new("CPU int8: Kendall tau, mean over queries", ModelOutputs.MeanTau(inputs, reference, scores), "", ">= 0.96"));
            rows.Add(new("CPU int8: Spearman, all pairs", RankCorrelation.Spearman<float>(reference, scores), ""));
            rows.Add(new("CPU int8: mean score difference", ModelOutputs.MeanDifference(reference, scores), ""));
        }
        return rows;
    }
}
