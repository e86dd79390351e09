using CsCheck;
using ModelPipeline.Core;

namespace ModelPipeline.Tests.Manifest;

public sealed class ManifestFuzzTests
{
    private static readonly string Original = File.ReadAllText(Path.Combine(ManifestFile.RepositoryRoot, "models.yaml"));

    private static readonly string[] Fragments =
    [
        "\n",
        " ",
        "  ",
        "\t",
        ":",
        ": ",
        "- ",
        "? ",
        "{",
        "}",
        "[",
        "]",
        ",",
        "&a ",
        "*a",
        "!!str ",
        "<<: ",
        "|\n",
        ">-\n",
        "'",
        "\"",
        "#",
        "%YAML 9.9\n",
        "---\n",
        "...\n",
        "${",
        "${A}",
        "${A:-",
        "$${",
        "~",
        "null",
        "true",
        "-1",
        "1e400",
        "0x1F",
        "99999999999999999999999",
        ".inf",
        "\0",
        "\u0085",
        "\uFFFE",
        "\uD800",
        "é",
        "models:",
        "variants:",
        "gates: { kendall_tau: { min: 1 } }",
        "corpus: x",
        "huggingface: { repo: a, file: b }",
        "backend: onnx",
        "url: http://[",
        "sha256: ''",
        "shapes: [[1, 9]]",
    ];

    private static readonly Gen<Func<string, string>> Mutation = Gen.OneOf(
        Gen.Select(Gen.Int[0, 1 << 16], Gen.Int[0, Fragments.Length - 1])
            .Select((at, fragment) => (Func<string, string>)(text => text.Insert(at % (text.Length + 1), Fragments[fragment]))),
        Gen.Select(Gen.Int[0, 1 << 16], Gen.Int[0, 40])
            .Select(
                (at, length) =>
                    (Func<string, string>)(
                        text => text.Length == 0 ? text : text.Remove(at % text.Length, Math.Min(length, text.Length - at % text.Length))
                    )
            ),
        Gen.Select(Gen.Int[0, 1 << 16], Gen.Char)
            .Select(
                (at, value) =>
                    (Func<string, string>)(
                        text => text.Length == 0 ? text : text[..(at % text.Length)] + value + text[(at % text.Length + 1)..]
                    )
            ),
        Gen.Select(Gen.Int[0, 200], Gen.Int[0, 200]).Select((from, to) => (Func<string, string>)(text => MoveLine(text, from, to))),
        Gen.Int[0, 1 << 16].Select(at => (Func<string, string>)(text => text[..(at % (text.Length + 1))]))
    );

    [Fact]
    public void Any_mutation_of_models_yaml_loads_or_is_refused_with_places()
    {
        int loaded = 0,
            refused = 0;
        Mutation
            .Array[1, 4]
            .Sample(
                mutations =>
                {
                    var text = mutations.Aggregate(Original, (text, mutate) => mutate(text));
                    try
                    {
                        Assert.NotEmpty(ManifestFile.Load(text, name => name == "A" ? "a: [b" : null).Models);
                        Interlocked.Increment(ref loaded);
                    }
                    catch (PipelineException exception)
                    {
                        Assert.Equal(PipelineException.ConfigurationError, exception.ExitCode);
                        Interlocked.Increment(ref refused);
                        Assert.All(exception.Message.Split('\n'), line => Assert.Matches(@"models\.yaml:[1-9]\d*:[1-9]\d*: ", line));
                    }
                },
                iter: 2000,
                print: mutations => mutations.Aggregate(Original, (text, mutate) => mutate(text))
            );
        Assert.True(loaded > 50 && refused > 500, $"the mutations are too mild or too wild: {loaded} loaded, {refused} refused");
    }

    private static string MoveLine(string text, int from, int to)
    {
        var lines = text.Split('\n').ToList();
        var line = lines[from % lines.Count];
        lines.RemoveAt(from % lines.Count);
        lines.Insert(to % (lines.Count + 1), line);
        return string.Join('\n', lines);
    }
}
