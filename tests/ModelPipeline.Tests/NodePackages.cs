using System.ComponentModel;

namespace ModelPipeline.Tests;

/// <summary>npm packages that tests run, installed below artifacts once for each package-lock.json: the only time that they need a network
/// or npm's cache.</summary>
internal static class NodePackages
{
    private static readonly SemaphoreSlim Turn = new(1);

    /// <summary>Installs what <c>tests/NAME/package-lock.json</c> pins.</summary>
    /// <returns>The folder that holds node_modules, or why there is none.</returns>
    public static async Task<(string Folder, string? Missing)> InstallAsync(string name)
    {
        var (declared, installed) = (
            Path.Combine(RepositoryFiles.Root, "tests", name),
            Path.Combine(RepositoryFiles.Root, "artifacts", "node", name)
        );
        var record = Path.Combine(installed, "installed-lock.json");
        await Turn.WaitAsync();
        try
        {
            var wanted = await File.ReadAllTextAsync(Path.Combine(declared, "package-lock.json"));
            if (File.Exists(record) && await File.ReadAllTextAsync(record) == wanted)
                return (installed, null);
            Directory.CreateDirectory(installed);
            foreach (var file in new[] { "package.json", "package-lock.json" })
                File.Copy(Path.Combine(declared, file), Path.Combine(installed, file), overwrite: true);
            var npm = await Programs.RunAsync(
                installed,
                "npm",
                "ci",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--prefer-offline",
                "--fetch-retries=0"
            );
            if (npm.ExitCode != 0)
                return (installed, $"npm cannot install tests/{name}: {npm.Output}");
            await File.WriteAllTextAsync(record, wanted);
            return (installed, null);
        }
        catch (Win32Exception)
        {
            return (installed, "there is no node or no npm on this machine (on Debian: apt-get install nodejs npm).");
        }
        finally
        {
            Turn.Release();
        }
    }
}
