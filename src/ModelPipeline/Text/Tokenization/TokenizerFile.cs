using ModelPipeline.Core;

namespace ModelPipeline.Text.Tokenization;

/// <summary>Files that tell how a model's texts become ids.</summary>
/// <param name="Vocabulary">A tokenizer.json, vocab.txt, vocab.json, or SentencePiece model; told apart by content.</param>
public sealed record TokenizerFiles(string Vocabulary)
{
    /// <summary>merges.txt, which a vocab.json needs.</summary>
    public string? Merges { get; init; }

    /// <summary>tokenizer_config.json.</summary>
    public string? Config { get; init; }

    /// <summary>special_tokens_map.json.</summary>
    public string? SpecialTokens { get; init; }

    /// <summary>Each file under the name that programs expect.</summary>
    public IEnumerable<(string Name, string Path)> Named()
    {
        yield return (
            TokenizerFile.KindOf(Vocabulary) switch
            {
                TokenizerFileKind.Text => "vocab.txt",
                TokenizerFileKind.Json => Merges is null ? "tokenizer.json" : "vocab.json",
                TokenizerFileKind.SentencePiece => Path.GetFileName(Vocabulary),
                var other => throw new ArgumentOutOfRangeException(nameof(Vocabulary), other, null),
            },
            Vocabulary
        );
        foreach (
            var (name, path) in new[]
            {
                ("merges.txt", Merges),
                ("tokenizer_config.json", Config),
                ("special_tokens_map.json", SpecialTokens),
            }
        )
        {
            if (path is not null)
                yield return (name, path);
        }
    }
}

/// <summary>What is to be done with text where no file says so; null follows the files, or BERT's defaults.</summary>
/// <param name="Lowercase">BERT: true by default.</param>
/// <param name="StripAccents">BERT: as <paramref name="Lowercase"/> by default.</param>
/// <param name="TokenizeChineseChars">BERT: true by default.</param>
public sealed record TokenizerOptions(bool? Lowercase = null, bool? StripAccents = null, bool? TokenizeChineseChars = null);

/// <summary>The effects of reading tokenizer files.</summary>
internal static class TokenizerFile
{
    /// <exception cref="PipelineException">The file cannot be read, or has more than <paramref name="maxBytes"/> bytes.</exception>
    public static byte[] ReadBytes(string path, long maxBytes)
    {
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
            if (stream.Length > maxBytes)
                throw new PipelineException(
                    $"{path}: {stream.Length} bytes, longer than the {maxBytes} allowed; check that this is a tokenizer's file."
                );
            var bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
            return bytes;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PipelineException($"{path}: cannot be read: {e.Message}", inner: e);
        }
    }

    /// <summary>The file's kind, by its first bytes.</summary>
    public static TokenizerFileKind KindOf(string path)
    {
        var head = new byte[4096];
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
            head = head[..stream.ReadAtLeast(head, head.Length, throwOnEndOfStream: false)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PipelineException($"{path}: cannot be read: {e.Message}", inner: e);
        }
        // Tag and length of SentencePiece's first message, and the tag of its text; a text file would begin with two line breaks.
        if (head is [0x0A, _, 0x0A, ..] and not [0x0A, (byte)'\r' or (byte)'\n', ..])
            return TokenizerFileKind.SentencePiece;
        var text = System.Text.Encoding.UTF8.GetString(head).TrimStart('\uFEFF').TrimStart();
        return text.StartsWith('{') && text[1..].TrimStart() is ['"' or '}', ..] ? TokenizerFileKind.Json : TokenizerFileKind.Text;
    }
}

internal enum TokenizerFileKind
{
    Json,
    SentencePiece,
    Text,
}
