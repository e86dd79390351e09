namespace ModelPipeline.Core;

/// <summary>[batch, sequence length in tokens].</summary>
public readonly record struct InputShape(int Batch, int Sequence)
{
    /// <summary>As used in file names: 1x128.</summary>
    public override string ToString() => $"{Batch}x{Sequence}";
}
