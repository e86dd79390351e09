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

    private const int MostParameters = 5;

    [Fact]
    public void No_line_is_longer_than_140_columns() =>
        Assert.Empty(
            SourceTree
                .Named(".cs", ".cpp", ".h")
                .SelectMany(path => LongLines(path, SourceTree.Text(path)).Select(line => $"{path}:{line}"))
        );

    [Fact]
    public void No_conditional_stands_in_another() => Assert.Empty(Found(NestedConditionals));

    [Fact]
    public void No_method_takes_more_than_five_things() => Assert.Empty(Found(LongParameterLists));

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

    [Theory]
    [InlineData("class A { int B(bool c) => c ? 1 : 2; }", 0)]
    [InlineData("class A { int B(bool c) => c ? 1 : (c ? 2 : 3); }", 1)]
    [InlineData("class A { long B(bool c) => (c ? c : !c) ? c ? 1 : 2 : (long)(c ? 2 : 3); }", 3)]
    [InlineData("class A { int B(bool c) => c ? 1 : Of(() => c ? 2 : 3); }", 0)]
    [InlineData("class A { int B(int c) => c switch { 1 => c > 0 ? 1 : 2, _ => c > 0 ? 1 : 2 }; }", 0)]
    public void A_nested_conditional_is_seen(string source, int count) =>
        Assert.Equal(count, NestedConditionals(SourceTree.Tree(source)).Count());

    [Theory]
    [InlineData("class A { void B(int a, int b, int c, int d, int e) { } }", 0)]
    [InlineData("class A { void B(int a, int b, int c, int d, int e, int f) { } }", 1)]
    [InlineData("class A { void B(int a, int b, int c, int d, int e, int f = 1, CancellationToken stop = default) { } }", 0)]
    [InlineData("class A(int a, int b, int c, int d, int e, int f) { }", 1)]
    [InlineData("record A(int a, int b, int c, int d, int e, int f) { }", 0)]
    [InlineData("class A { void B() { void C(int a, int b, int c, int d, int e, int f) { } } }", 1)]
    [InlineData("partial class A { [LibraryImport] static partial void B(int a, int b, int c, int d, int e, int f); }", 0)]
    [InlineData("class A { [Theory] public void B(int a, int b, int c, int d, int e, int f) { } }", 0)]
    public void A_long_list_of_parameters_is_seen(string source, int count) =>
        Assert.Equal(count, LongParameterLists(SourceTree.Tree(source)).Count());

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

    private static IEnumerable<string> Found(Func<SyntaxNode, IEnumerable<SyntaxNode>> what) =>
        from source in Sources.Value
        from node in what(source.Tree)
        select SourceTree.Place(source.Path, node);

    /// <summary>Parsed once for all tests.</summary>
    private static readonly Lazy<IReadOnlyList<(string Path, SyntaxNode Tree)>> Sources = new(() =>
        [.. SourceTree.Named(".cs").Select(path => (path, SourceTree.Tree(SourceTree.Text(path))))]
    );

    /// <summary>Numbers of lines that are too long, but those of a raw string literal, which hold data.</summary>
    private static IEnumerable<int> LongLines(string path, string text)
    {
        var source = SourceText.From(text);
        var lines = source.Lines.Where(line => line.End - line.Start > MostColumns).ToList();
        if (lines.Count == 0 || !path.EndsWith(".cs", StringComparison.Ordinal))
            return lines.Select(line => line.LineNumber + 1);
        var tree = SourceTree.Tree(text);
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

    /// <summary>Each <c>?:</c> that is an operand of another, in parentheses, cast or neither.</summary>
    private static IEnumerable<SyntaxNode> NestedConditionals(SyntaxNode tree) =>
        tree.DescendantNodes()
            .OfType<ConditionalExpressionSyntax>()
            .Where(inner =>
                inner.Ancestors().SkipWhile(outer => outer is ParenthesizedExpressionSyntax or CastExpressionSyntax).FirstOrDefault()
                is ConditionalExpressionSyntax
            );

    /// <summary>Lists of more than five parameters, not counting optional ones and the cancellation. Records are what long lists become;
    /// declarations of foreign functions and the data of theories are as they are.</summary>
    private static IEnumerable<SyntaxNode> LongParameterLists(SyntaxNode tree) =>
        tree.DescendantNodes()
            .OfType<ParameterListSyntax>()
            .Where(list =>
                list.Parent is not RecordDeclarationSyntax
                && !(list.Parent is MemberDeclarationSyntax member && IsGiven(member))
                && list.Parameters.Count(parameter => parameter is { Default: null } && parameter.Type?.ToString() != "CancellationToken")
                    > MostParameters
            );

    private static bool IsGiven(MemberDeclarationSyntax member) =>
        member
            .AttributeLists.SelectMany(list => list.Attributes)
            .Any(attribute => attribute.Name.ToString() is "LibraryImport" or "DllImport" or "Theory");
}
