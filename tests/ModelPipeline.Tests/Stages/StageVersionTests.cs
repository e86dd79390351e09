using System.Globalization;
using System.Reflection;
using System.Security.Cryptography;
using System.Text;
using ModelPipeline.Calibration;
using ModelPipeline.Manifest;
using ModelPipeline.Onnx;
using ModelPipeline.Quantization;
using ModelPipeline.Raising;
using ModelPipeline.Rewrites;
using ModelPipeline.Stages;
using ModelPipeline.Tests.Onnx;
using Tensor = ModelPipeline.Onnx.Tensor;

namespace ModelPipeline.Tests.Stages;

/// <summary>
/// What the stages make of the sample model, pinned beside their versions. A failure says that a stage makes other bytes than it did: raise
/// its number in
/// <see cref="StageVersions"/>, so that nobody's older outputs are reused, and write the new number and digest here.
/// </summary>
public sealed class StageVersionTests
{
    private static readonly AffineParameters Activation = new(0.05f, 3);

    [Fact]
    public void Raise() =>
        Pinned(
            StageVersions.Raise,
            2,
            "5665314d2d279420",
            RaisedModel.Of(Fused(), "model.onnx", TestContext.Current.CancellationToken).Model.Digest()
        );

    /// <summary>The rewrites that read no calibration text: what the others choose depends on the last bits of a machine's sums.</summary>
    [Fact]
    public void Prepare() =>
        Pinned(
            StageVersions.Prepare,
            9,
            "ccd8fb2b880dec99",
            TinyReranker
                .Apply(
                    PinShapes.Apply(TinyReranker.Source, new(1, 32)),
                    [.. Pass.Families.Select(pass => pass.Name), "share-initializers", "dead-nodes"]
                )
                .Digest()
        );

    [Fact]
    public void Calibrate()
    {
        using var folder = new TemporaryFolder();
        var names = TinyReranker.Source.Graph.Inputs.Select(input => input.Name).ToList();
        new CalibrationSet(names, [.. TinyReranker.CalibrationSamples.Take(3)]).Write(
            folder.Path,
            new Progress<ModelPipeline.Core.StageProgress>(),
            TestContext.Current.CancellationToken
        );
        var files = Directory.EnumerateFiles(folder.Path, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal);
        Pinned(
            StageVersions.Calibrate,
            6,
            "3da4169b3912c227",
            Hash(
                string.Join(
                    '\n',
                    files
                        .Where(file => file.EndsWith(".npy", StringComparison.Ordinal))
                        .Select(file => $"{Path.GetRelativePath(folder.Path, file)} {ModelPipeline.Core.FileDigest.Of(file).Sha256}")
                )
            )
        );
    }

    [Theory]
    [InlineData("channel", "8fa1ea0e4d790d42")]
    [InlineData("layer", "f6094dc00576f695")]
    [InlineData("fp16", "0270049fa5f00206")]
    public void Quantize_for_the_simulator(string kind, string digest)
    {
        var fused = FusedOperators.Of(TinyReranker.Prepared.Graph);
        var made =
            kind == "fp16"
                ? HalfPrecision.Build(TinyReranker.Prepared, fused)
                : NpuEmulation.Build(
                    TinyReranker.Prepared,
                    fused,
                    fused.Points.ToDictionary(point => point, _ => Activation),
                    method: kind == "layer" ? QuantizationMethod.Layer : QuantizationMethod.Channel
                );
        Pinned(StageVersions.Quantize, 9, digest, made.Digest());
    }

    /// <summary>By structure and means: powers in it may differ in their last bit between machines.</summary>
    [Fact]
    public void Quantize_for_the_cpu() =>
        Pinned(
            StageVersions.Quantize,
            9,
            "de63350d826d39be",
            Coarse(CpuQuantizer.Quantize(TinyReranker.Source, new CpuQuantizationSettings(), TestContext.Current.CancellationToken).Model)
        );

    /// <summary>Each setting of a variant changes the key of its artifact, but those that only judge it.</summary>
    [Fact]
    public void A_variant_as_a_whole_is_in_its_key()
    {
        var variant = new VariantSpec
        {
            Name = "v",
            Backend = Backend.Simulator,
            Precision = Precision.W8A8,
            Rewrites = [],
            Gates = [],
        };
        string[] judging =
        [
            nameof(VariantSpec.Gates),
            nameof(VariantSpec.Compile),
            nameof(VariantSpec.ToolkitSimulator),
            nameof(VariantSpec.Force),
        ];
        var deciding = typeof(VariantSpec)
            .GetProperties()
            .Where(property =>
                property.SetMethod is not null
                && property.GetCustomAttribute<System.Text.Json.Serialization.JsonIgnoreAttribute>() is null
                && !judging.Contains(property.Name)
            )
            .Select(property => property.Name);

        var json = System.Text.Json.JsonSerializer.SerializeToElement(QuantizeStage.SettingsOf(variant));

        Assert.All(deciding, name => Assert.True(json.TryGetProperty(name, out _), name));
        Assert.Equal(
            System.Text.Json.JsonSerializer.Serialize(QuantizeStage.SettingsOf(variant)),
            System.Text.Json.JsonSerializer.Serialize(
                QuantizeStage.SettingsOf(
                    variant with
                    {
                        Gates = [new("kendall_tau", 0.9, null, null)],
                        Compile = new(WeightMb: 1),
                        ToolkitSimulator = true,
                        Force = true,
                    }
                )
            )
        );
    }

    private static void Pinned(int version, int pinnedVersion, string pinned, string digest) =>
        Assert.Equal((pinnedVersion, pinned), (version, digest[..16]));

    /// <summary>Something for each step of raising: opset 11, fused operators, a weight behind a Transpose.</summary>
    private static OnnxModel Fused()
    {
        var graph = new GraphBuilder(11, irVersion: 6);
        var x = graph.FloatInput(2, 3, 8);
        var weight = graph.Constant(Tensor.Of([8, 8], [.. Enumerable.Range(0, 64).Select(i => i / 8f)]));
        var product = graph.Node("MatMul", [x, graph.Node("Transpose", [weight], Attributes.Of("perm", 1L, 0L))]);
        var gelu = graph.Nodes("BiasGelu", [product, graph.Constant(Tensor.Vector(new float[8]))], 1, "com.microsoft")[0];
        var norm = graph.Nodes(
            "SkipLayerNormalization",
            [gelu, x, graph.Constant(Tensor.Vector(new float[8])), graph.Constant(Tensor.Vector(new float[8]))],
            1,
            "com.microsoft"
        )[0];
        return graph.Build(
            graph.Node("Softmax", [graph.Node("Unsqueeze", [norm], Attributes.Of("axes", [1L]))], Attributes.Of("axis", 3L))
        );
    }

    private static string Coarse(OnnxModel model)
    {
        var text = new StringBuilder();
        foreach (var node in model.Graph.Nodes)
            text.AppendLine(
                CultureInfo.InvariantCulture,
                $"{node.OpType} {string.Join(',', node.Inputs)} -> {string.Join(',', node.Outputs)}"
            );
        foreach (var (name, tensor) in model.Graph.Initializers)
            text.AppendLine(CultureInfo.InvariantCulture, $"{name} {tensor.Type} [{string.Join(',', tensor.Shape)}] {Mean(tensor):0.0e+0}");
        return Hash(text.ToString());
    }

    private static double Mean(Tensor tensor) =>
        tensor.Count == 0
            ? 0
            : tensor.Type switch
            {
                ElementType.Float => tensor.Span<float>().ToArray().Average(value => Math.Abs((double)value)),
                ElementType.Int8 => tensor.Span<sbyte>().ToArray().Average(value => Math.Abs((double)value)),
                _ => 0,
            };

    private static string Hash(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)))[..16];
}
