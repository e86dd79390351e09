using System.Text.RegularExpressions;

namespace ModelPipeline.Tests.House;

/// <summary>Folders of the libraries know each other in one direction: the picture in CONTRIBUTING.md, read here, is what is
/// allowed.</summary>
public sealed partial class EdgeTests
{
    private const string Tests = "tests/ModelPipeline.Tests/";

    private static readonly string[] Libraries = ["src/ModelPipeline", "src/ModelPipeline.Artifacts"];

    [Fact]
    public void NoFolderKnowsOneThatThePictureDoesNotGiveIt()
    {
        var allowed = Picture();
        var wrong = Uses()
            .Where(use => !Reachable(use.From, allowed).Contains(use.To))
            .Select(use => $"{use.File}: {use.From} must not know {use.To}")
            .Distinct()
            .Order(StringComparer.Ordinal);
        Assert.Empty(wrong);
    }

    [Fact]
    public void ThePictureHasEveryFolderAndNoOther() =>
        Assert.Equal(Uses().Select(use => use.From).Distinct().Order(), Picture().Keys.Order());

    [Fact]
    public void ThePictureHasNoCycle()
    {
        var allowed = Picture();
        Assert.DoesNotContain(
            allowed.Keys,
            folder => allowed[folder].Any(next => next == folder || Reachable(next, allowed).Contains(folder))
        );
    }

    [Fact]
    public void AFolderIsANamespace() =>
        Assert.All(
            Sources(),
            file =>
            {
                var folder = Path.GetRelativePath(RepositoryFiles.Root, file).Split('/')[2..^1];
                var space = Namespace().Match(File.ReadAllText(file)).Groups["name"].Value;
                Assert.EndsWith(string.Join('.', folder), space, StringComparison.Ordinal);
            }
        );

    /// <summary>Fixtures are files; what is left is about no folder, but the whole: its house, its API, its workflows, its runs.</summary>
    [Fact]
    public void Tests_stand_in_the_folder_of_what_they_test()
    {
        var folders = SourceTree
            .Named(".cs")
            .Where(path => path.StartsWith(Tests, StringComparison.Ordinal))
            .Select(path => path[Tests.Length..].Split('/'))
            .ToList();
        Assert.All(
            folders.Where(path => path[^1].EndsWith("Tests.cs", StringComparison.Ordinal)),
            path => Assert.Contains(path[0], Picture().Keys.Concat(["EndToEnd", "House", "PublicApi", "Workflows"]))
        );
        Assert.All(
            folders,
            path =>
                Assert.Contains(
                    $"\nnamespace {string.Join('.', path[..^1].Prepend("ModelPipeline.Tests"))};",
                    "\n" + SourceTree.Text(Tests + string.Join('/', path))
                )
        );
    }

    /// <summary>Lines such as <c>Sources -> Manifest</c> of the one code block that has them.</summary>
    private static Dictionary<string, string[]> Picture() =>
        Edge()
            .Matches(File.ReadAllText(Path.Combine(RepositoryFiles.Root, "CONTRIBUTING.md")))
            .ToDictionary(
                edge => edge.Groups["from"].Value,
                edge => edge.Groups["to"].Value.Split([' ', ','], StringSplitOptions.RemoveEmptyEntries)
            );

    private static HashSet<string> Reachable(string folder, Dictionary<string, string[]> edges)
    {
        var reached = new HashSet<string> { folder };
        var open = new Stack<string>(reached);
        while (open.TryPop(out var next))
        {
            foreach (var to in edges.GetValueOrDefault(next, []).Where(reached.Add))
                open.Push(to);
        }
        return reached;
    }

    /// <summary>What the sources themselves call a folder: other names behind "ModelPipeline." are packages.</summary>
    private static readonly HashSet<string> Folders =
    [
        .. Sources().Select(path => Namespace().Match(File.ReadAllText(path)).Groups["folder"].Value).Where(folder => folder.Length > 0),
    ];

    private static IEnumerable<(string File, string From, string To)> Uses() =>
        from path in Sources()
        let text = File.ReadAllText(path)
        let own = Namespace().Match(text).Groups["folder"].Value
        where own.Length > 0
        from use in Use().Matches(text).Select(use => use.Groups["folder"].Value).Where(Folders.Contains).Append(own)
        select (Path.GetRelativePath(RepositoryFiles.Root, path), own, use);

    private static IEnumerable<string> Sources() =>
        Libraries
            .SelectMany(library =>
                Directory.EnumerateFiles(Path.Combine(RepositoryFiles.Root, library), "*.cs", SearchOption.AllDirectories)
            )
            .Where(path => !path.Contains("/bin/", StringComparison.Ordinal) && !path.Contains("/obj/", StringComparison.Ordinal));

    [GeneratedRegex(@"^(?<from>[A-Z]\w+) +->(?<to>[ \w,]*)$", RegexOptions.Multiline)]
    private static partial Regex Edge();

    [GeneratedRegex(@"^namespace (?<name>ModelPipeline(\.(?<folder>[A-Z]\w*))?[\w.]*);", RegexOptions.Multiline)]
    private static partial Regex Namespace();

    [GeneratedRegex(@"^(?! *//)[^\n]*?\bModelPipeline\.(?<folder>[A-Z]\w+)", RegexOptions.Multiline)]
    private static partial Regex Use();
}
