using System.Diagnostics;
using System.Globalization;
using ModelPipeline.Core;
using ModelPipeline.Onnx;
using ModelPipeline.Quantization;

namespace ModelPipeline.Benchmarks;

/// <summary>Load, quantize and save in a process of its own, for its time and peak memory.</summary>
/// <param name="Milliseconds">From the start of loading to the end of saving.</param>
/// <param name="StartupMilliseconds">What the process takes besides.</param>
/// <param name="PeakBytes">Largest resident set.</param>
internal sealed record CpuQuantizationProcess(double Milliseconds, double StartupMilliseconds, double PeakBytes)
{
    public const string Command = "quantize-cpu";

    public static int Run(string from, string to)
    {
        var start = Stopwatch.GetTimestamp();
        CpuQuantizer.Quantize(OnnxModel.Load(from), new CpuQuantizationSettings()).Model.Save(to);
        var elapsed = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{elapsed} {Process.GetCurrentProcess().PeakWorkingSet64}"));
        return 0;
    }

    public static CpuQuantizationProcess Measure(string from, string to)
    {
        var wall = Stopwatch.StartNew();
        using var process = OwnProcess.Start(Command, from, to);
        var figures = process.StandardOutput.ReadToEnd().Split(' ', StringSplitOptions.RemoveEmptyEntries);
        process.WaitForExit();
        if (process.ExitCode != 0 || figures.Length != 2)
            throw new PipelineException($"Quantizing {from} failed; its message stands above.");
        var milliseconds = double.Parse(figures[0], CultureInfo.InvariantCulture);
        return new CpuQuantizationProcess(
            milliseconds,
            wall.Elapsed.TotalMilliseconds - milliseconds,
            double.Parse(figures[1], CultureInfo.InvariantCulture)
        );
    }
}
