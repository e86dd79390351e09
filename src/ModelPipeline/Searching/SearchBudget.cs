namespace ModelPipeline.Searching;

/// <summary>The time that a search may take: what is still to be built is kept back, as long as what was built took.</summary>
/// <param name="whole">From now on.</param>
/// <param name="lanes">Builds that run at once, at least 1.</param>
/// <param name="clock">By which time is told.</param>
internal sealed class SearchBudget(TimeSpan whole, int lanes, TimeProvider clock)
{
    private readonly long start = clock.GetTimestamp();
    private readonly Lock gate = new();
    private TimeSpan longest;

    public int Lanes => lanes;

    public TimeSpan Elapsed => clock.GetElapsedTime(start);

    /// <summary>Whether, if so many builds began now, all would end in time.</summary>
    public bool Leaves(int builds) => Elapsed + (longest * ((builds + lanes - 1) / lanes)) < whole;

    /// <summary>Builds something, and learns how long a build takes.</summary>
    public async Task<T> BuildAsync<T>(Func<Task<T>> build)
    {
        var began = clock.GetTimestamp();
        var built = await build().ConfigureAwait(false);
        lock (gate)
            longest = TimeSpan.FromTicks(Math.Max(longest.Ticks, clock.GetElapsedTime(began).Ticks));
        return built;
    }
}
