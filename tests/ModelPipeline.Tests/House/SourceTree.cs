using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace ModelPipeline.Tests.House;

/// <summary>Source files of the working copy, without what builds make.</summary>
internal static class SourceTree
{
    private static readonly string[] Folders = ["build", "native", "src", "tests"];

    private static readonly string[] Made = ["bin", "obj", "artifacts", "node_modules"];

    /// <summary>Paths below the root of the files whose names end so.</summary>
    public static IReadOnlyList<string> Named(params string[] endings) =>
        [
            .. Folders
                .SelectMany(folder =>
                    Directory.EnumerateFiles(Path.Combine(RepositoryFiles.Root, folder), "*", SearchOption.AllDirectories)
                )
                .Select(path => Path.GetRelativePath(RepositoryFiles.Root, path))
                .Where(path => endings.Any(ending => path.EndsWith(ending, StringComparison.Ordinal)))
                .Where(path => !path.Split('/').Any(Made.Contains))
                .Order(StringComparer.Ordinal),
        ];

    public static string Text(string path) => File.ReadAllText(Path.Combine(RepositoryFiles.Root, path));

    public static SyntaxNode Tree(string text) =>
        CSharpSyntaxTree.ParseText(text, new CSharpParseOptions(LanguageVersion.Preview)).GetRoot();

    /// <summary>Where something stands, as compilers say it.</summary>
    public static string Place(string path, SyntaxNode node) => $"{path}:{node.GetLocation().GetLineSpan().StartLinePosition.Line + 1}";
}
