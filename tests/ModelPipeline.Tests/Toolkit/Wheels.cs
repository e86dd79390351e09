using System.IO.Compression;
using System.Text;

namespace ModelPipeline.Tests.Toolkit;

/// <summary>Wheels that hold what a test says, most often nothing but an empty module.</summary>
internal static class Wheels
{
    /// <summary>Packs one into a folder.</summary>
    /// <param name="folder">Made if missing.</param>
    /// <param name="name">Of the distribution.</param>
    /// <param name="version">Of the distribution.</param>
    /// <param name="requires">A requirement of its own.</param>
    /// <param name="content">What is installed, by path; null is an empty module of the distribution's name.</param>
    /// <returns>Path of the wheel.</returns>
    public static string Pack(
        string folder,
        string name,
        string version,
        string? requires = null,
        IReadOnlyDictionary<string, byte[]>? content = null
    )
    {
        var plain = name.Replace('-', '_').Replace('.', '_');
        var path = Path.Combine(Directory.CreateDirectory(folder).FullName, $"{plain}-{version}-py3-none-any.whl");
        using var zip = ZipFile.Open(path, ZipArchiveMode.Create);
        var info = $"{plain}-{version}.dist-info";
        var files = new Dictionary<string, byte[]>(content ?? Module(plain))
        {
            [$"{info}/METADATA"] = Encoding.UTF8.GetBytes(
                $"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + (requires is null ? "" : $"Requires-Dist: {requires}\n")
            ),
            [$"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"u8.ToArray(),
        };
        files[$"{info}/RECORD"] = Encoding.UTF8.GetBytes(string.Concat(files.Keys.Append($"{info}/RECORD").Select(file => $"{file},,\n")));
        foreach (var (file, bytes) in files)
        {
            using var entry = zip.CreateEntry(file).Open();
            entry.Write(bytes);
        }
        return path;
    }

    /// <summary>A module, by its name with '/' for '.'.</summary>
    public static Dictionary<string, byte[]> Module(string name, string code = "") =>
        new() { [$"{name}/__init__.py"] = Encoding.UTF8.GetBytes(code) };

    /// <summary>A file by which whatever lies in another folder can be imported.</summary>
    public static Dictionary<string, byte[]> Pointer(string name, string folder) =>
        new() { [$"{name}.pth"] = Encoding.UTF8.GetBytes(folder + "\n") };
}
