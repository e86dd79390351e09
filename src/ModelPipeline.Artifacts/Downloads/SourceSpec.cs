namespace ModelPipeline.Artifacts.Downloads;

/// <summary>Where a file comes from. Exactly one of <see cref="File"/>, <see cref="Url"/>, <see cref="HuggingFace"/> is set.</summary>
public sealed record SourceSpec
{
    public string? File { get; init; }
    public Uri? Url { get; init; }
    public HuggingFaceSource? HuggingFace { get; init; }

    /// <summary>Lower-case hex; null for Hugging Face, and for a file that is held to what it was when it was first used.</summary>
    public string? Sha256 { get; init; }

    /// <summary>Largest acceptable size in bytes; a longer body is refused.</summary>
    public long MaxBytes { get; init; } = 4L << 30;
}

public sealed record HuggingFaceSource(string Repo, string Revision, string File);

/// <summary>A source's content as it was found.</summary>
/// <param name="From">The source as models.yaml names it, without its digest: <c>huggingface:org/model@main:onnx/model.onnx</c>, a URL, or
/// a path relative to models.yaml.</param>
/// <param name="Commit">What the Hugging Face revision stood for, 40 hex digits; null for other sources.</param>
/// <param name="Sha256">Lower-case hex.</param>
/// <param name="Size">Bytes.</param>
public sealed record LockedSource(string From, string? Commit, string Sha256, long Size);
