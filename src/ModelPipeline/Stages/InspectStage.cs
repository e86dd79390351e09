using ModelPipeline.Core;
using ModelPipeline.Inspection;
using ModelPipeline.Onnx;
using ModelPipeline.Sources;

namespace ModelPipeline.Stages;

/// <summary>The source as every stage takes it.</summary>
/// <param name="Path">The fetched file, the raised one, or the one whose inputs or outputs were brought into form.</param>
/// <param name="Sha256">Of that file.</param>
/// <param name="Inspection">What was found out.</param>
internal sealed record InspectedSource(string Path, string Sha256, ModelInspection Inspection)
{
    public Answer Answer => Inspection.Answer;
}

/// <summary>Source, tokenizer and declaration together to what the model is, before anything is built of it.</summary>
internal static class InspectStage
{
    /// <summary>Writes inspect.json, and model.onnx beside it if the source had to be brought into form, and tells the findings.</summary>
    /// <exception cref="PipelineException">Source, tokenizer, shapes and task do not fit together.</exception>
    public static async Task<InspectedSource> RunAsync(ModelBuild build, StageContext context)
    {
        var (model, folder) = (build.Model, System.IO.Path.Combine(build.Folder, "prepared"));
        var (report, formed) = (System.IO.Path.Combine(folder, "inspect.json"), System.IO.Path.Combine(folder, "model.onnx"));
        var record = System.IO.Path.Combine(folder, "inspect" + StageRecord.Extension);
        var fetched = await build.FetchAsync(context).ConfigureAwait(false);
        var settings = new
        {
            model.Output,
            model.Pooling,
            model.Normalize,
            Shapes = model.Shapes.Select(shape => shape.ToString()),
            build.TextSettings,
            Raised = StageVersions.Raise,
        };
        var inputs = new Dictionary<string, string>(
            fetched
                .Digests()
                .Concat(fetched.Companions.Select(file => KeyValuePair.Create($"tokenizer/{file.Key}", file.Value.Sha256)))
                .Concat(fetched.Beside.Select(file => KeyValuePair.Create($"beside/{file.Key}", file.Value.Sha256)))
        )
        {
            ["vocabulary"] = fetched.Vocabulary.Sha256,
        };
        var key = StageRecord.KeyOf("inspect", StageVersions.Inspect, settings, inputs);
        if (!build.IsUpToDate(record, key, context))
        {
            context.Progress.Report(new StageProgress($"inspect {model.Name}", 0, 0));
            var (taken, found, source) = await InspectAsync(build, fetched, context).ConfigureAwait(false);
            var isFormed = !ReferenceEquals(taken, source);
            Directory.CreateDirectory(folder);
            File.Delete(formed);
            if (isFormed)
                taken.Save(formed);
            ReportJson.Write(report, found);
            build.Finish(
                record,
                key,
                new[] { report, formed, formed + ExternalData.Extension }.Where(path => path == report || (isFormed && File.Exists(path))),
                context
            );
        }
        var inspection = ReportJson.Read<ModelInspection>(report);
        foreach (var finding in inspection.Findings)
            (finding.IsWarning ? context.Warning : context.Info)($"{model.Name}: {finding.About}: {finding.Statement}");
        var raised = await RaiseStage.RunAsync(build, context).ConfigureAwait(false);
        return File.Exists(formed)
            ? new InspectedSource(formed, FileDigest.Of(formed, context.Cancellation).Sha256, inspection)
            : new InspectedSource(raised.Path, raised.Sha256, inspection);
    }

    /// <summary>Whatever is wrong here is wrong with what models.yaml names, and no stage has failed.</summary>
    private static async Task<(OnnxModel Taken, ModelInspection Found, OnnxModel Source)> InspectAsync(
        ModelBuild build,
        FetchedModel fetched,
        StageContext context
    )
    {
        try
        {
            // What is wrong with the file itself is told in its own names, before they change.
            ModelInspector.RequireSound(fetched.Load(), build.Model.Name);
            var source = OnnxModel.Load((await RaiseStage.RunAsync(build, context).ConfigureAwait(false)).Path);
            var tokenizer = await build.TokenizerAsync(context).ConfigureAwait(false);
            var files = SentenceTransformersFiles.Read(
                fetched.Beside.GetValueOrDefault(SentenceTransformersFiles.ModulesName)?.Path,
                fetched.Beside.GetValueOrDefault(SentenceTransformersFiles.PoolingName)?.Path
            );
            var (taken, found) = ModelInspector.Inspect(
                new InspectionSubject(build.Model, source, tokenizer, files, build.Task.Choose),
                context.Cancellation
            );
            return (taken, found, source);
        }
        catch (PipelineException e) when (e.ExitCode != PipelineException.ConfigurationError)
        {
            throw new PipelineException(e.Message, PipelineException.ConfigurationError, e);
        }
    }
}
