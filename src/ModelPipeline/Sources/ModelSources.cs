using System.Collections.Immutable;
using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Onnx;

namespace ModelPipeline.Sources;

/// <summary>The model's verified source files on this machine.</summary>
/// <param name="Model">The model file.</param>
/// <param name="Vocabulary">The tokenizer's vocabulary.</param>
public sealed record FetchedModel(FetchedFile Model, FetchedFile Vocabulary)
{
    /// <summary>The tokenizer's other files, by key of models.yaml: merges, config, special_tokens.</summary>
    public ImmutableDictionary<string, FetchedFile> Companions { get; init; } = ImmutableDictionary<string, FetchedFile>.Empty;

    /// <summary>Files that hold data of the model's tensors, by the location that it names.</summary>
    public ImmutableDictionary<string, FetchedFile> Data { get; init; } = ImmutableDictionary<string, FetchedFile>.Empty;

    /// <summary>The model with its data.</summary>
    internal OnnxModel Load() => OnnxModel.Load(Model.Path, Data.ToDictionary(file => file.Key, file => file.Value.Path));

    /// <summary>sha256 of the model and of its data, by logical name.</summary>
    internal Dictionary<string, string> Digests() =>
        new(Data.Select(file => KeyValuePair.Create($"data/{file.Key}", file.Value.Sha256))) { ["model"] = Model.Sha256 };

    /// <summary>Files of the model's repository, or beside its file, that say what models.yaml leaves open, by name; see
    /// <see cref="ModelSpec.FilesBeside"/>.</summary>
    public ImmutableDictionary<string, FetchedFile> Beside { get; init; } = ImmutableDictionary<string, FetchedFile>.Empty;
}

/// <summary>
/// Gets the sources of models. What models.yaml leaves open, such as a branch, is looked up once and written to <see cref="ModelsLock"/>;
/// from then on the lock decides, until the source is another one or <see cref="UpdateAsync"/> is called.
/// </summary>
/// <param name="manifest">Its folder holds the lock.</param>
/// <param name="fetcher">Gets single files.</param>
/// <param name="locked">Refuses whatever is not as locked, settings included, and never writes the lock.</param>
public sealed class ModelSources(ModelsManifest manifest, SourceFetcher fetcher, bool locked = false)
{
    /// <summary>More than any file of settings needs.</summary>
    private const long MaxBytesBeside = 1 << 20;

    private readonly string _path = ModelsLock.PathFor(manifest);

    /// <summary>Downloads and provisioned tools, shared by all builds of this machine.</summary>
    public string Cache => fetcher.Cache;

    /// <summary>Deletes all downloads, finished or not, but those that a running pipeline uses. Returns the bytes freed.</summary>
    public long ClearDownloads() => fetcher.ClearCache();

    /// <summary>Downloads or verifies a model and its vocabulary.</summary>
    /// <exception cref="PipelineException">A source cannot be had or is not what was declared or locked.</exception>
    public async Task<FetchedModel> FetchAsync(string model, IProgress<StageProgress>? progress, CancellationToken cancellation)
    {
        var declared = manifest.Models.Single(each => each.Name == model);
        var before = ModelsLock.Load(_path).Models.GetValueOrDefault(model);
        if (locked)
            RequireUnchanged(declared, before);
        var fetched = await FetchAsync(declared, before, progress, cancellation).ConfigureAwait(false);
        var isOpen = declared
            .Tokenizer.Companions()
            .Select(companion => companion.Source)
            .Append(declared.Source)
            .Append(declared.Tokenizer.Vocab)
            .Any(source => source.Url is null && (source.HuggingFace is not null || source.Sha256 is null));
        isOpen |= fetched.Data.Count > 0;
        if (!locked && isOpen && Locked(declared, fetched) is var now && !now.HasSourcesOf(before))
            Write(model, now);
        return fetched;
    }

    /// <summary>Looks everything up anew and writes it to the lock.</summary>
    /// <returns>A line for each change against the lock as it was.</returns>
    /// <exception cref="PipelineException">A source cannot be had or is not what was declared, or nothing may change.</exception>
    public async Task<IReadOnlyList<string>> UpdateAsync(string model, IProgress<StageProgress>? progress, CancellationToken cancellation)
    {
        if (locked)
            throw new PipelineException(
                "--locked forbids what --target=Update is for; leave out one of them.",
                PipelineException.ConfigurationError
            );
        var declared = manifest.Models.Single(each => each.Name == model);
        var now = Locked(declared, await FetchAsync(declared, null, progress, cancellation).ConfigureAwait(false));
        var changes = ModelsLock.Changes(model, ModelsLock.Load(_path).Models.GetValueOrDefault(model), now);
        if (changes.Count > 0)
            Write(model, now);
        return changes;
    }

    /// <summary>Writes a plan to the lock if it is another one.</summary>
    /// <exception cref="PipelineException">It is, and nothing may change.</exception>
    public void Freeze(string model, FrozenPlan plan)
    {
        var all = ModelsLock.Load(_path);
        if (
            all.Plans?.GetValueOrDefault(model) is { } before
            && before.Shapes.SequenceEqual(plan.Shapes)
            && (before.Precision, before.CorePlan) == (plan.Precision, plan.CorePlan)
        )
            return;
        RequireOpen("plan", model);
        (all with { Plans = new(all.Plans ?? [], StringComparer.Ordinal) { [model] = plan } }).Write(_path);
    }

    /// <summary>Writes down the recipe that later runs build a variant by.</summary>
    /// <exception cref="PipelineException">The sources are locked, and the lock has another one.</exception>
    public void Freeze(string model, string variant, Int8Recipe recipe)
    {
        var all = ModelsLock.Load(_path);
        var name = FrozenRecipe.NameOf(model, variant);
        if (all.Recipes?.GetValueOrDefault(name) == recipe)
            return;
        RequireOpen("recipe", name);
        (all with { Recipes = new(all.Recipes ?? [], StringComparer.Ordinal) { [name] = recipe } }).Write(_path);
    }

    private void RequireOpen(string what, string of)
    {
        if (locked)
            throw new PipelineException(
                $"{_path}: --locked forbids another {what} of {of}: leave it out, or keep the {what}.",
                PipelineException.ConfigurationError
            );
    }

    /// <summary>The repository, folder or file that a new model comes from.</summary>
    /// <exception cref="PipelineException">There is none, or the hub cannot be asked.</exception>
    internal Task<ModelRepository> OpenAsync(string from, CancellationToken cancellation) =>
        ModelRepository.OpenAsync(from, fetcher, cancellation);

    /// <summary>A single file that models.yaml does not name, as it is now.</summary>
    public Task<FetchedFile> FetchAsync(SourceSpec source, CancellationToken cancellation) =>
        fetcher.FetchAsync(source, null, cancellation);

    private async Task<FetchedModel> FetchAsync(
        ModelSpec model,
        LockedModel? pins,
        IProgress<StageProgress>? progress,
        CancellationToken cancellation
    )
    {
        var (source, vocab) = (model.Source, model.Tokenizer.Vocab);
        var fetched = new FetchedModel(
            await fetcher.FetchAsync(source, Pin(source, pins?.Source), progress, cancellation).ConfigureAwait(false),
            await fetcher.FetchAsync(vocab, Pin(vocab, pins?.Vocab), progress, cancellation).ConfigureAwait(false)
        );
        foreach (var (key, companion) in model.Tokenizer.Companions())
        {
            var pin = Pin(companion, pins?.Tokenizer?.GetValueOrDefault(key));
            var file = await fetcher.FetchAsync(companion, pin, progress, cancellation).ConfigureAwait(false);
            fetched = fetched with { Companions = fetched.Companions.Add(key, file) };
        }
        foreach (var name in OnnxModel.ExternalFiles(fetched.Model.Path))
        {
            var file = await DataAsync(source, name, fetched.Model, pins, progress, cancellation).ConfigureAwait(false);
            fetched = fetched with { Data = fetched.Data.Add(name, file) };
        }
        foreach (var name in model.FilesBeside)
        {
            if (await BesideAsync(source, name, fetched.Model, pins, progress, cancellation).ConfigureAwait(false) is { } file)
                fetched = fetched with { Beside = fetched.Beside.Add(name, file) };
        }
        return fetched;
    }

    /// <summary>A file with data of the model's tensors: beside it, at its own commit.</summary>
    private async Task<FetchedFile> DataAsync(
        SourceSpec source,
        string name,
        FetchedFile model,
        LockedModel? pins,
        IProgress<StageProgress>? progress,
        CancellationToken cancellation
    )
    {
        var data = source switch
        {
            { File: { } local } => source with { File = Path.Combine(Path.GetDirectoryName(local)!, name), Sha256 = null },
            { HuggingFace: { } hub } => source with
            {
                HuggingFace = hub with
                {
                    File = hub.File[..(hub.File.LastIndexOf('/') + 1)] + name,
                    Revision = model.Commit ?? hub.Revision,
                },
                Sha256 = null,
            },
            _ => throw new PipelineException(
                $"{HttpSource.Shown(source.Url!)}: the model keeps data in '{name}', which a url does not say where to get: declare it "
                    + $"as file or huggingface.",
                PipelineException.ConfigurationError
            ),
        };
        var pin = pins?.Data?.GetValueOrDefault(name);
        if (data.File is { } path && !File.Exists(path))
            throw new PipelineException($"{source.File}: the model keeps data in '{name}', and there is no file {path}; put it there.");
        try
        {
            var isSame = data.HuggingFace is null || Pin(source, pins?.Source) is not null;
            return await fetcher.FetchAsync(data, isSame ? pin : null, progress, cancellation).ConfigureAwait(false);
        }
        catch (PipelineException e) when (HttpSource.IsMissing(e))
        {
            throw new PipelineException(
                $"{ModelsLock.NameOf(source, manifest)}: the model keeps data in '{name}', and the repository has no such file beside it; "
                    + $"ask its author for it.",
                inner: e
            );
        }
    }

    /// <summary>A file of the model's repository, at the model's own commit, or below the folder of its file or, for a file in onnx/, the
    /// one above; null if there is none.</summary>
    private async Task<FetchedFile?> BesideAsync(
        SourceSpec source,
        string name,
        FetchedFile model,
        LockedModel? pins,
        IProgress<StageProgress>? progress,
        CancellationToken cancellation
    )
    {
        if (source.File is { } local)
        {
            var folder = Path.GetDirectoryName(local)!;
            string[] folders = Path.GetFileName(folder) == "onnx" ? [folder, Path.GetDirectoryName(folder)!] : [folder];
            var path = folders.Select(each => Path.Combine(each, name)).FirstOrDefault(File.Exists);
            if (path is null)
                return null;
            var digest = FileDigest.Of(path, cancellation);
            return new FetchedFile(path, digest.Sha256, digest.Size);
        }
        if (source.HuggingFace is not { } hub)
            return null;
        var pin = pins?.Beside?.GetValueOrDefault(name);
        // What the lock knows of the model it knows whole: what is not in it was not there.
        if (pin is null && (Pin(source, pins?.Source) is not null || fetcher.IsOffline))
            return null;
        try
        {
            return await fetcher
                .FetchAsync(
                    new SourceSpec
                    {
                        HuggingFace = hub with { File = name, Revision = model.Commit ?? hub.Revision },
                        MaxBytes = MaxBytesBeside,
                    },
                    pin,
                    progress,
                    cancellation
                )
                .ConfigureAwait(false);
        }
        catch (PipelineException e) when (HttpSource.IsMissing(e))
        {
            return null;
        }
    }

    /// <summary>The locked content, if it is that of this source and of no other digest than models.yaml asks for.</summary>
    private LockedSource? Pin(SourceSpec source, LockedSource? pin) =>
        pin?.From == ModelsLock.NameOf(source, manifest) && (source.Sha256 is null || source.Sha256 == pin.Sha256) ? pin : null;

    private void RequireUnchanged(ModelSpec model, LockedModel? before)
    {
        if (before is null)
            throw new PipelineException(
                $"{_path}: {model.Name} is not in it, and --locked forbids to add it; run --target=Update --model={model.Name} and commit "
                    + $"the file.",
                PipelineException.ConfigurationError
            );
        var changes = ModelsLock.Changes(
            model.Name,
            before,
            new LockedModel(
                Declared(model.Source, before.Source),
                Declared(model.Tokenizer.Vocab, before.Vocab),
                ModelsLock.SettingsOf(model)
            )
            {
                Tokenizer = LockedModel.ByKey(
                    model
                        .Tokenizer.Companions()
                        .Select(each =>
                            (
                                each.Key,
                                Declared(each.Source, before.Tokenizer?.GetValueOrDefault(each.Key) ?? new LockedSource("", null, "", 0))
                            )
                        )
                ),
                Beside = before.Beside,
                Data = before.Data,
            }
        );
        if (changes.Count > 0)
        {
            throw new PipelineException(
                $"{_path}: --locked forbids these changes:\n  {string.Join("\n  ", changes)}\nUndo them, or run --target=Update "
                    + $"--model={model.Name} and commit the file.",
                PipelineException.ConfigurationError
            );
        }
    }

    /// <summary>As far as models.yaml says it; the rest as locked.</summary>
    private LockedSource Declared(SourceSpec source, LockedSource before) =>
        before with
        {
            From = ModelsLock.NameOf(source, manifest),
            Commit = source.HuggingFace is null ? null : before.Commit,
            Sha256 = source.Sha256 ?? before.Sha256,
        };

    private LockedModel Locked(ModelSpec model, FetchedModel fetched) =>
        new(Locked(model.Source, fetched.Model), Locked(model.Tokenizer.Vocab, fetched.Vocabulary), ModelsLock.SettingsOf(model))
        {
            Tokenizer = LockedModel.ByKey(
                model.Tokenizer.Companions().Select(each => (each.Key, Locked(each.Source, fetched.Companions[each.Key])))
            ),
            Data = LockedModel.ByKey(
                fetched.Data.Select(each => (each.Key, new LockedSource(each.Key, each.Value.Commit, each.Value.Sha256, each.Value.Bytes)))
            ),
            Beside = model.Source.HuggingFace is { } hub
                ? LockedModel.ByKey(
                    fetched.Beside.Select(each =>
                        (each.Key, Locked(new SourceSpec { HuggingFace = hub with { File = each.Key } }, each.Value))
                    )
                )
                : null,
        };

    private LockedSource Locked(SourceSpec source, FetchedFile file) =>
        new(ModelsLock.NameOf(source, manifest), file.Commit, file.Sha256, file.Bytes);

    private void Write(string model, LockedModel now)
    {
        var all = ModelsLock.Load(_path);
        all.Models[model] = now;
        all.Write(_path);
    }
}
