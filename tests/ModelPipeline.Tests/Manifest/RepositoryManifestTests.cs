using System.Security.Cryptography;
using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;
using ModelPipeline.Manifest;

namespace ModelPipeline.Tests.Manifest;

/// <summary>models.yaml at the root of the repository.</summary>
public sealed class RepositoryManifestTests
{
    private static readonly ModelsManifest Manifest = ModelsYaml.Load(
        Path.Combine(ManifestFile.RepositoryRoot, "models.yaml"),
        new ManifestOverrides(),
        _ => null
    );

    [Fact]
    public void Editors_find_the_schema_from_its_first_line()
    {
        var first = File.ReadLines(Manifest.Path).First();
        var schema = first["# yaml-language-server: $schema=".Length..];
        Assert.StartsWith("# yaml-language-server: $schema=", first);
        Assert.True(File.Exists(Path.Combine(ManifestFile.RepositoryRoot, schema)));
    }

    [Fact]
    public void It_declares_the_sample_and_the_flagship()
    {
        Assert.Equal(["tiny-reranker", "ms-marco-MiniLM-L-12-v2"], Manifest.Models.Select(model => model.Name));
        Assert.Equal("tiny-reranker", Assert.Single(Manifest.Select()).Name);
        var flagship = Assert.Single(Manifest.Select("ms-marco-MiniLM-L-12-v2"));
        Assert.Equal(["fp16", "int8", "cpu-int8"], flagship.Variants.Select(variant => variant.Name));
        Assert.Equal([Backend.Rknn, Backend.Rknn, Backend.Onnx], flagship.Variants.Select(variant => variant.Backend));
        Assert.Equal(
            new HuggingFaceSource("cross-encoder/ms-marco-MiniLM-L-12-v2", "main", "onnx/model.onnx"),
            flagship.Source.HuggingFace
        );
        Assert.True(flagship.ShapesAreAuto);
        Assert.Equal([true, false, false], flagship.Variants.Select(variant => variant.OneFile));
        Assert.Equal([Precision.Fp16, Precision.W8A8, Precision.W8A8], flagship.Variants.Select(variant => variant.Precision));
        Assert.NotNull(flagship.Release);
        Assert.Contains(new GateSpec("latency_p95_ms", null, 100, null), flagship.Variants[1].Gates);
    }

    [Fact]
    public void The_sample_builds_with_the_mask_rewrite_and_the_gates_of_its_variants()
    {
        var sample = Manifest.Models[0];
        Assert.Equal([new InputShape(1, 128)], sample.Shapes);
        Assert.All(sample.Variants, variant => Assert.Equal(["families"], variant.Rewrites));
        Assert.Equal([new GateSpec("kendall_tau", 0.999, null, null)], sample.Variants[0].Gates);
        Assert.Equal(
            [new GateSpec("ndcg_at_10", null, null, 0.01), new GateSpec("kendall_tau", 0.9, null, null)],
            sample.Variants[1].Gates
        );
    }

    [Fact]
    public void The_files_of_the_sample_exist_and_have_the_declared_hashes()
    {
        var sample = Manifest.Models[0];
        foreach (var source in new[] { sample.Source, sample.Tokenizer.Vocab })
            Assert.Equal(source.Sha256, Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(source.File!))));
        var corpus = Manifest.Corpora["sample"];
        Assert.All([corpus.Passages, corpus.Queries, corpus.Qrels, corpus.Candidates], path => Assert.True(File.Exists(path), path));
    }

    [Fact]
    public void The_release_goes_to_the_repository_that_the_environment_names()
    {
        var manifest = ModelsYaml.Load(Manifest.Path, new ManifestOverrides(), name => name == "GITHUB_REPOSITORY" ? "me/fork" : null);
        Assert.Equal("me/fork", manifest.Models[1].Release.Repository);
    }
}
