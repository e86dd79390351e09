using System.Text.Json;
using ModelPipeline.Core;
using ModelPipeline.Onnx;

namespace ModelPipeline.Tests.Onnx;

/// <summary>Small random models of many encoder families, as exporters write them, beside the project: <c>../shared/fixtures/families</c>,
/// or where a variable says.</summary>
internal static class FamilyFixtures
{
    public const string Variable = "MODELPIPELINE_SHARED";

    /// <summary>[batch, sequence] of the inputs and scores.</summary>
    public static InputShape Shape { get; } = new(1, 64);

    private static readonly string? Folder = Find();

    private static string? Find()
    {
        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } named)
            return Path.Combine(named, "fixtures", "families");
        for (var folder = RepositoryFiles.Root; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (Directory.Exists(Path.Combine(folder, "shared", "fixtures", "families")))
                return Path.Combine(folder, "shared", "fixtures", "families");
        }
        return null;
    }

    /// <summary>As family/name; none if the folder is missing.</summary>
    public static IReadOnlyList<string> Names { get; } =
        Folder is null
            ? []
            :
            [
                .. Directory
                    .EnumerateFiles(Folder, "*.onnx", SearchOption.AllDirectories)
                    .Select(path => Path.ChangeExtension(Path.GetRelativePath(Folder, path), null))
                    .Order(StringComparer.Ordinal),
            ];

    /// <summary>Names for a theory; one that is skipped if there are none.</summary>
    public static TheoryData<string> Rows => Names.Count == 0 ? [""] : [.. Names];

    public static void SkipIfMissing() =>
        Assert.SkipUnless(
            Names.Count > 0,
            $"no ../shared/fixtures/families beside the project, and {Variable} names no folder that has them"
        );

    public static OnnxModel Load(string name) => OnnxModel.Load(Path.Combine(Folder!, name + ".onnx"));

    public static JsonElement Json(string name) => JsonDocument.Parse(File.ReadAllText(Path.Combine(Folder!, name + ".json"))).RootElement;

    /// <summary>Test inputs or calibration samples, in a model's order of inputs.</summary>
    public static IReadOnlyList<long[][]> Samples(OnnxModel model, string file = "inputs") =>
        [
            .. from sample in JsonDocument
                .Parse(File.ReadAllText(Path.Combine(Folder!, file + ".json")))
                .RootElement.GetProperty("samples")
                .EnumerateArray()
            select model
                .Graph.Inputs.Select(input => sample.GetProperty(input.Name).EnumerateArray().Select(number => number.GetInt64()).ToArray())
                .ToArray(),
        ];
}
