using ModelPipeline.Npu;

namespace ModelPipeline.Tests.Toolkit;

/// <summary>A librknnrt.so for this machine in a board's place: it runs what the recorded toolkit exports in its mode "runnable", and times
/// count as a board's.</summary>
internal static class RecordedRuntime
{
    /// <summary>Compiles it into a folder, beside the libraries that it uses.</summary>
    /// <returns>Its path.</returns>
    public static string Build(string folder)
    {
        var library = Path.Combine(Directory.CreateDirectory(folder).FullName, "librknnrt.so");
        var onnxRuntime = OnnxRuntimeLibrary.Find() ?? throw new InvalidOperationException("The tests bring ONNX Runtime.");
        var standIn = Path.Combine(
            AppContext.BaseDirectory,
            "agents",
            "linux-" + System.Runtime.InteropServices.RuntimeInformation.OSArchitecture.ToString().ToLowerInvariant(),
            "librknnrt-sim.so"
        );
        foreach (var part in new[] { onnxRuntime, standIn })
            File.CreateSymbolicLink(Path.Combine(folder, Path.GetFileName(part)), part);
        Programs.Run(
            Environment.GetEnvironmentVariable("CXX") is { Length: > 0 } compiler ? compiler : "c++",
            "-std=c++20",
            "-shared",
            "-fPIC",
            "-o",
            library,
            Path.Combine(RecordedToolkit.Packages, "runtime.cpp"),
            "-I",
            Path.Combine(RepositoryFiles.Root, "native/src"),
            "-L",
            folder,
            "-Wl,--no-as-needed",
            "-l:librknnrt-sim.so",
            "-Wl,-rpath,$ORIGIN",
            "-ldl"
        );
        return library;
    }
}
