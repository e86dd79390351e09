using System.Reflection;
using Cake.Frosting;
using ModelPipeline.Core;
using ModelPipeline.Manifest;

namespace Build;

/// <summary>What --target may name.</summary>
internal static class TargetNames
{
    /// <summary>Those of the task classes; models.yaml declares the others.</summary>
    public static IEnumerable<string> OfClasses() =>
        typeof(TargetNames).Assembly.GetTypes().Select(type => type.GetCustomAttribute<TaskNameAttribute>()?.Name).OfType<string>();

    /// <exception cref="PipelineException">A target is none of the known; names the nearest.</exception>
    public static void Require(IEnumerable<string> targets, IReadOnlyList<string> known)
    {
        if (targets.FirstOrDefault(target => !known.Contains(target, StringComparer.OrdinalIgnoreCase)) is { } unknown)
        {
            throw new PipelineException(
                $"The target '{unknown}' was not found{Spelling.Suggest(unknown, known)}. --description lists all targets.",
                PipelineException.ConfigurationError
            );
        }
    }
}
