using System.Globalization;
using Cake.Common;
using Cake.Core.Diagnostics;
using ModelPipeline.Core;
using ModelPipeline.Devices;
using ModelPipeline.Manifest;
using ModelPipeline.Planning;
using ModelPipeline.Proposals;
using ModelPipeline.Stages;
using Spectre.Console;

namespace Build;

/// <summary>What --target=Plan prints: tables that fit 80 columns, and one sentence.</summary>
internal static class PlanTask
{
    private const int MostShown = 8;

    public static async Task RunAsync(BuildContext context, ModelBuild build)
    {
        var report = await context.StageAsync(stage => PlanStage.RunAsync(build, stage));
        var table = Table(
            $"Plans for {report.Model} on {report.Chip}, estimated ms and MB",
            $"p50, p95: of a passage. {report.Passages}: mean of so many passages, and its p95. NDCG: lost by cutting; tau: to the "
                + $"ranking of whole passages. 90 % lie within {report.Low:0.00} to {report.High:0.00} of each time."
        );
        foreach (var name in new[] { "Shapes", "Cores" })
            table.AddColumn(name, column => column.NoWrap().PadLeft(0).PadRight(0));
        foreach (
            var name in new[]
            {
                "p50",
                "p95",
                report.Passages.ToString(CultureInfo.InvariantCulture),
                "p95",
                "disk",
                "RAM",
                "cut",
                "NDCG",
                "tau",
            }
        )
            table.AddColumn(name, column => column.NoWrap().RightAligned().PadLeft(0).PadRight(0));
        foreach (var plan in report.Front.Where(plan => plan != report.Best).Take(MostShown).Prepend(report.Best).OfType<ServingPlan>())
        {
            table.AddRow(
                $"{plan.PrecisionText} {plan.ShapesText}",
                Cores(CorePlan.Named(plan.CorePlan)),
                Short(plan.PassageP50Ms),
                Short(plan.PassageP95Ms),
                Short(plan.RequestMs),
                Short(plan.RequestP95Ms),
                Short(plan.DiskMb),
                Short(plan.MemoryMb),
                plan.CutShare == 0 ? "0" : plan.CutShare.ToString("0.0%", CultureInfo.InvariantCulture),
                plan.Cost?.NdcgLost is { } lost ? lost.ToString(".000", CultureInfo.InvariantCulture) : "",
                plan.Cost is { } cost ? cost.KendallTau.ToString(".00", CultureInfo.InvariantCulture) : ""
            );
        }
        AnsiConsole.Write(table);
        context.Log.Information("{0}: {1}", report.Model, report.Sentence);
        if (build.Model.ShapesAreAuto && report.Best is not null)
            context.Log.Information("{0}: these shapes are frozen in models.lock.json; runs from now on build them", report.Model);
        context.Outputs.Add(PlanStage.PathOf(build));
    }

    private static async Task<string> ConfigPathAsync(BuildContext context, string from)
    {
        if (File.Exists(from))
            return from;
        var config = await context.StageAsync(async stage =>
        {
            var repository = await context.Sources.OpenAsync(from, stage.Cancellation);
            return await repository.FindAsync("config.json", SettingsFile.MaxBytes, stage);
        });
        return config?.File.Path
            ?? throw new PipelineException(
                $"--from: {from} has no config.json, which says how large a model is.",
                PipelineException.ConfigurationError
            );
    }

    /// <summary>--from: config.json alone.</summary>
    public static async Task FromConfigAsync(BuildContext context)
    {
        var from = context.Argument<string>("from");
        var config = ConfigFile.Read(await ConfigPathAsync(context, from));
        var work = ModelWork.Of(config.Encoder);
        var estimates = LatencyModel.Fit(LatencyData.Load(LatencyData.PathFor(context.Manifest)));
        var table = Table(
            $"{from} ({config.Name}) on rk3588, estimated ms a passage",
            "In brackets 90 % intervals. One core; three serve nearly thrice as many."
        );
        foreach (var name in new[] { "Tokens", "fp16", "int8", "CPU int8" })
            table.AddColumn(name, column => column.NoWrap().RightAligned());
        int[] lengths = [32, 64, 128, 256, 512];
        foreach (var tokens in lengths.Where(tokens => config.Encoder.Positions == 0 || tokens <= config.Encoder.Positions))
            table.AddRow([
                tokens.ToString(CultureInfo.InvariantCulture),
                At(tokens, Precision.Fp16, false),
                At(tokens, Precision.W8A8, false),
                At(tokens, Precision.W8A8, true),
            ]);
        AnsiConsole.Write(table);
        Console.WriteLine(
            string.Create(
                CultureInfo.InvariantCulture,
                $"  one shape: {work.Sizes.FileMb(2, 1):0} MB in fp16, {work.Sizes.FileMb(1, 1):0} in int8; "
                    + $"{config.Encoder.Parameters / 1e6:0.0} M parameters, of them {config.Encoder.LayerParameters / 1e6:0.0} in layers"
            )
        );
        foreach (var risk in config.Risks)
            Console.WriteLine($"  - {risk}");

        string At(int tokens, Precision precision, bool cpu) =>
            estimates.Estimate(work.At(new InputShape(1, tokens)), new RunPlace("rk3588", precision) { Cpu = cpu })!.Range[
                "about ".Length..
            ];
    }

    private static Table Table(string title, string caption) =>
        new Table().RoundedBorder().Title(Markup.Escape(title)).Caption(Markup.Escape(caption));

    /// <summary>Contexts x cores of each.</summary>
    private static string Cores(CorePlan plan) => $"{plan.Contexts.Count} x {plan.CoresEach}";

    private static string Short(double value) => value.ToString(value >= 10 ? "0" : "0.0", CultureInfo.InvariantCulture);
}
