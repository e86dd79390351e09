using System.Reflection;

namespace ModelPipeline.Core;

/// <summary>This software's version, as written into artifacts.</summary>
public static class PipelineVersion
{
    /// <summary>Semantic version without build metadata.</summary>
    public static string Current { get; } =
        typeof(PipelineVersion).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];
}
