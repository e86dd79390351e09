namespace ModelPipeline.Tests.Manifest;

public sealed class YamlDocumentTests
{
    [Theory]
    [InlineData("", "1:1: the file is empty; it needs at least corpora and models")]
    [InlineData("# only a comment\n", "1:1: the file is empty; it needs at least corpora and models")]
    [InlineData("a: 'x\n", "not valid YAML: ")]
    [InlineData("a: [x\nb: y\n", "2:1: not valid YAML: a bracket or quote before this is not closed")]
    [InlineData("a:\n\tb: c\n", "2:1: not valid YAML: ")]
    [InlineData("a: b: c\n", "1:5: not valid YAML: ")]
    [InlineData("a: @b\n", "1:4: not valid YAML: ")]
    public void What_is_not_yaml_is_refused_at_its_place(string text, string expected)
    {
        var error = Assert.Single(ManifestFile.Errors(text));
        Assert.StartsWith("models.yaml:", error);
        Assert.Contains(expected, error);
        Assert.Matches("^models.yaml:[1-9][0-9]*:[1-9][0-9]*: ", error);
    }

    [Fact]
    public void Anchors_and_aliases_are_refused()
    {
        const string why = "anchors and aliases are not supported; what models share goes under defaults";
        Assert.Equal(
            [$"models.yaml:2:11: defaults.target: {why}", $"models.yaml:28:20: models.tiny.variants.int8.algorithm: {why}"],
            ManifestFile.Errors(ManifestFile.With(("target: rk3588", "target: &t rk3588"), ("algorithm: normal", "algorithm: *t")))
        );
    }

    [Fact]
    public void Merge_keys_are_refused() =>
        Assert.Contains(
            "models.yaml:28:9: models.tiny.variants.int8: merge keys are not supported; what models share goes under defaults",
            ManifestFile.Errors(ManifestFile.With(("algorithm: normal", "<<: { algorithm: normal }")))
        );

    [Fact]
    public void Tags_are_refused() =>
        Assert.Equal(
            ["models.yaml:4:43: defaults.calibration.samples: tags are not supported; remove what starts with '!'"],
            ManifestFile.Errors(ManifestFile.With(("samples: 100", "samples: !!int 100")))
        );

    [Fact]
    public void An_alias_bomb_is_refused_without_being_built()
    {
        var bomb = string.Concat(
            Enumerable.Range(1, 200).Select(i => $"a{i}: &a{i} [{string.Join(", ", Enumerable.Repeat($"*a{i - 1}", 9))}]\n")
        );
        var errors = ManifestFile.Errors("a0: &a0 [x]\n" + bomb);
        Assert.Contains("models.yaml:2:10: a1[0]: anchors and aliases are not supported; what models share goes under defaults", errors);
        Assert.Matches("^models.yaml: and [12][0-9]{3} more errors$", errors[^1]);
        Assert.Equal(101, errors.Length);
    }

    [Theory]
    [InlineData("[")]
    [InlineData("{a: ")]
    [InlineData("- ")]
    [InlineData("? ")]
    public void Deep_nesting_is_refused(string open) =>
        Assert.Contains("nested deeper than 32 levels", Assert.Single(ManifestFile.Errors(string.Concat(Enumerable.Repeat(open, 50_000)))));

    [Fact]
    public void Only_one_document_is_allowed() =>
        Assert.Equal(
            ["models.yaml:33:1: only one document is allowed: remove this '---' and what follows"],
            ManifestFile.Errors(ManifestFile.Text + "---\na: b\n")
        );

    [Theory]
    [InlineData("? [a, b]\n: c\n", "models.yaml:1:3: a key must be a plain name")]
    [InlineData("\"a\\n\": c\n", "models.yaml:1:1: a key must be a plain name")]
    public void Keys_are_plain_names(string text, string expected) => Assert.Contains(expected, ManifestFile.Errors(text));

    [Fact]
    public void Windows_line_ends_and_a_byte_order_mark_change_nothing()
    {
        var manifest = ManifestFile.Load('\uFEFF' + ManifestFile.Text.Replace("\n", "\r\n"));
        Assert.Equal("tiny", manifest.Models[0].Name);
        Assert.Equal(
            [
                "models.yaml:28:20: models.tiny.variants.int8.algorithm: 'norml' is not one of normal, kl_divergence, mmse (did you mean "
                    + "'normal'?)",
            ],
            ManifestFile.Errors('\uFEFF' + ManifestFile.With(("algorithm: normal", "algorithm: norml")).Replace("\n", "\r\n"))
        );
    }
}
