using System.Text.RegularExpressions;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Npu;

namespace ModelPipeline.Devices;

/// <summary>
/// Whether a device's runtime and driver are new enough for an .rknn. The vendor's runtime itself refuses no file that is newer than it is.
/// </summary>
internal static partial class RuntimeCheck
{
    private const string Releases = "https://github.com/airockchip/rknn-toolkit2";

    /// <summary>Before a file is loaded. What a device does not tell is not held against it.</summary>
    /// <param name="device">Its setting allow_old_runtime lets everything through.</param>
    /// <param name="path">The .rknn on this machine.</param>
    /// <param name="runtime">Version of librknnrt there, as 1.5.2 (c6b7b351a); empty if unknown.</param>
    /// <param name="driver">Version of the kernel driver there, as RKNPU driver: v0.9.8; empty if unknown.</param>
    /// <exception cref="PipelineException">One of them is older than the file wants.</exception>
    public static void Require(DeviceSpec device, string path, string runtime, string driver)
    {
        if (device.AllowOldRuntime)
            return;
        var toolkit = RknnFile.Read(path).Compiler;
        var needs = ToolkitVersions.Of(toolkit);
        var wanted = needs?.Runtime ?? In(toolkit);
        if (wanted is not null && In(runtime) is { } found && found < wanted)
        {
            throw Old(
                device,
                path,
                toolkit,
                $"librknnrt {wanted} or later, and the device has {found}: copy librknnrt.so {wanted} ({Releases}, tag v{wanted}, "
                    + "rknpu2/runtime/Linux/librknn_api/aarch64) to /usr/lib there, or name it as the device's runtime_library"
            );
        }
        var driverWanted = new[] { needs, In(runtime) is { } version ? ToolkitVersions.Of($"{version}") : null }.Max(each => each?.Driver);
        if (driverWanted is not null && In(driver) is { } installed && installed < driverWanted)
        {
            throw Old(
                device,
                path,
                toolkit,
                $"the kernel driver rknpu {driverWanted} or later, and the device has {installed}: install the board vendor's image or "
                    + $"kernel that has it"
            );
        }
    }

    private static PipelineException Old(DeviceSpec device, string path, string toolkit, string what) =>
        new(
            $"device '{device.Name}': '{Path.GetFileName(path)}' is of rknn-toolkit2 {toolkit}, which wants {what}. 'allow_old_runtime: "
                + $"true' of the device runs it all the same."
        );

    private static Version? In(string text) => Number().Match(text) is { Success: true } match ? Version.Parse(match.Value) : null;

    [GeneratedRegex(@"\d{1,4}\.\d{1,4}\.\d{1,4}")]
    private static partial Regex Number();
}
