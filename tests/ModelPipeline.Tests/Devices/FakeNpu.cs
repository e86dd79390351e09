namespace ModelPipeline.Tests.Devices;

/// <summary>What a kernel with an NPU shows of it, in a folder that stands for the root.</summary>
internal static class FakeNpu
{
    public const string Governor = "rknpu_ondemand";

    /// <summary>At its highest frequency, 1 GHz, and 50 degrees.</summary>
    /// <returns>The file of the governor.</returns>
    public static string In(string root)
    {
        var npu = Directory.CreateDirectory(Path.Combine(root, "sys/class/devfreq/fdab0000.npu")).FullName;
        File.WriteAllText(Path.Combine(npu, "cur_freq"), "1000000000");
        File.WriteAllText(Path.Combine(npu, "max_freq"), "1000000000");
        File.WriteAllText(Path.Combine(npu, "governor"), Governor);
        Warm(root, 50);
        return Path.Combine(npu, "governor");
    }

    /// <summary>Heats it, and at 85 degrees halves its frequency, as kernels do.</summary>
    public static void Warm(string root, int celsius)
    {
        var zone = Directory.CreateDirectory(Path.Combine(root, "sys/class/thermal/thermal_zone6")).FullName;
        File.WriteAllText(Path.Combine(zone, "type"), "npu-thermal");
        File.WriteAllText(Path.Combine(zone, "temp"), $"{celsius * 1000}");
        if (celsius >= 85)
            File.WriteAllText(Path.Combine(root, "sys/class/devfreq/fdab0000.npu/cur_freq"), "500000000");
    }
}
