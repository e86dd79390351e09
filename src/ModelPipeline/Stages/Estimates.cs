using ModelPipeline.Core;
using ModelPipeline.Latency;
using ModelPipeline.Manifest;
using ModelPipeline.Onnx;
using ModelPipeline.Planning;
using ModelPipeline.Rewrites;

namespace ModelPipeline.Stages;

/// <summary>Latency estimates of one model: from what others measured, what boards here took, and what models.yaml has of it.</summary>
internal static class Estimates
{
    /// <summary>Measurements of one model are off together, so its own correct those of its other shapes.</summary>
    public static string SessionOf(ModelBuild build) => build.Model.Name;

    /// <summary>What a model has to do.</summary>
    public static async Task<ModelWork> WorkAsync(ModelBuild build, StageContext context) =>
        GraphWork.Of(OnnxModel.Load((await build.SourceAsync(context).ConfigureAwait(false)).Path));

    /// <summary>What it has to do with attention in this form.</summary>
    public static async Task<ModelWork> WorkAsync(ModelBuild build, AttentionForm attention, StageContext context)
    {
        if (attention == AttentionForm.Fused)
            return await WorkAsync(build, context).ConfigureAwait(false);
        var source = OnnxModel.Load((await build.SourceAsync(context).ConfigureAwait(false)).Path);
        return GraphWork.Of(
            Pass.Families.Append(Pass.Named(PlainAttention.Name)).Aggregate(source, (model, pass) => pass.Apply(model).Model)
        );
    }

    /// <summary>Whether anything is known of how long a variant takes: nobody has published what attention takes that is not fused, so only
    /// an own measurement tells.</summary>
    public static bool IsKnown(LatencyModel estimates, VariantSpec variant) =>
        variant.Attention == AttentionForm.Fused
        || estimates.Rows.Any(row => row is { Own: true, Attention: AttentionForm.Plain } && row.Chip == variant.Target);

    /// <summary>The rates as they are known now.</summary>
    public static LatencyModel Of(ModelBuild build, ModelWork work) =>
        LatencyModel.Fit([
            .. LatencyData.Load(LatencyData.PathFor(build.Manifest)),
            .. from measured in build.Model.Measured
            let variant = build.Model.Variants.FirstOrDefault(variant =>
                variant.Backend == Backend.Rknn && variant.Precision == measured.Precision
            )
            where variant is not null && RateTable.TryFactor(variant.Target, out _)
            select Row(build, variant, $"[{measured.Shape.Batch},{measured.Shape.Sequence}] {Word(measured.Precision)}", "models.yaml") with
            {
                Ms = measured.Ms * measured.Shape.Batch,
                Operators = work.At(measured.Shape),
            },
        ]);

    /// <summary>The report with what was expected of each operator that was timed alone, before these times were known.</summary>
    public static LatencyReport Expecting(ModelBuild build, LatencyReport report, IReadOnlyDictionary<AttentionForm, ModelWork> work)
    {
        if (report.Artifacts.All(artifact => artifact.Operators is null))
            return report;
        var estimates = Of(build, work.Values.First());
        return report with { Artifacts = [.. report.Artifacts.Select(Expecting)] };

        ArtifactLatency Expecting(ArtifactLatency artifact)
        {
            var chip = VariantOf(build, artifact).Target;
            return artifact with
            {
                Operators = artifact.Operators?.Expecting(
                    (one, precision) => estimates.Estimate([one], new(chip, precision), SessionOf(build))?.Milliseconds
                ),
            };
        }
    }

    /// <summary>Adds what a board took, so that estimates are refined by it; what was no board's teaches nothing.</summary>
    public static void Learn(
        ModelBuild build,
        LatencyReport report,
        IReadOnlyDictionary<AttentionForm, ModelWork> work,
        StageContext context
    )
    {
        LatencyRow[] rows =
        [
            .. from artifact in report.Artifacts
            where artifact is { OnDevice: true, Backend: Backend.Rknn, Sequential: not null }
            let variant = VariantOf(build, artifact)
            where RateTable.TryFactor(variant.Target, out _)
            let run = Row(build, variant, $"{artifact.Variant} {artifact.Shape}", $"{report.Device}, runtime {artifact.Runtime}") with
            {
                Attention = variant.Attention,
                Ms = artifact.Sequential!.Passage.Figures.Mean.Value * artifact.Batch,
                Operators = work[variant.Attention].At(build.Model.Shapes.First(shape => shape.ToString() == artifact.Shape)),
            }
            from row in artifact.Operators is { } profile ? profile.Rows(run).Prepend(run) : [run]
            select row,
        ];
        if (rows.Length > 0 && !report.Machine.IsRockchip)
            context.Warning(
                $"what {report.Device} took refines no estimate: /proc/device-tree/compatible names no chip of Rockchip's there, so it is "
                    + $"emulated, or a container that hides it"
            );
        else
            LatencyData.Append(LatencyData.PathFor(build.Manifest), rows);
    }

    private static VariantSpec VariantOf(ModelBuild build, ArtifactLatency artifact) =>
        build.Model.Variants.First(variant => variant.Name == artifact.Variant);

    private static LatencyRow Row(ModelBuild build, VariantSpec variant, string name, string source) =>
        new()
        {
            Name = name,
            Session = SessionOf(build),
            Chip = variant.Target,
            Precision = variant.Precision,
            Ms = 1,
            Source = source,
            Own = true,
        };

    private static string Word(Precision precision) => precision.ToString().ToLowerInvariant();
}
