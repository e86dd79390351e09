using System.Globalization;
using ModelPipeline.Core;

namespace ModelPipeline.Devices;

/// <summary>Lets what is uploaded to a <see cref="LoopbackBoard"/> run as on linux-arm64, by qemu-user.</summary>
internal static class Emulation
{
    private const string Libraries = "/usr/aarch64-linux-gnu/lib";

    /// <summary>One core of an RK3588's fast cluster, as its kernel tells of it. ONNX Runtime asks, and takes no x86 machine's
    /// answer.</summary>
    private const string CortexA76 = """
        processor	: {0}
        BogoMIPS	: 48.00
        Features	: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
        CPU implementer	: 0x41
        CPU architecture: 8
        CPU variant	: 0x4
        CPU part	: 0xd0b
        CPU revision	: 0


        """;

    /// <summary>Takes the place of the log-in shell: {0} is the emulator, {1} the folder that it takes system files from, {2} the user's
    /// home.</summary>
    private const string Shell = """
        cd {2}
        set -- $SSH_ORIGINAL_COMMAND
        case "$1" in
          uname) echo aarch64 ;;
          */sftp-server) exec "$1" ;;
          exec) shift; exec {0} -cpu cortex-a76 -L {1} "$@" ;;
        esac

        """;

    /// <summary>Writes what it needs into a folder.</summary>
    /// <returns>The forced command for sshd.</returns>
    /// <exception cref="PipelineException">The C library of linux-arm64 is not installed.</exception>
    public static string Prepare(string folder, string emulator)
    {
        if (!Directory.Exists(Libraries))
            throw new PipelineException(
                $"{Libraries} is missing: install the libraries that emulated programs need, on Debian and Ubuntu with 'apt-get install "
                    + $"g++-aarch64-linux-gnu'."
            );
        var root = Directory.CreateDirectory(Path.Combine(folder, "root")).FullName;
        File.CreateSymbolicLink(Path.Combine(root, "lib"), Libraries);
        Directory.CreateDirectory(Path.Combine(root, "proc"));
        File.WriteAllText(
            Path.Combine(root, "proc/cpuinfo"),
            string.Concat(Enumerable.Range(0, Environment.ProcessorCount).Select(core => Fill(CortexA76, core)))
        );
        var shell = Path.Combine(folder, "shell");
        File.WriteAllText(shell, Fill(Shell, emulator, root, Directory.CreateDirectory(Path.Combine(folder, "home")).FullName));
        return $"/bin/sh {shell}";
    }

    private static string Fill(string format, params object[] values) => string.Format(CultureInfo.InvariantCulture, format, values);
}
