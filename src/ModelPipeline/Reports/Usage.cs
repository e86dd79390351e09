using System.Globalization;
using ModelPipeline.Artifacts;
using ModelPipeline.Manifest;
using ModelPipeline.Packaging;

namespace ModelPipeline.Reports;

/// <summary>How the files of a card are run, as code that can be copied.</summary>
internal static class Usage
{
    /// <summary>A block of code.</summary>
    /// <param name="Title">For what.</param>
    /// <param name="Language">As fenced blocks name it.</param>
    /// <param name="Code">Ends in a new line.</param>
    public sealed record Block(string Title, string Language, string Code);

    /// <summary>In the order shown: only for files that there are.</summary>
    public static IEnumerable<Block> Of(ModelSpec model, PackageManifest manifest)
    {
        var shape = model.Shapes.OrderBy(shape => shape.Sequence).LastOrDefault();
        PackageFile[] models = [.. manifest.Files.Where(file => file.Role == PackageRole.Model && !file.Simulated)];
        if (models.Length > 0 && model.Release.Repository is { } repository)
        {
            yield return new("Download", "sh", Download(repository, manifest, models));
            yield return new(".NET", "xml", Restored(repository, manifest, models));
        }
        var tokenizer = Tokenizer(model, manifest, shape.Sequence);
        if (tokenizer is null)
            yield break;
        if (models.LastOrDefault(file => file.Name.EndsWith(".onnx", StringComparison.Ordinal)) is { } onnx)
            yield return new("Python with onnxruntime", "python", tokenizer + Onnx(onnx.Name));
        if (models.LastOrDefault(file => file.Name.EndsWith(".rknn", StringComparison.Ordinal)) is { } rknn)
            yield return new("Python on the board with rknn-toolkit-lite2", "python", tokenizer + Rknn(rknn.Name));
    }

    private static string Download(string repository, PackageManifest manifest, IReadOnlyList<PackageFile> models)
    {
        var files = models.Select(file => file.Name).Append(PackageManifest.SumsName);
        var url = $"https://github.com/{repository}/releases/download/{manifest.Name}/v{manifest.Version}";
        return string.Concat(files.Select(file => $"curl -fLO {url}/{file}\n")) + "sha256sum --check --ignore-missing SHA256SUMS\n";
    }

    private static string Restored(string repository, PackageManifest manifest, IReadOnlyList<PackageFile> models)
    {
        var file = models[^1];
        return $"""
            <PropertyGroup>
              <ModelArtifactSource>github:{repository}</ModelArtifactSource>
            </PropertyGroup>
            <ItemGroup>
              <PackageReference Include="ModelPipeline.MSBuild" Version="{PipelineVersionOf(manifest)}" PrivateAssets="all" />
              <ModelArtifact Include="{manifest.Name}" Version="{manifest.Version}" Variant="{file.Variant}" Platform="{file.Platform}" />
            </ItemGroup>

            """;
    }

    private static string PipelineVersionOf(PackageManifest manifest) => manifest.Tools.GetValueOrDefault("modelpipeline", "*");

    /// <summary>Rows of tokens with the tokenizers package; null for files that it does not read by themselves.</summary>
    private static string? Tokenizer(ModelSpec model, PackageManifest manifest, int tokens)
    {
        var files = manifest.Files.Where(file => file.Role == PackageRole.Vocabulary).Select(file => file.Name).ToList();
        string? loaded = files switch
        {
            _ when files.Contains("tokenizer.json") => """tokenizers.Tokenizer.from_file("tokenizer.json")""",
            ["vocab.txt"] =>
                $"""tokenizers.BertWordPieceTokenizer("vocab.txt", lowercase={(model.Tokenizer.Lowercase is false ? "False" : "True")})""",
            _ => null,
        };
        if (loaded is null)
            return null;
        var strategy = model.Tokenizer.Truncation == TruncationStrategy.OnlySecond ? "only_second" : "longest_first";
        var truncation = manifest.Task.TakesPairs ? $", strategy=\"{strategy}\"" : "";
        var (query, passage) = (model.Tokenizer.Prefixes?.Query ?? "", model.Tokenizer.Prefixes?.Passage ?? "");
        var text = manifest.Task.TakesPairs
            ? $"\"{query}how is dough kneaded\", \"{passage}Knead it until it is smooth.\""
            : $"\"{passage}Knead it until it is smooth.\"";
        return string.Create(
            CultureInfo.InvariantCulture,
            $"""
            import numpy, tokenizers

            tokenizer = {loaded}
            tokenizer.enable_truncation({tokens}{truncation})
            tokenizer.enable_padding(length={tokens})
            row = tokenizer.encode({text})
            rows = dict(input_ids=row.ids, attention_mask=row.attention_mask, token_type_ids=row.type_ids)

            """
        );
    }

    private static string Onnx(string file) =>
        $$"""

            import onnxruntime

            session = onnxruntime.InferenceSession("{{file}}")
            names = [each.name for each in session.get_inputs()]
            print(session.run(None, {name: numpy.array([rows[name]], numpy.int64) for name in names})[0])

            """;

    private static string Rknn(string file) =>
        $$"""

            from rknnlite.api import RKNNLite

            rknn = RKNNLite()
            assert rknn.load_rknn("{{file}}") == 0 and rknn.init_runtime(core_mask=RKNNLite.NPU_CORE_0) == 0
            print(rknn.inference(inputs=[numpy.array([each], numpy.int64) for each in rows.values()])[0])

            """;
}
