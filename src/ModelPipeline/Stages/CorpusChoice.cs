using ModelPipeline.Core;
using ModelPipeline.Corpora;
using ModelPipeline.Manifest;
using ModelPipeline.Proposals;

namespace ModelPipeline.Stages;

/// <summary>The corpus of a new model: the one that was named, one that models.yaml has, or the sample's texts.</summary>
/// <param name="manifest">As it is.</param>
/// <param name="path">--corpus; null if it was not given.</param>
/// <param name="context">Told how it goes.</param>
internal sealed class CorpusChoice(ModelsManifest manifest, string? path, StageContext context)
{
    /// <summary>Folder beside models.yaml that imported collections go to.</summary>
    public const string Folder = "corpora";

    private const string SampleName = "sample-texts";

    private readonly List<string> notes = [];
    private string? made;

    /// <summary>What was done, a clause each.</summary>
    public IReadOnlyList<string> Notes => notes;

    /// <summary>Imports it if need be.</summary>
    /// <exception cref="PipelineException">It cannot be read, or its name is taken.</exception>
    public (CorpusFacts Facts, CorpusSpec Spec) Choose()
    {
        if (path is null)
            return manifest.Corpora.Count > 0 ? Declared(manifest.Corpora.Values.First()) : Sample();
        var full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        var name = NameOf(full);
        if (Directory.Exists(full) && CorpusImport.IsOwn(full))
        {
            var own = CorpusImport.SpecOf(name, full);
            if (manifest.Corpora.TryGetValue(name, out var same) && same != own)
                throw Taken(name);
            notes.Add($"corpus {name}: read where it is, {path}");
            return (new CorpusFacts(name, $"The corpus '{name}' is read where it is", own.Qrels is not null), own);
        }
        if (manifest.Corpora.TryGetValue(name, out var there))
        {
            return there.Passages.StartsWith(FolderOf(name), StringComparison.Ordinal) ? Declared(there) : throw Taken(name);
        }
        return Imported(name, CorpusImport.Open(full), full);
    }

    /// <summary>Deletes what was imported.</summary>
    public void Undo()
    {
        if (made is not null && Directory.Exists(made))
            AtomicFile.DeleteFolder(made);
    }

    /// <summary>The entry below <c>corpora:</c>.</summary>
    /// <param name="spec">Of the corpus.</param>
    /// <param name="folder">Of models.yaml.</param>
    public static string Entry(CorpusSpec spec, string folder) =>
        $"  {spec.Name}:\n"
        + string.Concat(
            spec.Files.Select(file => $"    {file.Key}: {YamlText.Scalar(Path.GetRelativePath(folder, file.Path).Replace('\\', '/'))}\n")
        );

    private (CorpusFacts, CorpusSpec) Declared(CorpusSpec spec)
    {
        notes.Add($"corpus {spec.Name}: models.yaml has it");
        return (new CorpusFacts(spec.Name, $"The corpus '{spec.Name}' was here before", spec.Qrels is not null), spec);
    }

    private (CorpusFacts, CorpusSpec) Sample() => Imported(SampleName, SampleTexts.Corpus(), "the sample's, in English");

    private (CorpusFacts, CorpusSpec) Imported(string name, ForeignCorpus foreign, string from)
    {
        var folder = FolderOf(name);
        if (Directory.Exists(folder))
            throw new PipelineException(
                $"{folder} is there, and models.yaml does not name it: delete it, or declare it below 'corpora:'.",
                PipelineException.ConfigurationError
            );
        made = folder;
        var imported = CorpusImport.Run(foreign, folder, context);
        notes.Add($"corpus {name}: {imported.Queries} queries and {imported.Passages} passages of {from} ({imported.Form})");
        notes.AddRange(imported.Notes.Select(note => $"corpus {name}: {note}"));
        return (
            new CorpusFacts(
                name,
                $"{imported.Queries} queries and {imported.Passages} passages of {from}: {string.Join("; ", imported.Notes)}",
                imported.IsJudged
            ),
            CorpusImport.SpecOf(name, folder)
        );
    }

    private string FolderOf(string name) => Path.Combine(Path.GetDirectoryName(manifest.Path)!, Folder, name);

    private PipelineException Taken(string name) =>
        new(
            $"{manifest.Path}: the corpus '{name}' is there already, from elsewhere; rename that one, or the folder of --corpus={path}.",
            PipelineException.ConfigurationError
        );

    /// <summary>Of the file or folder, with what no name may have replaced.</summary>
    private static string NameOf(string path)
    {
        var name = string.Concat(
            Path.GetFileNameWithoutExtension(path)
                .Select(letter => char.IsAsciiLetterOrDigit(letter) || letter is '.' or '_' or '-' ? letter : '-')
        );
        return name.TrimStart('.', '_', '-') is { Length: > 0 } usable ? usable[..Math.Min(usable.Length, 64)] : "corpus";
    }
}
