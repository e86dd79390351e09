using System.Globalization;
using System.Text.Json.Serialization;

namespace ModelPipeline.Devices;

/// <summary>What a machine is; empty text where it does not tell.</summary>
/// <param name="Platform">linux-arm64 or linux-x64.</param>
/// <param name="Soc">/proc/device-tree/compatible, most specific first, such as radxa,rock-5b and rockchip,rk3588.</param>
/// <param name="Driver">Version of the NPU's kernel driver.</param>
/// <param name="Runtime">Version of librknnrt.so.</param>
/// <param name="Cores">Of the CPU.</param>
public sealed record DeviceFacts(string Platform, IReadOnlyList<string> Soc, string Driver, string Runtime, int Cores)
{
    /// <summary>Whether the device tree names a chip of Rockchip's, as that of every board with this NPU does. A machine that names none is
    /// emulated, or a container that hides it.</summary>
    [JsonIgnore]
    public bool IsRockchip => Soc.Any(name => name.StartsWith("rockchip,", StringComparison.Ordinal));
}

/// <summary>How a machine feels at one moment.</summary>
/// <param name="NpuGovernor">Frequency governor of the NPU; empty if there is none.</param>
/// <param name="NpuHertz">Its frequency; 0 if unknown.</param>
/// <param name="NpuMaxHertz">The highest it may take; 0 if unknown.</param>
/// <param name="CpuGovernors">By cpufreq policy.</param>
/// <param name="Celsius">By thermal zone.</param>
/// <param name="Note">Why what was asked for was not done; empty if it was.</param>
public sealed record DeviceStatus(
    string NpuGovernor,
    long NpuHertz,
    long NpuMaxHertz,
    IReadOnlyDictionary<string, string> CpuGovernors,
    IReadOnlyDictionary<string, double> Celsius,
    string Note
)
{
    /// <summary>RK3588 boards begin to throttle at 85 degrees (the passive trip point of their device trees).</summary>
    private const double ThrottlingCelsius = 85;

    /// <summary>A machine that tells nothing.</summary>
    public static DeviceStatus Unknown { get; } = new("", 0, 0, new Dictionary<string, string>(), new Dictionary<string, double>(), "");

    /// <summary>What makes figures measured between two moments doubtful: governors that vary the frequency, throttling, heat. One line
    /// each.</summary>
    public static IReadOnlyList<string> Doubts(DeviceStatus before, DeviceStatus after)
    {
        List<string> doubts = [];
        if (after.Note.Length > 0)
            doubts.Add(after.Note);
        if (after.NpuGovernor is not ("" or "performance" or "userspace"))
            doubts.Add($"the NPU's governor is '{after.NpuGovernor}', so its frequency varies: set it to 'performance' for steady figures");
        if (after.NpuGovernor == "performance" && after.NpuHertz < after.NpuMaxHertz)
            doubts.Add($"the NPU is throttled: {after.NpuHertz / 1_000_000} of {after.NpuMaxHertz / 1_000_000} MHz");
        doubts.AddRange(
            after
                .Celsius.Where(zone => zone.Value >= ThrottlingCelsius)
                .Select(zone =>
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"{zone.Key} is at {zone.Value:0.0} degrees (before: {before.Celsius.GetValueOrDefault(zone.Key):0.0}), where "
                            + $"boards slow down: cool the board and measure again"
                    )
                )
        );
        return doubts;
    }
}
