using System.ComponentModel;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Text;

namespace ModelPipeline.Tests.House;

/// <summary>What CONTRIBUTING.md asks of every source file, and no compiler checks.</summary>
public sealed class StyleTests
{
    /// <summary>As .editorconfig and .csharpierrc.yaml have it.</summary>
    private const int MostColumns = 140;

    [Fact]
    public void No_line_is_longer_than_140_columns() =>
        Assert.Empty(
            Sources.Named(".cs", ".cpp", ".h").SelectMany(path => LongLines(path, Sources.Text(path)).Select(line => $"{path}:{line}"))
        );

    [Fact]
    public async Task CSharpier_would_lay_out_nothing_otherwise()
    {
        var (exitCode, output) = await Dotnet("tool", "restore");
        Assert.SkipUnless(exitCode == 0, $"CSharpier cannot be restored: {output}");
        (exitCode, output) = await Dotnet("csharpier", "check", ".");
        Assert.True(exitCode == 0, $"{output}\n'dotnet csharpier format .' mends it.");

        static async Task<(int, string)> Dotnet(params string[] arguments)
        {
            try
            {
                return await Programs.RunAsync(RepositoryFiles.Root, "dotnet", arguments);
            }
            catch (Win32Exception)
            {
                return (1, "there is no dotnet on the PATH.");
            }
        }
    }

    [Fact]
    public void A_long_line_is_seen_unless_it_is_data()
    {
        var filler = new string('x', MostColumns);
        Assert.Equal([1], LongLines("a.cs", $"// {filler}\n"));
        Assert.Equal([1], LongLines("a.cs", $"var a = \"{filler}\";\n"));
        Assert.Equal([], LongLines("a.cs", $"var a = \"\"\"{filler}\"\"\";\n"));
        Assert.Equal([4], LongLines("a.cs", $"var a = $\"\"\"\n{filler} {{1}} {filler}\n\"\"\";\n// {filler}\n"));
        Assert.Equal([2], LongLines("a.h", $"\n// {filler}\n"));
    }

    /// <summary>Numbers of lines that are too long, but those of a raw string literal, which hold data.</summary>
    private static IEnumerable<int> LongLines(string path, string text)
    {
        var source = SourceText.From(text);
        var lines = source.Lines.Where(line => line.End - line.Start > MostColumns).ToList();
        if (lines.Count == 0 || !path.EndsWith(".cs", StringComparison.Ordinal))
            return lines.Select(line => line.LineNumber + 1);
        var tree = Sources.Tree(text);
        return lines
            .Where(line => !tree.DescendantTokens(line.Span).Any(token => IsRaw(token) && token.Span.IntersectsWith(line.Span)))
            .Select(line => line.LineNumber + 1);
    }

    private static bool IsRaw(SyntaxToken token) =>
        token.Kind() is SyntaxKind.SingleLineRawStringLiteralToken or SyntaxKind.MultiLineRawStringLiteralToken
        || token.Parent is InterpolatedStringTextSyntax { Parent: InterpolatedStringExpressionSyntax text }
            && text.StringStartToken.Kind()
                is SyntaxKind.InterpolatedSingleLineRawStringStartToken
                    or SyntaxKind.InterpolatedMultiLineRawStringStartToken;
}
