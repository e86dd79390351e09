using System.Text;
using System.Text.Json.Nodes;
using ModelPipeline.Artifacts;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Packaging;
using ModelPipeline.Tasks;

namespace ModelPipeline.Tests.Artifacts;

/// <summary>Releases in a folder, laid out as the pipeline publishes them.</summary>
internal sealed class TestRelease : IDisposable
{
    public const string Model = "tiny";

    private readonly TemporaryFolder folder = new();

    /// <summary>Holds 1.0.0 of the model, with int8 for the rk3588 and cpu-int8 for the CPU.</summary>
    public TestRelease() => Write("1.0.0", "first");

    public string Root => folder.Path;

    public static string ModelName(string version, string platform = "cpu", string extension = "onnx") =>
        $"{Model}-{version}-{(platform == "cpu" ? "" : platform + "-")}{(platform == "cpu" ? "cpu-int8" : "int8")}.{extension}";

    public string File(string version, string name) => Path.Combine(Root, Model, "v" + version, name);

    /// <summary>Writes a version whose models say <paramref name="content"/>, in the place of what is there.</summary>
    public void Write(string version, string content, Func<PackageManifest, PackageManifest>? edit = null)
    {
        Directory.CreateDirectory(File(version, ""));
        List<PackageFile> files =
        [
            Put(ModelName(version, "rk3588", "rknn"), PackageRole.Model, $"{content} on the NPU", "int8", "rk3588"),
            Put(ModelName(version), PackageRole.Model, $"{content} on the CPU", "cpu-int8", "cpu"),
            Put("vocab.txt", PackageRole.Vocabulary, "[PAD]\n"),
            Put("production.env", PackageRole.Environment, "NPU_RERANK_ENABLED=1\n"),
            Put("report.html", PackageRole.Report, "<p>Not for consumers"),
        ];
        var manifest = new PackageManifest
        {
            Name = Model,
            Version = version,
            Task = ModelTask.Rerank,
            Origin = "model.onnx",
            Simulated = false,
            Files = files,
            Variants = [],
            Inputs = new Dictionary<string, string>(),
            Settings = new JsonObject(),
            Tools = new Dictionary<string, string>(),
        };
        ReportJson.Write(File(version, PackageManifest.FileName), (edit ?? (same => same))(manifest));
        Seal(version);

        PackageFile Put(string name, PackageRole role, string text, string? variant = null, string? platform = null)
        {
            System.IO.File.WriteAllText(File(version, name), text);
            return new(name, role, variant, false, FileDigest.Of(File(version, name)), platform);
        }
    }

    /// <summary>Writes SHA256SUMS for what is there.</summary>
    public void Seal(string version)
    {
        var sums = File(version, PackageManifest.SumsName);
        System.IO.File.Delete(sums);
        System.IO.File.WriteAllText(
            sums,
            string.Concat(
                Directory
                    .EnumerateFiles(File(version, ""))
                    .Order(StringComparer.Ordinal)
                    .Select(path => $"{FileDigest.Of(path).Sha256}  {Path.GetFileName(path)}\n")
            ),
            new UTF8Encoding(false)
        );
    }

    /// <summary>sha256 of a version's SHA256SUMS.</summary>
    public string Pin(string version) => FileDigest.Of(File(version, PackageManifest.SumsName)).Sha256;

    public void Dispose() => folder.Dispose();
}
