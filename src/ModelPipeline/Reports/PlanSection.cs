using System.Globalization;
using ModelPipeline.Planning;

namespace ModelPipeline.Reports;

/// <summary>The part of the report on how to serve the corpus, as it was estimated before anything was built.</summary>
/// <param name="Plan">Content of plan.json.</param>
public sealed record PlanSection(PlanReport Plan)
{
    private static readonly CultureInfo Invariant = CultureInfo.InvariantCulture;

    internal string Render() =>
        Template.Html(
            "report-plan.html",
            new
            {
                Plan.Sentence,
                Plan.Basis,
                Low = Fixed(Plan.Low, 2),
                High = Fixed(Plan.High, 2),
                Plan.Passages,
                Charts = Plan.Front.Count > 0 ? new[] { Front() } : [],
                Plans = Shown.Select(plan => new
                {
                    Name = $"{plan.PrecisionText} {plan.ShapesText}",
                    IsBest = plan == Plan.Best,
                    Cores = plan.CorePlan.Replace('_', ' '),
                    Files = plan.OneFile ? 1 : plan.Shapes.Count,
                    Cells = new[]
                    {
                        Fixed(plan.PassageP50Ms, 1),
                        Fixed(plan.PassageP95Ms, 1),
                        Fixed(plan.RequestMs, 1),
                        Fixed(plan.RequestP95Ms, 1),
                        Fixed(plan.DiskMb, 0),
                        Fixed(plan.MemoryMb, 0),
                        plan.CutShare.ToString("0.0 %", Invariant),
                        plan.Cost?.NdcgLost is { } lost ? Fixed(lost, 3) : Unmeasured(plan, "0"),
                        plan.Cost is { } cost ? Fixed(cost.KendallTau, 3) : Unmeasured(plan, "1"),
                    },
                }),
            }
        );

    /// <summary>What cutting costs where it was not measured: nothing if nothing is cut.</summary>
    private static string Unmeasured(ServingPlan plan, string uncut) => plan.CutShare > 0 ? "-" : uncut;

    private IEnumerable<ServingPlan> Shown => Plan.Front.Where(plan => plan != Plan.Best).Prepend(Plan.Best).OfType<ServingPlan>();

    /// <summary>Time against memory; the steps join the plans that cut nothing.</summary>
    private string Front()
    {
        ServingPlan[] all = [.. Shown];
        var plot = new Plot(
            Axis.Around($"{Plan.Passages} passages, ms", [0, .. all.Select(plan => plan.RequestMs)]),
            Axis.Around("MB in memory", [0, .. all.Select(plan => plan.MemoryMb)])
        );
        ServingPlan[] whole = [.. Plan.Front.Where(plan => plan.CutShare == 0)];
        foreach (var (before, after) in whole.Zip(whole.Skip(1)))
        {
            plot.Line("guide", before.RequestMs, before.MemoryMb, after.RequestMs, before.MemoryMb);
            plot.Line("guide", after.RequestMs, before.MemoryMb, after.RequestMs, after.MemoryMb);
        }
        plot.Dots("dots others", all.Where(plan => plan.CutShare > 0).Select(At));
        plot.Dots("dots", all.Where(plan => plan.CutShare == 0).Select(At));
        if (Plan.Best is { } best)
            plot.Note("name", best.RequestMs, best.MemoryMb, $"{best.PrecisionText} {best.ShapesText}", shiftX: 8, shiftY: -8);
        return plot.Render("Plans by time and memory, estimated; grey ones cut passages, the one taken is named");

        static (double, double) At(ServingPlan plan) => (plan.RequestMs, plan.MemoryMb);
    }

    private static string Fixed(double value, int decimals) => value.ToString("F" + decimals, Invariant);
}
