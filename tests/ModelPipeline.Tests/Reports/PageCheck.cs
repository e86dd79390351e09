namespace ModelPipeline.Tests.Reports;

/// <summary>What tests/page-check finds in a page: axe-core's rules, contrast among them, in Debian's Chromium at 1200 and 360 pixels,
/// light and dark; what is cut at the edge; what the keyboard does not reach. Skips where there is no Chromium, or nothing to install
/// from.</summary>
internal static class PageCheck
{
    private const string Chromium = "/usr/bin/chromium";

    /// <param name="page">Its path.</param>
    /// <param name="only">One width and colour scheme, such as 360 and light; without them, all.</param>
    /// <returns>A finding a line; empty for none.</returns>
    public static async Task<string> RunAsync(string page, params string[] only)
    {
        Assert.SkipUnless(File.Exists(Chromium), $"needs {Chromium} (on Debian: apt-get install chromium)");
        var (installed, missing) = await NodePackages.InstallAsync("page-check");
        Assert.SkipWhen(missing is not null, $"needs axe-core and puppeteer-core: {missing}");
        var check = await Programs.RunAsync(
            installed,
            "node",
            [Path.Combine(RepositoryFiles.Root, "tests", "page-check", "check.cjs"), page, Chromium, .. only]
        );
        // Rules that passed are counted at the end: without them nothing was looked at.
        Assert.Contains("rules passed", check.Output);
        return string.Join('\n', check.Output.Split('\n').Where(line => line.Length > 0 && !line.EndsWith("rules passed")));
    }
}
