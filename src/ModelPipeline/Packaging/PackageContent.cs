using System.Text.Json.Nodes;
using ModelPipeline.Artifacts;
using ModelPipeline.Core;
using ModelPipeline.Decision;
using ModelPipeline.Inspection;
using ModelPipeline.Manifest;
using ModelPipeline.Tasks;
using ModelPipeline.Validation;

namespace ModelPipeline.Packaging;

/// <summary>A file to put into a package.</summary>
/// <param name="Name">Its name there.</param>
/// <param name="Path">Where it is now.</param>
/// <param name="Role">What it is for.</param>
/// <param name="Variant">Models and compile reports: the variant it is of; else null.</param>
public sealed record PackageSource(string Name, string Path, PackageRole Role, string? Variant = null);

/// <summary>All that goes into a package.</summary>
/// <param name="Model">As declared in models.yaml.</param>
/// <param name="Files">With unlike names; each report's artifact among them.</param>
/// <param name="Reports">Of the packaged variants, in the order of models.yaml.</param>
/// <param name="Inputs">sha256 by logical name (model, vocabulary, corpus ...).</param>
/// <param name="Settings">What models.yaml resolved to, without local paths.</param>
/// <param name="Tools">Version by tool.</param>
public sealed record PackageContent(
    ModelSpec Model,
    IReadOnlyList<PackageSource> Files,
    IReadOnlyList<ValidationReport> Reports,
    IReadOnlyDictionary<string, string> Inputs,
    JsonObject Settings,
    IReadOnlyDictionary<string, string> Tools
)
{
    /// <summary>Which of a variant's artifacts takes which lengths, one a variant.</summary>
    public IReadOnlyList<VariantRouting> Routings { get; init; } = [];

    /// <summary>File that the decision names; null for none.</summary>
    public string? Decided { get; init; }

    /// <summary>Variants that broke their gates, and are not here for that.</summary>
    public IReadOnlyList<VariantRemark> Omitted { get; init; } = [];

    /// <summary>Which output of the models is read, and how.</summary>
    public Answer? Answer { get; init; }

    /// <summary>The paragraph of the decision.</summary>
    public string Advice { get; init; } = "";

    /// <summary>Writes the card.</summary>
    public required PackageText Text { get; init; }

    /// <exception cref="PipelineException">A name cannot be in a package, or a simulated artifact is named .rknn.</exception>
    internal void RequireSound()
    {
        if (!PackageManifest.IsPlain(PackageManifest.FolderName(Model.Name, Model.Version)))
            throw Refused(
                $"model '{Model.Name}' version '{Model.Version}'",
                "cannot name a package. Use letters, digits and . _ + - only."
            );
        string[] taken = [PackageManifest.FileName, PackageManifest.SumsName, PackageManifest.CardName, ServeFile.FileName];
        foreach (var group in Files.GroupBy(file => file.Name, StringComparer.OrdinalIgnoreCase))
        {
            if (!PackageManifest.IsPlain(group.Key) || taken.Contains(group.Key, StringComparer.OrdinalIgnoreCase))
                throw Refused(
                    $"file '{group.Key}'",
                    $"cannot be in a package. Use letters, digits and . _ + - only, and not {string.Join(", ", taken)}."
                );
            if (group.Count() > 1)
                throw Refused($"file '{group.Key}'", "is there twice. Give each file its own name.");
        }
        foreach (var subject in Reports.Select(report => report.Subject))
        {
            if (!Files.Any(file => file.Role == PackageRole.Model && file.Name == subject.Artifact && file.Variant == subject.Variant))
                throw Refused(
                    $"variant {subject.Variant}",
                    $"was validated as {subject.Artifact}, which is not among the files. Package what was validated."
                );
            if (subject.IsStandIn && subject.Artifact.EndsWith(".rknn", StringComparison.OrdinalIgnoreCase))
                throw Refused(
                    $"file '{subject.Artifact}'",
                    $"was made by the simulator backend and must not be named .rknn. Name it .sim.onnx."
                );
        }
        foreach (
            var file in Files.Where(file => file.Role == PackageRole.Model && Reports.All(report => report.Subject.Artifact != file.Name))
        )
            throw Refused($"file '{file.Name}'", "is a model without a validation report. Validate it first.");
    }

    internal PackageManifest Manifest(IReadOnlyList<PackageFile> files) =>
        new()
        {
            Name = Model.Name,
            Version = Model.Version,
            Task = ModelTask.Named(Model.Task),
            Licence = Model.Licence,
            Answer = Answer,
            Origin = PackageManifest.OriginOf(Model.Source),
            Advice = Advice,
            Simulated = files.Any(file => file.Simulated),
            Files = files,
            Variants =
            [
                .. Reports.Select(report => new PackageVariant(report.Subject, report.Reference, report.Figures, report.Gates)
                {
                    Intervals = report.Intervals,
                    Toolkit = report.Toolkit,
                }),
            ],
            Routings = Routings,
            Omitted = Omitted,
            Inputs = Sorted(Inputs),
            Settings = (JsonObject)Settings.DeepClone(),
            Tools = Sorted(Tools),
        };

    private static SortedDictionary<string, string> Sorted(IReadOnlyDictionary<string, string> map) =>
        new(map.ToDictionary(), StringComparer.Ordinal);

    private static PipelineException Refused(string what, string why) => new($"package: {what} {why}");
}
