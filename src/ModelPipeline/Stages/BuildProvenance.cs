using System.Text.RegularExpressions;
using ModelPipeline.Core;

namespace ModelPipeline.Stages;

/// <summary>What an NPU artifact says of its own making, in the string that the runtime gives back.</summary>
/// <param name="Pipeline">Version of ModelPipeline.</param>
/// <param name="Source">sha256 of the fp32 model.</param>
/// <param name="Settings">Key of the build: a hash of everything it depends on.</param>
public sealed partial record BuildProvenance(string Pipeline, string Source, string Settings)
{
    /// <summary>Version of rknn-toolkit2 that made it; null if something else did.</summary>
    public string? Toolkit { get; init; }

    public override string ToString() =>
        $"modelpipeline {Pipeline} source={Source} settings={Settings}{(Toolkit is null ? "" : $" toolkit={Toolkit}")}";

    /// <summary>Fails if a loaded artifact was made from something else. Another version of ModelPipeline may have made it.</summary>
    /// <param name="artifact">For the message.</param>
    /// <param name="customString">As the runtime tells it.</param>
    /// <exception cref="PipelineException">It is another build's.</exception>
    public void Require(string artifact, string customString)
    {
        if (
            Line().Match(customString) is not { Success: true } found
            || found.Groups["source"].Value != Source
            || found.Groups["settings"].Value != Settings
        )
            throw new PipelineException(
                $"{artifact}: the loaded file says it is '{customString}'; expected '{this}'. It is another build's: convert it again "
                    + $"with --force-convert."
            );
    }

    [GeneratedRegex(@"\Amodelpipeline \S+ source=(?<source>\S+) settings=(?<settings>\S+)(?: toolkit=\S+)?\z")]
    private static partial Regex Line();
}
