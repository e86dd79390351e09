using ModelPipeline.Toolkit;

namespace ModelPipeline.Tests.Toolkit;

/// <summary>The real rknn-toolkit2, where the machine has it: what MODELPIPELINE_TOOLKIT_PYTHON names, as .ci/run sets it up.</summary>
internal static class RealToolkit
{
    /// <summary>As tests and the hosts that they start are to see it.</summary>
    public static string Variable { get; } = Environment.GetEnvironmentVariable(ToolkitEnvironment.PythonVariable) ?? "";

    private static readonly Lazy<Task<IReadOnlyDictionary<string, string>>> Pythons = new(async () =>
    {
        var found = new Dictionary<string, string>();
        foreach (var python in Variable.Split(':', StringSplitOptions.RemoveEmptyEntries))
        {
            if (await InstalledToolkit.OfAsync(python, import: false) is { Version: { } version })
                found.TryAdd(version, python);
        }
        return found;
    });

    /// <summary>The environment of one version; without it, the test is skipped.</summary>
    public static async Task<ToolkitEnvironment> OfAsync(string version)
    {
        var pythons = await Pythons.Value;
        Assert.SkipUnless(
            pythons.ContainsKey(version),
            $"no Python with rknn-toolkit2 {version}: {ToolkitEnvironment.PythonVariable} is '{Variable}'. .ci/run sets it up from "
                + $"../shared/toolkit."
        );
        return new ToolkitEnvironment(pythons[version], ToolkitEnvironment.DriverPath);
    }
}
