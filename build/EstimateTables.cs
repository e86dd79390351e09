using System.Globalization;
using ModelPipeline.Planning;
using Spectre.Console;

namespace Build;

/// <summary>The published and own points beside their estimates, and the fitted rates.</summary>
internal static class EstimateTables
{
    public static void Print(LatencyModel model, IReadOnlyList<FittedRow> check)
    {
        var points = new Table()
            .RoundedBorder()
            .Title("Measured and estimated, ms")
            .Caption("left out: estimated from all other points. own: measured by this pipeline.");
        points.AddColumn("Point", column => column.NoWrap());
        foreach (var name in new[] { "chip", "measured", "estimate", "left out", "off by" })
            points.AddColumn(name, column => column.RightAligned().NoWrap());
        foreach (var row in check)
        {
            points.AddRow(
                Markup.Escape(row.Row.Name + (row.Row.Own ? " (own)" : "")),
                row.Row.Chip,
                Number(row.Row.Measured),
                Number(row.Fitted),
                Number(row.LeftOut),
                row.Error.ToString("+0 %;-0 %;0 %", CultureInfo.InvariantCulture)
            );
        }
        AnsiConsole.Write(points);

        var rates = new Table()
            .RoundedBorder()
            .Title("Rates")
            .Caption("90 % interval. Where it is wide, the points say little of the rate.");
        rates.AddColumn("Rate");
        foreach (var name in new[] { "value", "low", "high" })
            rates.AddColumn(name, column => column.RightAligned().NoWrap());
        rates.AddColumn("From");
        foreach (var (index, entry) in RateTable.All.Index())
        {
            var factor = Math.Exp(LatencyModel.Quantile * model.Spreads[index]);
            rates.AddRow(
                Markup.Escape(entry.Text),
                Number(model.Rates[index]),
                Number(model.Rates[index] / factor),
                Number(model.Rates[index] * factor),
                Markup.Escape(entry.Source)
            );
        }
        AnsiConsole.Write(rates);
    }

    /// <summary>Three digits that mean something.</summary>
    private static string Number(double value) =>
        value.ToString(
            value switch
            {
                >= 100 => "0",
                >= 10 => "0.0",
                >= 1 => "0.00",
                _ => "0.000",
            },
            CultureInfo.InvariantCulture
        );
}
