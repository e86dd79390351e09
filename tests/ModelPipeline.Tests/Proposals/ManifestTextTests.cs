using ModelPipeline.Core;
using ModelPipeline.Proposals;

namespace ModelPipeline.Tests.Proposals;

/// <summary>Entries go to the end of their section, and nothing else moves.</summary>
public sealed class ManifestTextTests
{
    [Fact]
    public void An_entry_is_the_last_of_its_section_at_its_indentation() =>
        Assert.Equal(
            "corpora:\n    a: 1 # x\n    # y\n    b: 2\n\n# next\nmodels:\n  m: 3\n",
            ManifestText.With("corpora:\n    a: 1 # x\n    # y\n\n# next\nmodels:\n  m: 3\n", "corpora", "  b: 2\n")
        );

    [Fact]
    public void An_empty_section_is_filled() =>
        Assert.Equal(
            "corpora:\n  b:\n    c: 2\nmodels:\n  m: 1\n",
            ManifestText.With(ManifestText.With("corpora: {}\nmodels:\n", "corpora", "  b:\n    c: 2\n"), "models", "  m: 1\n")
        );

    [Fact]
    public void Models_are_parted_by_an_empty_line_and_a_last_line_without_end_gets_one() =>
        Assert.Equal("models:\n  a: 1\n\n  b: 2\n", ManifestText.With("models:\n  a: 1", "models", "  b: 2\n"));

    [Fact]
    public void Line_ends_are_those_of_the_file() =>
        Assert.Equal("models:\r\n  a: 1\r\n\r\n  b: 2\r\n", ManifestText.With("models:\r\n  a: 1\r\n", "models", "  b: 2\n"));

    [Fact]
    public void A_section_on_one_line_is_refused() =>
        Assert.Contains(
            "'models:' does not stand on a line of its own",
            Assert.Throws<PipelineException>(() => ManifestText.With("models: { a: 1 }\n", "models", "  b: 2\n")).Message
        );

    [Theory]
    [InlineData("onnx/model.onnx", "onnx/model.onnx")]
    [InlineData("11111111", "\"11111111\"")]
    [InlineData("12e4", "\"12e4\"")]
    [InlineData("true", "\"true\"")]
    [InlineData("a b: c", "\"a b: c\"")]
    [InlineData("${HOME}", "\"$${HOME}\"")]
    [InlineData("", "\"\"")]
    public void A_text_is_quoted_where_it_could_be_something_else(string text, string yaml) => Assert.Equal(yaml, YamlText.Scalar(text));
}
