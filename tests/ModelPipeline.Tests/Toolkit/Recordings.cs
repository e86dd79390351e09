using System.Text.RegularExpressions;
using ModelPipeline.Onnx;
using ModelPipeline.Rewrites;

namespace ModelPipeline.Tests.Toolkit;

/// <summary>What rknn-toolkit2 2.3.2 really printed and wrote for the tiny reranker.</summary>
internal static class Recordings
{
    public static string File(string name) => RepositoryFiles.Fixture(Path.Combine("rknn", name));

    public static string Text(string name) => System.IO.File.ReadAllText(File(name));

    /// <summary>Sections of failures.log by name: dyn, badtarget, nofile, garbage, badds, dq.</summary>
    public static string Failure(string name) =>
        ("\n" + Text("failures.log")).Split("\n===== ").Single(section => section.StartsWith(name + "\n", StringComparison.Ordinal))[
            (name.Length + 1)..
        ];

    /// <summary>The graph that was given to the toolkit.</summary>
    public static Graph PreparedGraph { get; } =
        new[] { "fold-shapes", "mask" }
            .Aggregate(
                PinShapes.Apply(OnnxModel.Load(RepositoryFiles.Sample("tiny-reranker/model.onnx")), new(1, 128)),
                (model, pass) => Pass.Named(pass).Apply(model).Model
            )
            .Graph;

    /// <summary>Names of the toolkit's optimised graph, as the driver tells them.</summary>
    public static IReadOnlyList<string> Tensors { get; } =
    [.. Regex.Matches(Text("tiny-int8.quantization.cfg"), @"^ {4}(\S+):$", RegexOptions.Multiline).Select(match => match.Groups[1].Value)];
}
