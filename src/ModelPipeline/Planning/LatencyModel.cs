using System.Globalization;

namespace ModelPipeline.Planning;

/// <summary>One measurement beside what is said of it.</summary>
/// <param name="Row">The measurement.</param>
/// <param name="Fitted">Estimate in ms by rates that were fitted to it, too.</param>
/// <param name="LeftOut">Estimate in ms by rates that were fitted to all other rows.</param>
internal sealed record FittedRow(LatencyRow Row, double Fitted, double LeftOut)
{
    /// <summary>By how much the estimate without the row is off: 0.1 is a tenth too long.</summary>
    public double Error => (LeftOut / Row.Measured) - 1;
}

/// <summary>
/// Rates that fit measurements, and estimates by them. A row's logarithm is taken for the estimate's plus an offset that its session has in
/// common (another board, another governor) plus an error of its own, all normal; rates have wide priors (<see cref="RateTable"/>).
/// Intervals are those of
/// a new session,
/// widened by how far left-out rows lie outside theirs.
/// </summary>
internal sealed class LatencyModel
{
    /// <summary>Standard deviations of logarithms. Under a profile each operator is a job of its own, so its time says less of a
    /// run's.</summary>
    private const double SessionDeviation = 0.15,
        ModelDeviation = 0.05,
        OperatorDeviation = 0.1;

    /// <summary>Where this pipeline measured a chip itself, others' rows of it count a hundredth.</summary>
    private const double OthersDoubt = 10;

    /// <summary>95 % quantile of the normal distribution: two tails of 5 %.</summary>
    public const double Quantile = 1.645;

    private readonly string[] sessions;
    private readonly LeastSquaresFit fit;
    private readonly double doubt;

    private LatencyModel(IReadOnlyList<LatencyRow> rows, string[] sessions, LeastSquaresFit fit, double doubt)
    {
        (Rows, this.sessions, this.fit, this.doubt) = (rows, sessions, fit, doubt);
    }

    /// <summary>What it was fitted to.</summary>
    public IReadOnlyList<LatencyRow> Rows { get; }

    /// <summary>Of <see cref="RateTable.All"/>, fitted.</summary>
    public IReadOnlyList<double> Rates => [.. fit.Point.Take(RateTable.All.Count).Select(Math.Exp)];

    /// <summary>Standard deviation of each rate's logarithm after the fit: near the prior's, the measurements say nothing of it.</summary>
    public IReadOnlyList<double> Spreads =>
        [.. Enumerable.Range(0, RateTable.All.Count).Select(rate => Math.Sqrt(fit.Covariance[rate, rate]))];

    /// <summary>Fits all rows, and once without each of them.</summary>
    public static (LatencyModel Model, IReadOnlyList<FittedRow> Check) Checked(IReadOnlyList<LatencyRow> rows)
    {
        var plain = Fitted(rows);
        FittedRow[] check = [.. rows.Select(plain.Check)];
        return (plain.Widened(check.Where(row => row.Row.IsModel)), check);
    }

    /// <summary>Fits all rows, and once without each that is a model's: single operators say nothing of how wide intervals are.</summary>
    public static LatencyModel Fit(IReadOnlyList<LatencyRow> rows)
    {
        var plain = Fitted(rows);
        return plain.Widened(rows.Where(row => row.IsModel).Select(plain.Check));
    }

    /// <param name="operators">Of one run.</param>
    /// <param name="place">Where it runs; null comes back if nothing was ever measured on such a chip.</param>
    /// <param name="session">Whose offset applies, if it was measured before.</param>
    public LatencyEstimate? Estimate(IReadOnlyList<OperatorWork> operators, RunPlace place, string? session = null)
    {
        if (!RateTable.TryFactor(place.Chip, out _))
            return null;
        var log =
            Log(operators, place, fit.Point)
            + (session is not null && Array.IndexOf(sessions, session) is >= 0 and var index ? fit.Point[RateTable.All.Count + index] : 0);
        var spread = Quantile * doubt * Math.Sqrt(Variance(operators, place, session));
        var own = Rows.Count(row => row.Own && row.Chip == place.Chip);
        return new(
            Round(Math.Exp(log)),
            Round(Math.Exp(log - spread)),
            Round(Math.Exp(log + spread)),
            string.Create(
                CultureInfo.InvariantCulture,
                $"by operator, {Rows.Count} measurements, {(own == 0 ? "none" : own)} of them our own on {place.Chip}"
            )
        );
    }

    /// <summary>The estimate without its interval.</summary>
    public double Milliseconds(IReadOnlyList<OperatorWork> operators, RunPlace place) => Math.Exp(Log(operators, place, fit.Point));

    private double Milliseconds(LatencyRow row) => Milliseconds(row.Work, row.Place);

    private static double Round(double milliseconds) => Math.Round(milliseconds, 6);

    private static double Log(IReadOnlyList<OperatorWork> operators, RunPlace place, double[] point) =>
        Math.Log(new OperatorTime(point).Of(operators, place));

    /// <summary>Of the logarithm of a new measurement: from the rates' covariance, the session's offset and the row's own error.</summary>
    private double Variance(IReadOnlyList<OperatorWork> operators, RunPlace place, string? session)
    {
        const double step = 1e-5;
        var here = Log(operators, place, fit.Point);
        var known = session is null ? -1 : Array.IndexOf(sessions, session);
        var gradient = new double[fit.Point.Length];
        for (var rate = 0; rate < RateTable.All.Count; rate++)
        {
            var moved = (double[])fit.Point.Clone();
            moved[rate] += step;
            gradient[rate] = (Log(operators, place, moved) - here) / step;
        }
        if (known >= 0)
            gradient[RateTable.All.Count + known] = 1;
        var variance = known >= 0 ? 0 : SessionDeviation * SessionDeviation;
        for (var i = 0; i < gradient.Length; i++)
        {
            for (var j = 0; j < gradient.Length; j++)
                variance += gradient[i] * fit.Covariance[i, j] * gradient[j];
        }
        return variance + (ModelDeviation * ModelDeviation);
    }

    private FittedRow Check(LatencyRow row) =>
        new(row, Milliseconds(row), Fitted([.. Rows.Where(other => !ReferenceEquals(other, row))], sessions, fit.Point).Milliseconds(row));

    /// <summary>Intervals as wide as left-out rows ask for.</summary>
    private LatencyModel Widened(IEnumerable<FittedRow> check) =>
        new(
            Rows,
            sessions,
            fit,
            Math.Max(
                1,
                Math.Sqrt(
                    check
                        .Select(row => Math.Log(row.LeftOut / row.Row.Measured) / Math.Sqrt(Variance(row.Row.Work, row.Row.Place, null)))
                        .Select(score => score * score)
                        .DefaultIfEmpty(1)
                        .Average()
                )
            )
        );

    private static LatencyModel Fitted(IReadOnlyList<LatencyRow> rows)
    {
        string[] sessions = [.. rows.Select(row => row.Session).Distinct()];
        return Fitted(rows, sessions, [.. RateTable.LogPriors, .. new double[sessions.Length]]);
    }

    /// <param name="rows">Measurements.</param>
    /// <param name="sessions">Theirs, and maybe more, whose offsets stay 0.</param>
    /// <param name="start">Rates and offsets to begin with.</param>
    private static LatencyModel Fitted(IReadOnlyList<LatencyRow> rows, string[] sessions, double[] start)
    {
        double[] priors = RateTable.LogPriors;
        var own = rows.Where(row => row.Own).Select(row => row.Chip).ToHashSet();
        var measured = rows.Select(row =>
                (
                    row.Work,
                    row.Place,
                    Session: priors.Length + Array.IndexOf(sessions, row.Session),
                    Log: Math.Log(row.Measured),
                    Deviation: (row.IsModel ? ModelDeviation : OperatorDeviation) * (Doubted(row) ? OthersDoubt : 1)
                )
            )
            .ToArray();
        double[] deviations =
        [
            .. sessions.Select(session =>
                SessionDeviation * (rows.FirstOrDefault(row => row.Session == session) is { } first && Doubted(first) ? OthersDoubt : 1)
            ),
        ];
        var fit = LeastSquares.Minimize(
            point =>
            {
                var time = new OperatorTime(point);
                return
                [
                    .. measured.Select(row => (Math.Log(time.Of(row.Work, row.Place)) + point[row.Session] - row.Log) / row.Deviation),
                    .. RateTable.All.Select((entry, rate) => (point[rate] - priors[rate]) / entry.Spread),
                    .. deviations.Select((deviation, session) => point[priors.Length + session] / deviation),
                ];
            },
            start
        );
        return new(rows, sessions, fit, doubt: 1);

        bool Doubted(LatencyRow row) => !row.Own && own.Contains(row.Chip);
    }
}
