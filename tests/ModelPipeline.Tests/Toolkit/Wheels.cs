using System.IO.Compression;

namespace ModelPipeline.Tests.Toolkit;

/// <summary>Wheels that hold nothing but empty modules.</summary>
internal static class Wheels
{
    /// <summary>Packs one into a folder.</summary>
    /// <param name="folder">Made if missing.</param>
    /// <param name="name">Of the distribution.</param>
    /// <param name="version">Of the distribution.</param>
    /// <param name="module">What is imported; the distribution's name if null.</param>
    /// <param name="requires">A requirement of its own.</param>
    /// <param name="code">Of the module.</param>
    /// <returns>Path of the wheel.</returns>
    public static string Pack(string folder, string name, string version, string? module = null, string? requires = null, string code = "")
    {
        var plain = name.Replace('-', '_').Replace('.', '_');
        var path = Path.Combine(Directory.CreateDirectory(folder).FullName, $"{plain}-{version}-py3-none-any.whl");
        using var zip = ZipFile.Open(path, ZipArchiveMode.Create);
        var info = $"{plain}-{version}.dist-info";
        var files = new Dictionary<string, string>
        {
            [$"{module ?? plain}/__init__.py"] = code,
            [$"{info}/METADATA"] = $"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + (requires is null ? "" : $"Requires-Dist: {requires}\n"),
            [$"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        };
        files[$"{info}/RECORD"] = string.Concat(files.Keys.Append($"{info}/RECORD").Select(file => $"{file},,\n"));
        foreach (var (file, text) in files)
        {
            using var writer = new StreamWriter(zip.CreateEntry(file).Open());
            writer.Write(text);
        }
        return path;
    }
}
