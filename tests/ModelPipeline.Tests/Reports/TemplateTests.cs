using System.Net;
using CsCheck;
using ModelPipeline.Reports;

namespace ModelPipeline.Tests.Reports;

public sealed class TemplateTests
{
    [Fact]
    public void HTML_shows_any_text_as_it_is() =>
        Gen.String.Sample(text =>
        {
            var html = CharacterEncoder.Html.Encode(text);
            Assert.Equal(-1, html.IndexOfAny(['<', '>', '"', '\'']));
            // What is no text, half of a surrogate pair, is replaced.
            Assert.Equal(string.Concat(text.EnumerateRunes()), WebUtility.HtmlDecode(html));
        });

    [Fact]
    public void Markdown_keeps_any_text_on_one_line_and_in_one_cell() =>
        Gen.String[Gen.Char["ab\\`*[]<>|#&\n\r\t\0 ü"], 0, 20]
            .Sample(text =>
            {
                var markdown = CharacterEncoder.Markdown.Encode(text);
                Assert.DoesNotContain(markdown, char.IsControl);
                Assert.DoesNotMatch(@"(?<!\\)(\\\\)*[`*\[\]<>|#&]", markdown);
                Assert.Equal(
                    string.Concat(text.Select(letter => char.IsControl(letter) ? ' ' : letter)),
                    System.Text.RegularExpressions.Regex.Replace(markdown, @"\\(.)", "$1")
                );
            });

    [Fact]
    public void What_a_template_lacks_is_told()
    {
        Assert.Contains(
            "There is no template 'none.html'",
            Assert.Throws<ArgumentException>(() => Template.Html("none.html", new { })).Message
        );
        Assert.Contains("report.html", Assert.Throws<ArgumentException>(() => Template.Html("report.html", new { Title = "a" })).Message);
    }
}
