using System.Security.Cryptography;

namespace ModelPipeline.Artifacts.Downloads;

/// <summary>
/// The beginning of a file, as far as it has come. Bytes are only ever added behind the last, so that whatever a killed process left is a
/// beginning too. Beside it stands the validator of the answer that it began with.
/// </summary>
internal sealed class PartialFile : IDisposable
{
    private readonly string _path;
    private readonly FileStream _file;
    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);

    private PartialFile(string path)
    {
        _path = path;
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        _file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read, bufferSize: 0);
    }

    /// <summary>Bytes so far.</summary>
    public long Length { get; private set; }

    /// <summary>A strong entity tag or a date, for If-Range; null if the server gave neither.</summary>
    public string? Validator { get; private set; }

    /// <summary>Takes up what is there, hashing it; anything longer than <paramref name="maxBytes"/> is dropped.</summary>
    public static async Task<PartialFile> OpenAsync(string path, long maxBytes, CancellationToken cancellation)
    {
        var partial = new PartialFile(path);
        try
        {
            if (partial._file.Length > maxBytes)
                partial._file.SetLength(0);
            partial.Validator =
                partial._file.Length > 0 && File.Exists(ValidatorPath(path))
                    ? await File.ReadAllTextAsync(ValidatorPath(path), cancellation).ConfigureAwait(false)
                    : null;
            await partial._hash.AppendAsync(partial._file, count => partial.Length += count, cancellation).ConfigureAwait(false);
            return partial;
        }
        catch
        {
            partial.Dispose();
            throw;
        }
    }

    public void Append(ReadOnlySpan<byte> bytes)
    {
        // After a failed write the file may hold a part of it.
        _file.Position = Length;
        _file.Write(bytes);
        _hash.AppendData(bytes);
        Length += bytes.Length;
    }

    /// <summary>Empties the file; what is added now comes from an answer with this validator.</summary>
    public void Restart(string? validator)
    {
        _file.SetLength(0);
        _file.Position = 0;
        _ = _hash.GetHashAndReset();
        (Length, Validator) = (0, validator);
        if (validator is null)
            File.Delete(ValidatorPath(_path));
        else
            File.WriteAllText(ValidatorPath(_path), validator);
    }

    /// <summary>Of all bytes so far, lower-case hex.</summary>
    public string Sha256() => _hash.CurrentHex();

    public Task<ContentDigest> GitBlobSha1Async(CancellationToken cancellation) => ContentDigest.GitBlobSha1Async(_file, cancellation);

    /// <summary>Gives the finished file its name.</summary>
    public void Finish(string path)
    {
        var moved = false;
        while (!moved)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            try
            {
                File.Move(_path, path, overwrite: true);
                moved = true;
            }
            catch (DirectoryNotFoundException) when (File.Exists(_path))
            {
                // Another process has just evicted what was in the folder.
            }
        }
        File.Delete(ValidatorPath(_path));
    }

    public void Dispose()
    {
        if (Length == 0)
        {
            File.Delete(_path);
            File.Delete(ValidatorPath(_path));
        }
        _file.Dispose();
        _hash.Dispose();
    }

    private static string ValidatorPath(string path) => path + ".validator";
}
