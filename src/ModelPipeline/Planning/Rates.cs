namespace ModelPipeline.Planning;

/// <summary>What the time of an operator is computed from. The order is that of <see cref="RateTable.All"/>.</summary>
internal enum Rate
{
    Attention,
    Linear,
    Gelu,
    Norm,
    Elementwise,
    Bandwidth,
    Buffer,
    LinearExcess,
    AttentionExcess,
    Int8,
    ClockBound,
    JointShare,
    HostBandwidth,
    Run,
    Rk3576,
    Rk356x,
    CpuFp32,
    CpuInt8,
}

/// <summary>One rate before any measurement.</summary>
/// <param name="Rate">Which.</param>
/// <param name="Text">What it is, with its unit.</param>
/// <param name="Prior">What it is taken for without measurements, from the chip's data sheet or its order of magnitude.</param>
/// <param name="Spread">Standard deviation of its logarithm before any measurement; 1 is a factor of 2.7 either way.</param>
/// <param name="Source">Where the prior is from, and what settles the rate.</param>
internal sealed record RateEntry(Rate Rate, string Text, double Prior, double Spread, string Source);

/// <summary>The table of all rates: of one core of an RK3588 at 1 GHz unless they say otherwise.</summary>
internal static class RateTable
{
    public static IReadOnlyList<RateEntry> All { get; } =
    [
        new(Rate.Attention, "fused attention, ns a head and tokens²", 4, 1, "order of magnitude; the ViT's and whisper's profiles"),
        new(
            Rate.Linear,
            "matrix product, ps a multiplication",
            2,
            1,
            "0.5 T fp16 multiplications a second by the data sheet; the ViT's profile"
        ),
        new(Rate.Gelu, "GELU behind a product, ns an element", 0.3, 1, "order of magnitude; the ViT's ConvExGelu"),
        new(Rate.Norm, "LayerNorm, ns an element", 1.5, 1, "order of magnitude; the profiles' exNorm"),
        new(Rate.Elementwise, "addition, ns an element", 0.7, 0.5, "order of magnitude; the ViT's Add"),
        new(
            Rate.Bandwidth,
            "memory traffic of a core, GB/s",
            8,
            0.5,
            "a part of 34 GB/s by the data sheet; clip's text encoder, which is little but weights"
        ),
        new(Rate.Buffer, "on-chip buffer, MB", 1, 0.3, "three banks of 384 KB by the data sheet"),
        new(Rate.LinearExcess, "slower by so much for each buffer that a product's input exceeds it", 0.7, 0.7, "guess; whisper's ConvAdd"),
        new(
            Rate.AttentionExcess,
            "slower by so much for each buffer that a head's scores exceed it",
            0.3,
            0.7,
            "guess; whisper's attention"
        ),
        new(
            Rate.Int8,
            "int8 products over fp16's",
            0.7,
            0.3,
            "half by the data sheet; the original project's boards saw next to nothing of it"
        ),
        new(Rate.ClockBound, "share of the time that follows the clock", 0.3, 0.7, "whisper at 300 and 600 MHz"),
        new(Rate.JointShare, "share of all but attention that joint cores split", 0.5, 0.5, "whisper and SigLIP on the three-core mask"),
        new(Rate.HostBandwidth, "gathers and casts on the CPU, GB/s", 2, 0.5, "order of magnitude; nothing public"),
        new(Rate.Run, "start and end of a run, ms", 0.3, 0.5, "order of magnitude; nothing public"),
        new(Rate.Rk3576, "rk3576's times over rk3588's", 1.5, 0.5, "clip's text encoder"),
        new(Rate.Rk356x, "rk3566's and rk3568's times over rk3588's", 3, 0.5, "clip's text encoder"),
        new(Rate.CpuFp32, "rk3588's CPU in fp32, ps a multiplication", 50, 0.5, "the original project's embedder"),
        new(Rate.CpuInt8, "rk3588's CPU in int8, ps a multiplication", 30, 0.5, "the original project's reranker"),
    ];

    /// <summary>Logarithms of the priors.</summary>
    public static double[] LogPriors => [.. All.Select(entry => Math.Log(entry.Prior))];

    /// <summary>The factor of a chip's times over those of rk3588; null for rk3588 itself.</summary>
    /// <returns>False if nothing was ever measured on it.</returns>
    public static bool TryFactor(string chip, out Rate? factor)
    {
        (var known, factor) = chip switch
        {
            "rk3588" => (true, (Rate?)null),
            "rk3576" => (true, Rate.Rk3576),
            "rk3566" or "rk3568" => (true, Rate.Rk356x),
            _ => (false, null),
        };
        return known;
    }
}
