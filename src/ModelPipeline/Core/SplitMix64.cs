namespace ModelPipeline.Core;

/// <summary>The SplitMix64 generator (Steele, Lea, Flood 2014): the same numbers on every platform and in every version, which
/// System.Random does not promise.</summary>
internal sealed class SplitMix64(ulong seed)
{
    private ulong _state = seed;

    /// <summary>Uniform in 0 to 2^64 - 1.</summary>
    public ulong Next()
    {
        var z = _state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    /// <summary>Uniform in <paramref name="low"/> to <paramref name="high"/>, both inclusive; by Lemire's multiplication (2019), so without
    /// bias.</summary>
    public int Between(int low, int high)
    {
        var range = (ulong)((long)high - low + 1);
        var threshold = (0 - range) % range;
        while (true)
        {
            var product = Math.BigMul(Next(), range, out ulong fraction);
            if (fraction >= threshold)
                return (int)(low + (long)product);
        }
    }

    /// <summary>A new array in random order (Fisher and Yates, from the last place down).</summary>
    public T[] Shuffle<T>(IEnumerable<T> items)
    {
        T[] shuffled = [.. items];
        for (var i = shuffled.Length - 1; i > 0; i--)
        {
            var j = Between(0, i);
            (shuffled[i], shuffled[j]) = (shuffled[j], shuffled[i]);
        }
        return shuffled;
    }
}
