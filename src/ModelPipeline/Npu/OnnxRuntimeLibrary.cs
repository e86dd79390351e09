namespace ModelPipeline.Npu;

/// <summary>Finds the native library that Microsoft.ML.OnnxRuntime uses, so that the shim shares it instead of loading a second
/// one.</summary>
internal static class OnnxRuntimeLibrary
{
    private const string FileName = "libonnxruntime.so";

    /// <summary>Full path, or null to leave the choice to the shim.</summary>
    public static string? Find()
    {
        var probed = (AppContext.GetData("NATIVE_DLL_SEARCH_DIRECTORIES") as string ?? "").Split(
            Path.PathSeparator,
            StringSplitOptions.RemoveEmptyEntries
        );
        return probed.Append(AppContext.BaseDirectory).Select(folder => Path.Combine(folder, FileName)).FirstOrDefault(File.Exists);
    }
}
