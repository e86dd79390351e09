using ModelPipeline.Artifacts;
using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;
using ModelPipeline.Packaging;

namespace ModelPipeline.Publishing;

/// <summary>
/// Publishes in a model repository of a hub: a commit with all files and a tag for the version, a candidate's on a branch of its own. Like
/// <see cref="GitHubPlace"/> it looks, does what is left, and looks again, so that a run that broke off goes on where it was.
/// </summary>
public sealed class HubPlace : ReleasePlace
{
    private const string Main = "main";

    /// <summary>Readers of the main branch never see what no board has run.</summary>
    private const string Candidates = "candidate";

    /// <summary>More than it takes when nobody else publishes there.</summary>
    private const int MostLooks = 8;

    private readonly HubRepository _repository;
    private readonly TimeSpan _pause;

    /// <param name="repository">Where to publish.</param>
    public HubPlace(HubRepository repository)
        : this(repository, TimeSpan.FromSeconds(1)) { }

    /// <param name="repository">Where to publish.</param>
    /// <param name="pause">Before a request is made again the first time.</param>
    internal HubPlace(HubRepository repository, TimeSpan pause) => (_repository, _pause) = (repository, pause);

    /// <inheritdoc/>
    public override async Task<PublishOutcome> PublishAsync(Release release, string folder, PublishExtent extent, StageContext context)
    {
        if (release.Refusal is { } refusal)
            throw new PipelineException(refusal);
        if (extent == PublishExtent.Draft)
            throw new PipelineException("--draft: a hub has no drafts, which are GitHub's.", PipelineException.ConfigurationError);
        if (extent == PublishExtent.Release && _repository.Token is null)
            throw new PipelineException(
                $"Publish: no token. Set HF_TOKEN to one that may write {_repository}.",
                PipelineException.ConfigurationError
            );
        using var api = Api(context, "Publish again to go on from there.");
        var built = await Built.OfAsync(release, folder, context.Cancellation).ConfigureAwait(false);
        var (done, looks) = (new List<PublishStep>(), 0);
        while (looks++ < MostLooks)
        {
            var state = await LookAsync(api, built, context.Cancellation).ConfigureAwait(false);
            if (extent == PublishExtent.DryRun || state.Plan.Count == 0)
                return new(state.Plan.Count == 0 ? AddressOf(release.Tag) : null, extent == PublishExtent.DryRun ? state.Plan : done);
            try
            {
                done.AddRange(await StepAsync(api, built, state, context).ConfigureAwait(false));
            }
            catch (HubMovedException)
            {
                context.Info($"{release.Tag}: somebody else committed to {state.Branch} of {_repository}; looking again");
            }
        }
        throw new PipelineException(
            $"{release.Tag} on {_repository}: after {MostLooks} looks it is still not there as it was built. See whether somebody else "
                + $"commits there, and publish again."
        );
    }

    /// <inheritdoc/>
    public override async Task<bool> HasAsync(string tag, StageContext context)
    {
        using var api = Api(context);
        return (await ReferencesAsync(api, context.Cancellation).ConfigureAwait(false)).Tags.ContainsKey(VersionOf(tag));
    }

    /// <inheritdoc/>
    public override async Task RestoreAsync(string tag, string folder, StageContext context)
    {
        using var api = Api(context);
        var revision = VersionOf(tag);
        // A repository may hold files of others, too.
        var names = await ReleasedAsync(api, revision, context.Cancellation).ConfigureAwait(false);
        foreach (var name in names.Append(PackageManifest.SumsName))
        {
            await using var to = File.Create(Path.Combine(folder, name));
            await api.DownloadAsync(revision, name, to, context.Cancellation).ConfigureAwait(false);
        }
    }

    public override string ToString() => _repository.ToString();

    private static string VersionOf(string tag) => tag[(tag.LastIndexOf('/') + 1)..];

    private Uri AddressOf(string tag) => new($"{HttpSource.Shown(_repository.Endpoint)}{_repository.Name}/tree/{VersionOf(tag)}");

    private HubApi Api(StageContext context, string advice = "Try again.") => new(_repository, _pause, advice, context.Info);

    private async Task<(IReadOnlyDictionary<string, string> Branches, IReadOnlyDictionary<string, string> Tags)> ReferencesAsync(
        HubApi api,
        CancellationToken cancellation
    ) =>
        await api.ReferencesAsync(cancellation).ConfigureAwait(false)
        ?? throw new PipelineException(
            $"{_repository}: there is no such repository, or HF_TOKEN may not see it. Make it on the hub first, and check its name."
        );

    /// <param name="Branch">That it is committed to.</param>
    /// <param name="Head">Its commit now; null for a branch that is yet to be made.</param>
    /// <param name="Base">What it is to stand on.</param>
    /// <param name="Plan">Steps that are left; none when the release is published just so.</param>
    private sealed record State(string Branch, string? Head, string Base, IReadOnlyList<PublishStep> Plan);

    /// <exception cref="PipelineException">Other bytes were published under this version.</exception>
    private async Task<State> LookAsync(HubApi api, Built built, CancellationToken cancellation)
    {
        var release = built.Release;
        var (branches, tags) = await ReferencesAsync(api, cancellation).ConfigureAwait(false);
        var branch = release.IsCandidate ? Candidates : Main;
        var head = branches.GetValueOrDefault(branch);
        if (tags.TryGetValue(VersionOf(release.Tag), out var published))
        {
            var differing = built.MissingFrom(await api.TreeAsync(published, cancellation).ConfigureAwait(false));
            return differing.Count == 0
                ? new(branch, head, published, [])
                : throw new PipelineException(
                    $"{release.Tag} is published at {AddressOf(release.Tag)} with other bytes "
                        + $"({string.Join(", ", differing.Select(file => file.Name))}), and a published version never changes. Raise "
                        + $"version: of {release.Model} in models.yaml."
                );
        }
        var ground =
            head
            ?? branches.GetValueOrDefault(Main)
            ?? throw new PipelineException($"{_repository}: the repository has no branch {Main}. Give it a first commit on the hub.");
        var there = await api.TreeAsync(ground, cancellation).ConfigureAwait(false);
        var earlier = there.Any(entry => entry.Path == PackageManifest.SumsName)
            ? await ReleasedAsync(api, ground, cancellation).ConfigureAwait(false)
            : [];
        var gone = earlier.Except(release.Files.Select(file => file.Name)).Intersect(there.Select(entry => entry.Path));
        return new(
            branch,
            head,
            ground,
            [
                .. built.MissingFrom(there).Select(file => new PublishStep.Add(file)),
                .. gone.Select(name => new PublishStep.Remove(name)),
                new PublishStep.Name(VersionOf(release.Tag)),
            ]
        );
    }

    /// <summary>Commits what is missing or, once all is there, names it.</summary>
    private async Task<IReadOnlyList<PublishStep>> StepAsync(HubApi api, Built built, State state, StageContext context)
    {
        var (release, folder, cancellation) = (built.Release, built.Folder, context.Cancellation);
        if (state.Head is null)
            await api.BranchAsync(state.Branch, state.Base, cancellation).ConfigureAwait(false);
        List<PublishStep> changes = [.. state.Plan.Where(step => step is not PublishStep.Name)];
        if (changes.Count == 0)
        {
            context.Info($"{release.Tag}: {state.Plan[^1].Sentence}");
            await api.TagAsync(VersionOf(release.Tag), state.Base, cancellation).ConfigureAwait(false);
            return state.Plan;
        }
        List<ReleaseFile> files = [.. changes.OfType<PublishStep.Add>().Select(step => step.File)];
        foreach (var file in files)
            RequireBuilt(Path.Combine(folder, file.Name), file, cancellation);
        var large = await api.LargeAsync(folder, files, state.Branch, cancellation).ConfigureAwait(false);
        await api.UploadAsync(folder, [.. files.Where(file => large.Contains(file.Name))], cancellation).ConfigureAwait(false);
        context.Info($"{release.Tag}: commit {changes.Count} files to {state.Branch}");
        await api.CommitAsync(
                state.Branch,
                state.Base,
                $"{release.Model} {release.Version}",
                [
                    .. files.Select(file => Operation(file, folder, large)),
                    .. changes.OfType<PublishStep.Remove>().Select(step => ("deletedFile", (object)new { path = step.File })),
                ],
                cancellation
            )
            .ConfigureAwait(false);
        return changes;
    }

    private static (string Key, object Value) Operation(ReleaseFile file, string folder, IReadOnlySet<string> large) =>
        large.Contains(file.Name)
            ? (
                "lfsFile",
                new
                {
                    path = file.Name,
                    algo = "sha256",
                    oid = file.Digest.Sha256,
                    size = file.Digest.Size,
                }
            )
            : (
                "file",
                new
                {
                    path = file.Name,
                    encoding = "base64",
                    content = Convert.ToBase64String(File.ReadAllBytes(Path.Combine(folder, file.Name))),
                }
            );

    private static void RequireBuilt(string path, ReleaseFile file, CancellationToken cancellation)
    {
        if (FileDigest.Of(path, cancellation) != file.Digest)
            throw new PipelineException($"{path} is not what was built: it should have sha256 {file.Digest.Sha256}. Run Release again.");
    }

    /// <summary>Names that the SHA256SUMS of a revision covers.</summary>
    /// <exception cref="PipelineException">It is not that of a release.</exception>
    private async Task<IReadOnlyCollection<string>> ReleasedAsync(HubApi api, string revision, CancellationToken cancellation)
    {
        var sums = await api.ReadAsync(revision, PackageManifest.SumsName, cancellation).ConfigureAwait(false);
        return PackageCheck.ReadSums(sums, $"{_repository}, {PackageManifest.SumsName} of {revision}").Keys;
    }

    /// <summary>A release whose files are known by what a hub tells of them, too: LFS SHA-256, Git the SHA-1 of a blob.</summary>
    private sealed record Built(Release Release, string Folder, IReadOnlyDictionary<string, string> Blobs)
    {
        public static async Task<Built> OfAsync(Release release, string folder, CancellationToken cancellation)
        {
            var blobs = new Dictionary<string, string>();
            foreach (var file in release.Files)
            {
                await using var content = File.OpenRead(Path.Combine(folder, file.Name));
                blobs[file.Name] = (await ContentDigest.GitBlobSha1Async(content, cancellation).ConfigureAwait(false)).Hex;
            }
            return new(release, folder, blobs);
        }

        public List<ReleaseFile> MissingFrom(IReadOnlyList<HubEntry> entries) =>
            [.. Release.Files.Where(file => !entries.Any(entry => Holds(entry, file)))];

        private bool Holds(HubEntry entry, ReleaseFile file) =>
            entry.Path == file.Name && entry.Size == file.Digest.Size && (entry.Oid == file.Digest.Sha256 || entry.Oid == Blobs[file.Name]);
    }
}
