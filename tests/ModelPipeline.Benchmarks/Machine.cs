using System.Runtime.InteropServices;

namespace ModelPipeline.Benchmarks;

/// <summary>What decides which integer kernels ONNX Runtime takes.</summary>
internal static class Machine
{
    private static readonly string[] Decisive = ["avx2", "avx_vnni", "avx512f", "avx512_vnni", "asimddp", "i8mm"];

    public static string Describe()
    {
        const string info = "/proc/cpuinfo";
        if (!File.Exists(info))
            return $"{RuntimeInformation.ProcessArchitecture}, {Environment.ProcessorCount} cores";
        var lines = File.ReadLines(info)
            .Select(line => line.Split(':', 2, StringSplitOptions.TrimEntries))
            .Where(cells => cells.Length == 2)
            .ToList();
        var model = lines.FirstOrDefault(cells => cells[0] == "model name")?[1] ?? RuntimeInformation.ProcessArchitecture.ToString();
        var flags = lines.FirstOrDefault(cells => cells[0] is "flags" or "Features")?[1].Split(' ') ?? [];
        return $"{model}, {Environment.ProcessorCount} cores, {string.Join(' ', Decisive.Where(flags.Contains))}";
    }
}
