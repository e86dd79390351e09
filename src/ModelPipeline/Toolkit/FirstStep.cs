using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text.Json;
using ModelPipeline.Core;

namespace ModelPipeline.Toolkit;

/// <summary>
/// What the first of the toolkit's two steps of hybrid quantization left: the ranges of all tensors, the same for every plan. Kept by
/// content, so that another plan of the same model costs the second step alone.
/// </summary>
/// <param name="Folder">Has the toolkit's files.</param>
/// <param name="Tensors">Names in its <c>.quantization.cfg</c>, in the order of execution.</param>
internal sealed record FirstStep(string Folder, IReadOnlyList<string> Tensors)
{
    /// <summary>So many of a model are kept, the latest used: each is as large as the model.</summary>
    private const int Kept = 6;

    private static readonly ConcurrentDictionary<string, SemaphoreSlim> Making = new(StringComparer.Ordinal);

    private const int Version = 1;
    private const string TensorsFile = "tensors.json";
    private const string RecordFile = "step1" + StageRecord.Extension;

    /// <summary>Of all that decides about the first step.</summary>
    public static string KeyOf(ToolkitSettings settings, ToolkitRequest request, CancellationToken cancellation)
    {
        var calibration = settings with { Dataset = null, Simulate = [], Analyse = false };
        var digests = new Dictionary<string, string>
        {
            ["model"] = FileDigest.Of(request.Source, cancellation).Sha256,
            ["dataset"] = DatasetDigest(settings.Dataset!),
            ["driver"] = FileDigest.Of(request.Environment.Driver, cancellation).Sha256,
        };
        return StageRecord.KeyOf(
            "step1",
            Version,
            new
            {
                Settings = JsonSerializer.SerializeToElement(calibration, ToolkitJson.Default.ToolkitSettings),
                request.Variant.Target,
                CustomString = request.CustomString.Length, // of which the files hold a stand-in
            },
            digests
        );
    }

    /// <summary>That of this key, taken from <paramref name="folder"/> if it is there whole, else made and kept there.</summary>
    /// <param name="make">Writes the toolkit's files to a folder and returns the names of the tensors.</param>
    public static async Task<FirstStep> GetAsync(
        string folder,
        string key,
        Func<string, Task<IReadOnlyList<string>>> make,
        CancellationToken cancellation
    )
    {
        // Builds that run at once and need the same one: the second takes what the first has made.
        var own = Path.Combine(folder, key[..16]);
        var gate = Making.GetOrAdd(Path.GetFullPath(own), _ => new(1));
        await gate.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            return await GetOrMakeAsync(own, key, make, cancellation).ConfigureAwait(false);
        }
        finally
        {
            gate.Release();
        }
    }

    private static async Task<FirstStep> GetOrMakeAsync(
        string own,
        string key,
        Func<string, Task<IReadOnlyList<string>>> make,
        CancellationToken cancellation
    )
    {
        if (StageRecord.TryReuse(Path.Combine(own, RecordFile), key, cancellation) is not null)
        {
            Directory.SetLastWriteTimeUtc(own, DateTime.UtcNow);
            return new(own, ReportJson.Read<List<string>>(Path.Combine(own, TensorsFile)));
        }
        var temporary = AtomicFile.TemporaryName(own);
        try
        {
            Directory.CreateDirectory(temporary);
            var tensors = await make(temporary).ConfigureAwait(false);
            ReportJson.Write(Path.Combine(temporary, TensorsFile), tensors);
            StageRecord.Write(Path.Combine(temporary, RecordFile), key, Directory.GetFiles(temporary), cancellation);
            AtomicFile.DeleteFolder(own);
            Directory.Move(temporary, own);
            Sweep(Path.GetDirectoryName(own)!);
            return new(own, tensors);
        }
        finally
        {
            AtomicFile.DeleteFolder(temporary);
        }
    }

    private static void Sweep(string folder)
    {
        var old = new DirectoryInfo(folder)
            .EnumerateDirectories()
            .Where(step => !step.Name.EndsWith(AtomicFile.TemporarySuffix, StringComparison.Ordinal))
            .OrderByDescending(step => step.LastWriteTimeUtc)
            .Skip(Kept);
        foreach (var step in old)
            step.Delete(recursive: true);
    }

    /// <summary>Of the list and of every sample in it.</summary>
    private static string DatasetDigest(string dataset)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var folder = Path.GetDirectoryName(dataset)!;
        foreach (var line in File.ReadLines(dataset))
        {
            hash.AppendData(System.Text.Encoding.UTF8.GetBytes(line + "\n"));
            foreach (var file in line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
                hash.AppendData(SHA256.HashData(File.ReadAllBytes(Path.Combine(folder, file))));
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
