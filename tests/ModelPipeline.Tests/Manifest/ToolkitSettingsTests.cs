using ModelPipeline.Core;
using ModelPipeline.Manifest;

namespace ModelPipeline.Tests.Manifest;

/// <summary>What models.yaml can ask of rknn-toolkit2.</summary>
public sealed class ToolkitSettingsTests
{
    private const string OfTheToolkit = """
        variants:
              npu:
                backend: rknn
                precision: w8a8
                fp16: [head, "*/output/Add*"]
                auto_hybrid: { cosine: 0.97, distance: 12 }
                accuracy_analysis: true
                toolkit_simulator: true
                gates: { compile: { cpu_ops: [Gather], internal_mb: 8 } }
              plain:
                backend: rknn
                precision: w8a8
                auto_hybrid: {}
        """;

    [Fact]
    public void Hybrid_plans_thresholds_and_limits_on_the_compile_report_are_a_few_lines()
    {
        var model = Assert.Single(
            ManifestFile
                .Load(
                    ManifestFile.With(
                        ("variants:", OfTheToolkit),
                        ("kendall_tau: { min: 0.9 }", "kendall_tau: { min: 0.9 }, compile: { weight_mb: 70, fused_attention: all }")
                    )
                )
                .Models
        );

        var (npu, plain) = (model.Variants[0], model.Variants[1]);
        Assert.Equal(["head", "*/output/Add*"], npu.Fp16);
        Assert.Equal((new AutoHybrid(0.97, 12), new AutoHybrid(0.98, null)), (npu.AutoHybrid, plain.AutoHybrid));
        Assert.Equal(
            (true, true, false, false),
            (npu.AccuracyAnalysis, npu.ToolkitSimulator, plain.AccuracyAnalysis, plain.ToolkitSimulator)
        );
        Assert.Equal(["Gather"], npu.Compile.CpuOps!);
        Assert.Equal((8, null), (npu.Compile.InternalMb, npu.Compile.WeightMb));
        Assert.Equal((null, 70), (plain.Compile.CpuOps, plain.Compile.WeightMb));
        Assert.Equal((true, false), (plain.Compile.FusesAllAttention, npu.Compile.FusesAllAttention));
        Assert.Equal(["kendall_tau", "ndcg_at_10"], plain.Gates.Select(gate => gate.Metric));
    }

    [Fact]
    public void A_Python_of_ones_own_and_the_minutes_of_a_build_are_set_for_all_variants_or_for_one()
    {
        var model = Assert.Single(
            ManifestFile
                .Load(
                    ManifestFile.With(
                        (
                            "variants:",
                            "toolkit_python: /opt/rknn/bin/python\n    toolkit_minutes: 30\n    variants:\n      npu: { backend: rknn, "
                                + "precision: fp16, toolkit_minutes: 0.5, toolkit_python: venv/bin/python }\n      plain: { backend: "
                                + "rknn, precision: fp16 }"
                        )
                    )
                )
                .Models
        );

        Assert.Equal(("/opt/rknn/bin/python", 30), (model.Variants[1].ToolkitPython, model.Variants[1].ToolkitMinutes));
        Assert.Equal(0.5, model.Variants[0].ToolkitMinutes);
        Assert.EndsWith("/venv/bin/python", model.Variants[0].ToolkitPython);
        Assert.True(Path.IsPathRooted(model.Variants[0].ToolkitPython));
        Assert.Contains(
            "toolkit_minutes",
            Assert.Single(ManifestFile.Errors(ManifestFile.With(("variants:", "toolkit_minutes: 0\n    variants:"))))
        );
    }

    [Theory]
    [InlineData("ranges: { clip: mse }", "backend onnx has no ranges: each run finds those of its own activations")]
    [InlineData("search: { methods: [channel] }", "backend onnx has no methods: its search goes through rewrites alone")]
    public void An_int8_for_the_CPU_has_steps_and_nothing_else_of_an_NPUs(string setting, string error) =>
        Assert.EndsWith(
            error,
            Assert.Single(
                ManifestFile.Errors(
                    ManifestFile.With(("variants:", $"variants:\n      cpu: {{ backend: onnx, precision: w8a8, {setting} }}"))
                )
            )
        );

    [Fact]
    public void Shapes_of_different_batches_are_not_in_one_file()
    {
        const string Dynamic = "toolkit: 2.5.0\n    variants:\n      npu: { backend: rknn, precision: fp16, one_file: true }";
        var error = Assert.Single(
            ManifestFile.Errors(ManifestFile.With(("variants:", Dynamic), ("[[1, 128], [1, 256]]", "[[1, 128], [4, 128]]")))
        );
        Assert.Contains("models.tiny.variants.npu.one_file: shapes of different batches cannot be in one file", error);
        Assert.Single(
            ManifestFile.Load(ManifestFile.With(("variants:", Dynamic), ("[[1, 128], [1, 256]]", "[[4, 128], [4, 256]]"))).Models
        );
    }

    [Theory]
    [InlineData("", "2.3.2")]
    [InlineData("toolkit: 2.2.0\n    ", "2.2.0")]
    public void Several_shapes_in_one_file_need_a_toolkit_that_can_build_them(string setting, string version)
    {
        const string Dynamic = "variants:\n      npu: { backend: rknn, precision: fp16, one_file: true }";

        var error = Assert.Single(ManifestFile.Errors(ManifestFile.With(("variants:", setting + Dynamic))));
        Assert.EndsWith(
            $"models.tiny.variants.npu.one_file: toolkit {version} cannot build several shapes into one file: set 'toolkit: 2.5.0', "
                + $"or leave one_file out for one file a shape",
            error
        );

        Assert.True(ManifestFile.Load(ManifestFile.With(("variants:", "toolkit: 2.5.0\n    " + Dynamic))).Models[0].Variants[0].OneFile);
        Assert.True(
            ManifestFile
                .Load(ManifestFile.With(("variants:", setting + Dynamic), ("[[1, 128], [1, 256]]", "[[1, 128]]")))
                .Models[0]
                .Variants[0]
                .OneFile
        );
    }

    [Theory]
    [InlineData("precision: w8a8", true)]
    [InlineData("precision: w8a8, fp16: [head]", false)]
    [InlineData("precision: w8a8, ranges: { clip: mse }", false)]
    [InlineData("precision: w8a8, rewrites: [families, outlier-split]", false)]
    [InlineData("precision: fp16", true)]
    [InlineData("precision: fp16, one_file: false", false)]
    public void An_int8_build_with_fp16_tensors_is_a_file_a_shape(string settings, bool oneFile) =>
        Assert.Equal(
            oneFile,
            ManifestFile
                .Load(ManifestFile.With(("variants:", $"toolkit: 2.5.0\n    variants:\n      npu: {{ backend: rknn, {settings} }}")))
                .Models[0]
                .Variants[0]
                .OneFile
        );

    [Fact]
    public void A_measured_latency_needs_a_build_to_be_compared_with()
    {
        const string Measured = "measured: [{ shape: [1, 256], precision: w8a8, ms: 90.5 }]\n    ";

        var model = Assert.Single(ManifestFile.Load(ManifestFile.With(("variants:", Measured + OfTheToolkit))).Models);
        Assert.Equal(new MeasuredSpec(new InputShape(1, 256), Precision.W8A8, 90.5), Assert.Single(model.Measured));

        var error = Assert.Single(ManifestFile.Errors(ManifestFile.With(("variants:", Measured + "variants:"))));
        Assert.EndsWith(
            "measured[0]: no variant with backend rknn builds this shape and precision, so nothing can be estimated by it: add one, or "
                + "take the pair out",
            error
        );
    }
}
