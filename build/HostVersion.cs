using Cake.Cli;
using Cake.Core;
using ModelPipeline.Core;

namespace Build;

/// <summary>What --version and --info call this program.</summary>
internal sealed class HostVersion : IVersionResolver
{
    private static readonly string Text =
        $"ModelPipeline {PipelineVersion.Current} (Cake {typeof(ICakeEngine).Assembly.GetName().Version!.ToString(3)})";

    public string GetVersion() => Text;

    public string GetProductVersion() => Text;
}
