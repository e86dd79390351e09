using ModelPipeline.Core;
using ModelPipeline.Manifest;

namespace ModelPipeline.Tests.Manifest;

public sealed class SelectionTests
{
    private static ModelsManifest Manifest(bool? quantize = null) =>
        ModelsYaml.Load(Path.Combine(ManifestFile.RepositoryRoot, "models.yaml"), new ManifestOverrides(Quantize: quantize), _ => null);

    private static string[] Selected(ModelsManifest manifest, string? model = null, string? variant = null) =>
        [.. manifest.Select(model, variant).SelectMany(each => each.Variants, (each, kept) => $"{each.Name}:{kept.Name}")];

    [Fact]
    public void Without_names_the_default_models_are_selected_with_all_their_variants() =>
        Assert.Equal(["tiny-reranker:fp16", "tiny-reranker:int8", "tiny-reranker:cpu-int8"], Selected(Manifest()));

    [Fact]
    public void A_named_model_is_selected_even_if_it_is_no_default() =>
        Assert.Equal(
            ["ms-marco-MiniLM-L-12-v2:fp16", "ms-marco-MiniLM-L-12-v2:int8", "ms-marco-MiniLM-L-12-v2:cpu-int8"],
            Selected(Manifest(), "ms-marco-MiniLM-L-12-v2")
        );

    [Fact]
    public void A_named_variant_is_the_only_one_left() => Assert.Equal(["tiny-reranker:int8"], Selected(Manifest(), variant: "int8"));

    [Fact]
    public void Quantize_narrows_the_variants_by_precision()
    {
        Assert.Equal(["tiny-reranker:int8", "tiny-reranker:cpu-int8"], Selected(Manifest(quantize: true)));
        Assert.Equal(["tiny-reranker:fp16"], Selected(Manifest(quantize: false)));
        Assert.Equal(
            ["ms-marco-MiniLM-L-12-v2:int8", "ms-marco-MiniLM-L-12-v2:cpu-int8"],
            Selected(Manifest(quantize: true), "ms-marco-MiniLM-L-12-v2")
        );
    }

    [Theory]
    [InlineData(
        "tiny-rerankr",
        null,
        null,
        "--model: 'tiny-rerankr' is not one of tiny-reranker, ms-marco-MiniLM-L-12-v2 (did you mean 'tiny-reranker'?)"
    )]
    [InlineData("whisper", null, null, "--model: 'whisper' is not one of tiny-reranker, ms-marco-MiniLM-L-12-v2")]
    [InlineData("tiny-reranker", "int9", null, "--variant: 'int9' is not one of fp16, int8, cpu-int8 (did you mean 'int8'?)")]
    [InlineData(null, "int4-x", null, "--variant: 'int4-x' is not one of fp16, int8, cpu-int8")]
    [InlineData(
        null,
        "fp16",
        true,
        "nothing to build: the selection has no w8a8 variant, and QUANTIZE (or --quantize) asks for nothing else"
    )]
    [InlineData(
        null,
        "int8",
        false,
        "nothing to build: the selection has no fp16 variant, and QUANTIZE (or --quantize) asks for nothing else"
    )]
    public void What_cannot_be_selected_is_an_error(string? model, string? variant, bool? quantize, string expected)
    {
        var error = Assert.Throws<PipelineException>(() => Manifest(quantize).Select(model, variant));
        Assert.Equal(expected, error.Message);
        Assert.Equal(PipelineException.ConfigurationError, error.ExitCode);
    }

    [Fact]
    public void Without_any_default_model_a_name_is_asked_for()
    {
        var manifest = ManifestFile.Load(ManifestFile.With(("task: rerank", "task: rerank\n    default: false")));
        Assert.Equal(
            "no model has default: true; name one with --model=",
            Assert.Throws<PipelineException>(() => manifest.Select()).Message
        );
    }
}
