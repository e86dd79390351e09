namespace ModelPipeline.Tests.Npu;

internal static class Repository
{
    /// <summary>The folder that holds ModelPipeline.sln.</summary>
    public static string Root { get; } = Find(AppContext.BaseDirectory);

    /// <summary>A cross-encoder with open batch and sequence axes.</summary>
    public static string TinyReranker { get; } = Path.Combine(Root, "pipeline/sample/tiny-reranker/model.onnx");

    private static string Find(string folder) =>
        File.Exists(Path.Combine(folder, "ModelPipeline.sln")) ? folder : Find(Path.GetDirectoryName(folder)!);
}
