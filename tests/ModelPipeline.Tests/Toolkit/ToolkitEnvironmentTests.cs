using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Npu;
using ModelPipeline.Toolkit;

namespace ModelPipeline.Tests.Toolkit;

/// <summary>Which Python a variant is built with.</summary>
public sealed class ToolkitEnvironmentTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    [Fact]
    public async Task The_first_Python_that_has_the_variants_version_is_used_and_models_yaml_comes_behind_the_environment()
    {
        using var older = new RecordedToolkit();
        using var newer = new RecordedToolkit(version: "2.5.0");

        Assert.Equal(newer.Python, (await FindAsync("2.5.0", $"{older.Python}:{newer.Python}")).Python);
        Assert.Equal(older.Python, (await FindAsync("2.3.2", $"{older.Python}:{newer.Python}")).Python);
        Assert.Equal(newer.Python, (await FindAsync("2.5.0", older.Python, newer.Python)).Python);
        Assert.Equal(newer.Python, (await FindAsync("2.5.0", null, newer.Python)).Python);
        var missing = await Assert.ThrowsAsync<PipelineException>(() => FindAsync("2.5.0", older.Python, RecordedToolkit.SystemPython));
        Assert.StartsWith("rknn-toolkit2 2.5.0 is not here (", missing.Message);
        Assert.Contains(
            $"{older.Python} of MODELPIPELINE_TOOLKIT_PYTHON has 2.3.2; {RecordedToolkit.SystemPython} of toolkit_python has no "
                + $"rknn-toolkit2",
            missing.Message
        );
    }

    [Fact]
    public async Task Without_any_the_command_that_makes_one_is_named()
    {
        Assert.Contains(
            "./build.sh --target=Provision",
            (await Assert.ThrowsAsync<PipelineException>(() => FindAsync("2.3.2", null))).Message
        );
        Assert.Contains("known are 2.3.2, 2.5.0", (await Assert.ThrowsAsync<PipelineException>(() => FindAsync("9.9.9", null))).Message);
        var gone = await Assert.ThrowsAsync<PipelineException>(() => FindAsync("2.3.2", "/nowhere/python"));
        Assert.Equal(("MODELPIPELINE_TOOLKIT_PYTHON names '/nowhere/python', which is not there.", 2), (gone.Message, gone.ExitCode));
    }

    [Fact]
    public void Each_version_has_pins_and_a_row_in_the_table_of_what_boards_need_for_its_files()
    {
        Assert.Equal(["2.3.2", "2.5.0"], ToolkitEnvironment.Versions);
        Assert.All(ToolkitEnvironment.Versions, version => Assert.True(File.Exists(ToolkitEnvironment.Requirements(version))));
        Assert.Equal(
            ["2.3.2", "2.5.0"],
            Directory
                .EnumerateFiles(ToolkitEnvironment.Scripts, "requirements-*.txt")
                .Select(path => Path.GetFileNameWithoutExtension(path)["requirements-".Length..])
                .Order()
        );
        Assert.Equal(new ToolkitNeeds(new Version(2, 3, 2), new Version(0, 9, 2)), ToolkitVersions.Of("2.3.2"));
        Assert.Null(ToolkitVersions.Of("9.9.9"));
    }

    public void Dispose() => folder.Dispose();

    private Task<ToolkitEnvironment> FindAsync(string version, string? variable, string? named = null) =>
        ToolkitEnvironment.FindAsync(
            new VariantSpec
            {
                Name = "npu",
                Backend = Backend.Rknn,
                Precision = Precision.Fp16,
                Toolkit = version,
                ToolkitPython = named,
                Rewrites = [],
                Gates = [],
            },
            folder.File("cache"),
            name => name == "MODELPIPELINE_TOOLKIT_PYTHON" ? variable : null,
            TestContext.Current.CancellationToken
        );
}
