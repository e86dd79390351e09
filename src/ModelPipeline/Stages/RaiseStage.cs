using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Checking;
using ModelPipeline.Raising;

namespace ModelPipeline.Stages;

/// <summary>What was done to a source before anything else: content of raise.json, and part of prepare.json.</summary>
/// <param name="Steps">Empty if the source is used as it is.</param>
public sealed record RaisingReport(IReadOnlyList<RaisingStep> Steps);

/// <summary>Source file to the same model in fp32, standard operators, opset 13 to 19, and weights that stand as constants.</summary>
public static class RaiseStage
{
    /// <returns>The raised file, or the source itself if there is nothing to raise.</returns>
    public static async Task<FetchedFile> RunAsync(ModelBuild build, StageContext context)
    {
        var fetched = await build.FetchAsync(context).ConfigureAwait(false);
        var source = fetched.Model;
        var folder = FolderOf(build);
        var (output, record) = (Path.Combine(folder, "model.onnx"), Path.Combine(folder, "raise" + StageRecord.Extension));
        var key = StageRecord.KeyOf("raise", StageVersions.Raise, null, fetched.Digests());
        if (!build.IsUpToDate(record, key, context))
        {
            context.Progress.Report(new StageProgress("read source", 0, 0));
            var model = fetched.Load();
            var raised = RaisedModel.Of(model, source.Path, context.Cancellation);
            Directory.CreateDirectory(folder);
            List<string> outputs = [ReportPath(build)];
            ReportJson.Write(outputs[0], new RaisingReport(raised.Steps));
            File.Delete(output);
            // All behind this reads one file, or one with its data beside it.
            if (raised.Steps.Count > 0 || fetched.Data.Count > 0)
            {
                OnnxChecker.Check(raised.Model).Beyond(OnnxChecker.Check(model)).ThrowIfUnsound(source.Path);
                raised.Model.Save(output);
                outputs.AddRange(new[] { output, output + ExternalData.Extension }.Where(File.Exists));
            }
            foreach (var step in raised.Steps)
                context.Info($"{build.Model.Name}: source: {string.Join("; ", step.Matches)} (outputs {Moved(step)})");
            build.Finish(record, key, outputs, context);
        }
        if (!File.Exists(output))
            return source;
        var digest = FileDigest.Of(output, context.Cancellation);
        return new FetchedFile(output, digest.Sha256, digest.Size);
    }

    /// <summary>Of the finished stage.</summary>
    internal static RaisingReport Report(ModelBuild build) => ReportJson.Read<RaisingReport>(ReportPath(build));

    private static string Moved(RaisingStep step) =>
        step.Shift switch
        {
            null => "not compared: the source does not run here as it is",
            0 => "unmoved",
            { } shift => $"moved by at most {shift:0.0e+0}",
        };

    private static string FolderOf(ModelBuild build) => Path.Combine(build.Folder, "source");

    private static string ReportPath(ModelBuild build) => Path.Combine(FolderOf(build), "raise.json");
}
