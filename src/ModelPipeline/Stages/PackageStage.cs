using System.Text.Json.Nodes;
using ModelPipeline.Artifacts;
using ModelPipeline.Core;
using ModelPipeline.Decision;
using ModelPipeline.Latency;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Packaging;
using ModelPipeline.Reports;
using ModelPipeline.Validation;

namespace ModelPipeline.Stages;

/// <summary>Which variant production should run.</summary>
public static class DecideStage
{
    public const string EnvironmentName = "production.env";
    public const string DecisionName = "decision.json";

    /// <summary>Writes production.env and decision.json into the model's folder and, where a board was asked, device.json.</summary>
    public static ProductionDecision Run(
        ModelBuild build,
        IReadOnlyList<ValidationReport> reports,
        IReadOnlyList<VariantRouting> routings,
        LatencyReport latency
    )
    {
        var device = Path.Combine(build.Folder, DeviceSession.FileName);
        if (latency.OnDevice)
            ReportJson.Write(device, DeviceSession.Of(latency));
        else
            File.Delete(device);
        var decision = ProductionDecision.Make(build.Model, reports, routings, PlanAdvice.Of(PlanStage.Kept(build)));
        AtomicFile.WriteText(Path.Combine(build.Folder, EnvironmentName), EnvironmentFile.Text(decision.Environment));
        ReportJson.Write(Path.Combine(build.Folder, DecisionName), decision);
        return decision;
    }
}

/// <summary>Validated artifacts to a package.</summary>
public static class PackageStage
{
    /// <summary>
    /// Packages the variants that break no gate and leave none undecided at any shape, with vocabulary, report and decision; the others are
    /// named. Unchanged content is not packed again.
    /// </summary>
    /// <param name="build">Of the model.</param>
    /// <param name="all">Of all its variants.</param>
    /// <param name="routings">Likewise.</param>
    /// <param name="context">Of the run.</param>
    /// <returns>Path of the package's folder, the archive lies beside it; null if no variant is left, and then no package of this version
    /// either.</returns>
    public static async Task<string?> RunAsync(
        ModelBuild build,
        IReadOnlyList<ValidationReport> all,
        IReadOnlyList<VariantRouting> routings,
        StageContext context
    )
    {
        var model = build.Model;
        var omitted = Failed(all);
        foreach (var variant in omitted)
            context.Warning($"{model.Name}: left out of the package: {variant.Sentence}");
        if (build.Restored is { } restored)
            omitted = [.. omitted, .. restored.Manifest.Omitted];
        IReadOnlyList<ValidationReport> reports =
        [
            .. all.Where(report => omitted.All(variant => variant.Variant != report.Subject.Variant)),
        ];
        if (reports.Count == 0)
        {
            context.Warning($"{model.Name}: nothing is packaged: no variant keeps to its gates");
            Package.Delete(model, build.Packages);
            return null;
        }
        routings = [.. routings.Where(routing => omitted.All(variant => variant.Variant != routing.Variant))];
        var fetched = await build.FetchAsync(context).ConfigureAwait(false);
        var artifacts = build
            .Artifacts.Select(each => build.Artifact(each.Variant, each.Shape))
            .Distinct()
            .ToDictionary(path => Path.GetFileName(path));
        List<PackageSource> files =
        [
            .. reports
                .Select(report => report.Subject)
                .DistinctBy(subject => subject.Artifact)
                .Select(subject => new PackageSource(subject.Artifact, artifacts[subject.Artifact], PackageRole.Model, subject.Variant)),
            .. reports
                .Where(report => report.Toolkit is not null)
                .Select(report => report.Subject)
                .DistinctBy(subject => subject.Artifact)
                .Select(subject => new PackageSource(
                    PackageManifest.CompileName(subject.Artifact),
                    CompilePath(build, artifacts[subject.Artifact]),
                    PackageRole.Compile,
                    subject.Variant
                )),
            .. ModelBuild.TokenizerFilesOf(fetched).Named().Select(file => new PackageSource(file.Name, file.Path, PackageRole.Vocabulary)),
            new("report.html", Path.Combine(build.Folder, "validation", "report.html"), PackageRole.Report),
            new(DecideStage.EnvironmentName, Path.Combine(build.Folder, DecideStage.EnvironmentName), PackageRole.Environment),
            new(DecideStage.DecisionName, Path.Combine(build.Folder, DecideStage.DecisionName), PackageRole.Decision),
        ];
        var device = Path.Combine(build.Folder, DeviceSession.FileName);
        if (File.Exists(device))
            files.Add(new(DeviceSession.FileName, device, PackageRole.Device));
        var folder = Path.Combine(build.Packages, PackageManifest.FolderName(model.Name, model.Version));
        var archive = folder + ".tar.gz";
        var record = folder + StageRecord.Extension;
        var inputs = files.ToDictionary(file => file.Name, file => FileDigest.Of(file.Path, context.Cancellation).Sha256);
        var answer = (await build.SourceAsync(context).ConfigureAwait(false)).Answer;
        var key = StageRecord.KeyOf(
            "package",
            StageVersions.Package,
            new
            {
                Settings = Settings(model),
                Card = new
                {
                    model.Licence,
                    model.Languages,
                    model.Datasets,
                    model.Release,
                },
                answer,
                omitted,
                Restored = build.Restored?.Manifest.Version,
            },
            inputs
        );
        if (build.IsUpToDate(record, key, context))
            return folder;

        var decision = ReportJson.Read<ProductionDecision>(Path.Combine(build.Folder, DecideStage.DecisionName));
        var content = new PackageContent(
            model,
            files,
            reports,
            build.Restored?.Manifest.Inputs ?? await InputsAsync(build, context).ConfigureAwait(false),
            Settings(model),
            build.Restored?.Manifest.Tools ?? Tools(model)
        )
        {
            Routings = routings,
            Decided = decision.Serve,
            Omitted = omitted,
            Text = ReleaseText.Of(model),
            Answer = answer,
            Advice = decision.Advice,
        };
        await Package.WriteAsync(content, build.Packages, context.Progress, context.Cancellation).ConfigureAwait(false);
        build.Finish(record, key, [.. Directory.EnumerateFiles(folder), archive], context);
        return folder;
    }

    /// <summary>Of a restored release, the report has the name that it has in packages.</summary>
    private static string CompilePath(ModelBuild build, string artifact) =>
        build.Restored is null ? ToolkitStage.CompilePath(artifact) : PackageManifest.CompileName(artifact);

    /// <summary>sha256 of all that artifacts were made of and judged by.</summary>
    private static async Task<IReadOnlyDictionary<string, string>> InputsAsync(ModelBuild build, StageContext context)
    {
        var inputs = await build.TextInputsAsync(build.Model.Calibration.Corpus, context).ConfigureAwait(false);
        foreach (var (name, sha256) in await build.TextInputsAsync(build.Model.Validation.Corpus, context).ConfigureAwait(false))
            inputs[name] = sha256;
        foreach (var (name, sha256) in (await build.FetchAsync(context).ConfigureAwait(false)).Digests())
            inputs[name] = sha256;
        return inputs;
    }

    private static Dictionary<string, string> Tools(ModelSpec model)
    {
        var tools = new Dictionary<string, string>
        {
            ["modelpipeline"] = PipelineVersion.Current,
            ["onnxruntime"] = Microsoft.ML.OnnxRuntime.OrtEnv.Instance().GetVersionString(),
        };
        if (
            model
                .Variants.Where(variant => variant.Backend == Backend.Rknn)
                .Select(variant => variant.Toolkit)
                .Distinct()
                .Order(StringComparer.Ordinal)
                .ToList() is
            { Count: > 0 } toolkits
        )
            tools["rknn-toolkit2"] = string.Join(", ", toolkits);
        return tools;
    }

    /// <summary>Variants that break a gate or leave one undecided at any shape, each with all its shapes.</summary>
    internal static IReadOnlyList<VariantRemark> Failed(IReadOnlyList<ValidationReport> reports) =>
        [
            .. reports
                .GroupBy(report => report.Subject.Variant)
                .SelectMany(variant => WholeVariant.Omitted(variant.Key, [.. variant.Select(Failures)])),
        ];

    private static (string, IReadOnlyList<string>) Failures(ValidationReport report) =>
        (report.Subject.Shape, [.. report.Gates.Where(gate => !gate.Result.Holds()).Select(gate => gate.Statement)]);

    private static JsonObject Without(JsonObject node, string key)
    {
        node.Remove(key);
        return node;
    }

    /// <summary>What models.yaml resolved to for this model, without anything of this machine.</summary>
    private static JsonObject Settings(ModelSpec model) =>
        (JsonObject)
            JsonNode.Parse(
                ReportJson.Text(
                    new
                    {
                        model.Shapes,
                        Calibration = model.Calibration with
                        {
                            Regenerate = false,
                        },
                        Tokenizer = Without(ReportJson.Node(model.Tokenizer), "vocab"),
                        Validation = new
                        {
                            model.Validation.Corpus,
                            model.Validation.Queries,
                            model.Validation.Device,
                        },
                        Variants = model.Variants.Select(variant => variant with { Force = false }),
                        model.Decision,
                    }
                )
            )!;
}
