using System.Text.RegularExpressions;
using ModelPipeline.Core;
using ModelPipeline.Inspection;
using ModelPipeline.Manifest;
using ModelPipeline.Onnx;
using ModelPipeline.Proposals;
using ModelPipeline.Raising;
using ModelPipeline.Sources;
using ModelPipeline.Tasks;
using ModelPipeline.Text;
using ModelPipeline.Toolkit;

namespace ModelPipeline.Stages;

/// <summary>What --target=New is asked for.</summary>
/// <param name="From">hf:owner/name, a folder, or an ONNX file.</param>
/// <param name="Variable">Reads the environment, which may name a toolkit.</param>
public sealed record NewRequest(string From, Func<string, string?> Variable)
{
    /// <summary>A test collection or texts; null takes the manifest's first corpus, else the sample's texts.</summary>
    public string? Corpus { get; init; }

    /// <summary>Of the model; null takes the repository's.</summary>
    public string? Name { get; init; }
}

/// <summary>What --target=New wrote.</summary>
/// <param name="Name">Of the model.</param>
/// <param name="Lines">What was found and why, a sentence each without its full stop.</param>
public sealed record NewModel(string Name, IReadOnlyList<string> Lines);

/// <summary>From a name to an entry of models.yaml that runs: reads the repository's files, proposes what they say, has it inspected, and
/// writes it.</summary>
public static partial class NewStage
{
    /// <summary>Largest ONNX file and data that are asked for; tokenizer files have megabytes at most.</summary>
    private const long MostModelBytes = 8L << 30,
        MostTokenizerBytes = 256L << 20;

    /// <summary>Texts whose tokens are counted for the shape.</summary>
    private const int MostCounted = 2000;

    /// <param name="request">What for.</param>
    /// <param name="manifest">As it is; without models where there is no file yet.</param>
    /// <param name="sources">Reach the hub.</param>
    /// <param name="context">Told how it goes.</param>
    /// <exception cref="PipelineException">The model cannot be built by this program, or its name is taken; nothing is written
    /// then.</exception>
    public static async Task<NewModel> RunAsync(NewRequest request, ModelsManifest manifest, ModelSources sources, StageContext context)
    {
        var repository = await sources.OpenAsync(request.From, context.Cancellation).ConfigureAwait(false);
        var name = NameOf(request.Name ?? repository.Name, manifest);
        var reader = new RepositoryReader(repository, context);
        var (file, model) = await reader.ModelAsync(MostModelBytes).ConfigureAwait(false);
        ModelInspector.RequireSound(model, repository.Shown);
        var (declared, files) = await reader.TokenizerAsync(MostTokenizerBytes).ConfigureAwait(false);
        var tokenizer = PairTokenizer.Load(files);
        var facts = await reader.FactsAsync(model).ConfigureAwait(false) with
        {
            Name = name,
            Source = file.Source,
            Tokenizer = declared,
            HasToolkit = await HasToolkitAsync(request, sources, context).ConfigureAwait(false),
        };
        var choice = TaskChoice.Of(facts);

        var corpora = new CorpusChoice(manifest, request.Corpus, context);
        try
        {
            var (corpus, spec) = corpora.Choose();
            var proposal = new ModelProposal(facts, choice, corpus, Lengths(Text.Corpus.Load(spec), tokenizer, choice));
            var folder = Path.GetDirectoryName(manifest.Path)!;
            var text = File.Exists(manifest.Path)
                ? await File.ReadAllTextAsync(manifest.Path, context.Cancellation).ConfigureAwait(false)
                : ManifestText.Empty;
            if (!manifest.Corpora.ContainsKey(corpus.Name))
                text = ManifestText.With(text, "corpora", CorpusChoice.Entry(spec, folder));
            text = ManifestText.With(text, "models", proposal.Entry(folder));
            var found = Inspected(text, manifest, new InspectionNeeds(facts, model, tokenizer), context);
            AtomicFile.WriteText(manifest.Path, text);
            return new NewModel(name, Told(proposal, corpora, found));
        }
        catch
        {
            corpora.Undo();
            throw;
        }
    }

    private static IReadOnlyList<string> Told(ModelProposal proposal, CorpusChoice corpora, ModelInspection inspection) =>
        [
            .. proposal.Facts.Found,
            $"task {proposal.Choice.Task}: {proposal.Choice.Why}",
            .. inspection.Findings.Select(finding => $"{finding.About}: {finding.Statement}"),
            .. proposal.Facts.Prompts.Prefixes is { } prefixes && !ModelTask.Named(proposal.Choice.Task).TakesPairs
                ? new[] { $"prefixes: \"{prefixes.Query}\" before queries, \"{prefixes.Passage}\" before passages" }
                : [],
            .. corpora.Notes,
            $"shape [1, {proposal.Tokens}]: {proposal.Lengths.Share99} tokens take 99 of 100 texts, the longest has "
                + $"{proposal.Lengths.Longest}",
            $"variants fp16 and int8 by backend {proposal.Backend}"
                + $"{(proposal.Facts.HasToolkit ? "" : ", as rknn-toolkit2 is not set up here")}, cpu-int8 by onnx",
            .. proposal.Doubts.Select(doubt => $"check: {doubt}"),
        ];

    private sealed record InspectionNeeds(ModelFacts Facts, OnnxModel Model, PairTokenizer Tokenizer);

    /// <summary>Reads the new text as any models.yaml is read, and has the model inspected as Prepare does.</summary>
    private static ModelInspection Inspected(string text, ModelsManifest before, InspectionNeeds needs, StageContext context)
    {
        var trial = $"{before.Path}.{Environment.ProcessId}-new{AtomicFile.TemporarySuffix}";
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(before.Path)!);
            File.WriteAllText(trial, text);
            var now = ModelsYaml.Load(trial, new ManifestOverrides(), Environment.GetEnvironmentVariable);
            var spec = now.Models.Single(model => model.Name == needs.Facts.Name);
            context.Progress.Report(new StageProgress($"inspect {spec.Name}", 0, 0));
            var raised = RaisedModel.Of(needs.Model, needs.Facts.Origin, context.Cancellation).Model;
            var subject = new InspectionSubject(spec, raised, needs.Tokenizer, needs.Facts.Sentence, ModelTask.Named(spec.Task).Choose);
            return ModelInspector.Inspect(subject, context.Cancellation).Inspection;
        }
        finally
        {
            File.Delete(trial);
        }
    }

    private static LengthFacts Lengths(Corpus corpus, PairTokenizer tokenizer, TaskChoice choice)
    {
        var pairs = ModelTask.Named(choice.Task).TakesPairs;
        List<(string First, string? Second)> texts = pairs
            ? [.. corpus.Queries.SelectMany(query => query.Candidates, (query, id) => (query.Text, (string?)corpus.Passages[id]))]
            : [.. corpus.Passages.Values.Select(text => (text, (string?)null))];
        var every = Math.Max(1, texts.Count / MostCounted);
        return LengthFacts.Of(
            texts.Where((_, index) => index % every == 0).Select(text => tokenizer.Count(text.First, text.Second)),
            texts.Count,
            pairs ? corpus.Queries.Count : texts.Count
        );
    }

    private static async Task<bool> HasToolkitAsync(NewRequest request, ModelSources sources, StageContext context)
    {
        var variant = new VariantSpec
        {
            Name = "fp16",
            Backend = Backend.Rknn,
            Precision = Precision.Fp16,
            Rewrites = [],
            Gates = [],
        };
        try
        {
            await ToolkitEnvironment.FindAsync(variant, sources.Cache, request.Variable, context.Cancellation).ConfigureAwait(false);
            return true;
        }
        catch (PipelineException)
        {
            return false;
        }
    }

    /// <exception cref="PipelineException">The name is none, or is taken.</exception>
    private static string NameOf(string wanted, ModelsManifest manifest)
    {
        if (!ModelName().IsMatch(wanted))
            throw new PipelineException(
                $"'{wanted}' is no name of a model: letters, digits, '.', '_' and '-' are, 64 at most; give one by --model=NAME.",
                PipelineException.ConfigurationError
            );
        return manifest.Models.All(model => !model.Name.Equals(wanted, StringComparison.OrdinalIgnoreCase))
            ? wanted
            : throw new PipelineException(
                $"{manifest.Path}: the model '{wanted}' is there already; give the new one another name by --model=NAME, or take that "
                    + $"entry out first.",
                PipelineException.ConfigurationError
            );
    }

    [GeneratedRegex("^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    private static partial Regex ModelName();
}
