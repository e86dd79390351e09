using System.Globalization;
using System.Xml.Linq;
using Cake.Common;
using Cake.Common.Tools.DotNet;
using Cake.Common.Tools.DotNet.Build;
using Cake.Common.Tools.DotNet.MSBuild;
using Cake.Core;
using Cake.Core.Diagnostics;
using Cake.Core.IO;
using Cake.Frosting;
using ModelPipeline.Core;
using Path = System.IO.Path;

namespace Build.Tasks;

[TaskName("Test")]
[TaskDescription("Builds and runs every test, native ones with the sanitizers too; ends with 'N passed, N failed'")]
public sealed class Test : FrostingTask<BuildContext>
{
    private const string Solution = "ModelPipeline.sln";

    private const string Configuration = "Release";

    /// <summary>CMake presets whose tests run everywhere.</summary>
    private static readonly string[] NativePresets = ["release", "asan-ubsan"];

    /// <summary>A minute of fuzzing, in CI alone.</summary>
    private const string FuzzPreset = "fuzz";

    /// <summary>More failures than these are no accident.</summary>
    private const int MostRetries = 3;

    private const string RetryReport = ".retry.xml";

    public override void Run(BuildContext context)
    {
        var root = SourceTree();
        var results = Path.Combine(context.Artifacts, "tests");
        if (Directory.Exists(results))
            Directory.Delete(results, recursive: true);
        Directory.CreateDirectory(results);
        context.DotNetBuild(
            Path.Combine(root, Solution),
            new DotNetBuildSettings
            {
                WorkingDirectory = root,
                Configuration = Configuration,
                NoLogo = true,
                Verbosity = DotNetVerbosity.Quiet,
                MSBuildSettings = new DotNetMSBuildSettings
                {
                    ConsoleLoggerSettings = new MSBuildLoggerSettings { SummaryOutputLevel = MSBuildLoggerOutputLevel.ErrorsOnly },
                },
            }
        );
        var failed = false;
        foreach (
            var project in Directory
                .EnumerateFiles(Path.Combine(root, "tests"), "*.Tests.csproj", SearchOption.AllDirectories)
                .Order(StringComparer.Ordinal)
        )
        {
            var name = Path.GetFileNameWithoutExtension(project);
            var assembly = Path.Combine(Path.GetDirectoryName(project)!, "bin", Configuration, "net10.0", name + ".dll");
            failed |= !Suite(name, assembly);
        }
        var fuzz = context.Environment.GetEnvironmentVariable("CI") == "true" && context.Tools.Resolve("clang++") is not null;
        if (!fuzz)
            context.Log.Information("No fuzzing: that needs CI=true and clang++ (Debian, Ubuntu: apt-get install clang).");
        foreach (var preset in fuzz ? [.. NativePresets, FuzzPreset] : NativePresets)
        {
            failed |= !(
                Runs("cmake", "-S", "native", "--preset", preset, "-DONNXRUNTIME_ROOT=" + OnnxRuntimeRoot(root))
                && Runs(
                    "cmake",
                    "--build",
                    Path.Combine("artifacts", "native", preset),
                    "--parallel",
                    Environment.ProcessorCount.ToString(CultureInfo.InvariantCulture)
                )
                && Runs(
                    "ctest",
                    "--test-dir",
                    Path.Combine("artifacts", "native", preset),
                    "--output-on-failure",
                    "--repeat",
                    "until-pass:2",
                    "--output-junit",
                    Path.Combine(results, $"native-{preset}.xml")
                )
            );
        }
        Summarize(context, results, failed);

        // What meets real servers and emulated boards can fail on a busy machine: a few failures are tried once more, and named.
        bool Suite(string name, string assembly)
        {
            if (Tests(name + ".xml"))
                return true;
            var methods = Failures(Path.Combine(results, name + ".xml"));
            return methods.Count is > 0 and <= MostRetries
                && Tests(name + RetryReport, [.. methods.SelectMany(method => new[] { "--filter-method", method })]);

            bool Tests(string report, params string[] filters) =>
                Runs(
                    "dotnet",
                    [
                        assembly,
                        "--results-directory",
                        results,
                        "--report-xunit-junit",
                        "--report-xunit-junit-filename",
                        report,
                        "--no-ansi",
                        .. filters,
                    ]
                );
        }

        bool Runs(string program, params string[] arguments) =>
            context.StartProcess(
                program,
                new ProcessSettings { Arguments = ProcessArgumentBuilder.FromStrings(arguments), WorkingDirectory = root }
            ) == 0;
    }

    /// <summary>The folder of the solution, somewhere above this host.</summary>
    private static string SourceTree()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, Solution)))
                return folder.FullName;
        }
        throw new PipelineException("The tests are in the source tree, which this host is not in.", PipelineException.ConfigurationError);
    }

    /// <summary>The package folder that the build of the library gave to CMake.</summary>
    private static string OnnxRuntimeRoot(string root) =>
        File.ReadLines(Path.Combine(root, "artifacts", "native", "release", "CMakeCache.txt"))
            .Single(line => line.StartsWith("ONNXRUNTIME_ROOT:", StringComparison.Ordinal))
            .Split('=', 2)[1];

    /// <summary>Methods of the failed tests, without the arguments of their cases.</summary>
    private static IReadOnlyList<string> Failures(string report) =>
        !File.Exists(report)
            ? []
            :
            [
                .. XDocument
                    .Load(report)
                    .Descendants("testcase")
                    .Where(HasFailed)
                    .Select(test => test.Attribute("name")!.Value.Split('(')[0])
                    .Distinct(),
            ];

    private static bool HasFailed(XElement test) => test.Element("failure") is not null || test.Element("error") is not null;

    /// <summary>Adds up the JUnit files; a suite that died without one counts as a failed test, and one that passed when tried once more as
    /// passed.</summary>
    private static void Summarize(BuildContext context, string results, bool failed)
    {
        var retries = Directory
            .EnumerateFiles(results, "*" + RetryReport)
            .SelectMany(file => XDocument.Load(file).Descendants("testcase"))
            .ToList();
        var suites = Directory
            .EnumerateFiles(results, "*.xml")
            .Where(file => !file.EndsWith(RetryReport, StringComparison.Ordinal))
            .SelectMany(file => XDocument.Load(file).Descendants("testsuite"))
            .ToList();
        var cases = suites.Descendants("testcase").Where(HasFailed).ToList();
        var flaky = cases
            .Where(test => retries.Any(again => again.Attribute("name")?.Value == test.Attribute("name")?.Value && !HasFailed(again)))
            .ToList();
        foreach (var test in flaky)
            context.Log.Warning("Passed only when tried once more: {0}", test.Attribute("name")?.Value);
        var (tests, bad, skipped) = (Sum("tests"), Sum("failures") + Sum("errors") - flaky.Count, Sum("skipped") + Sum("disabled"));
        if (failed && bad == 0)
            bad = 1;
        var line = $"{tests - bad - skipped} passed, {bad} failed";
        File.WriteAllText(Path.Combine(results, "summary.txt"), line + "\n");
        context.Log.Information("{0}", line + (skipped > 0 ? $", {skipped} skipped" : ""));
        // What the real toolkit and the vendor's runtime are for says so here when they are not at hand.
        foreach (
            var reason in suites
                .Descendants("skipped")
                .Select(skip => skip.Attribute("message")?.Value ?? skip.Value)
                .Where(text => text.Length > 0)
                .CountBy(text => text)
        )
            context.Log.Information("{0} skipped: {1}", reason.Value, reason.Key);
        // The whole log of each is far above by now, and a CI's page often shows the end alone.
        foreach (var failure in cases.SelectMany(test => test.Elements("failure").Concat(test.Elements("error"))))
            context.Log.Error("FAILED {0}\n{1}", failure.Parent!.Attribute("name")?.Value, Told(failure));
        if (bad > 0)
            throw new CakeException("Tests failed: see above.");

        static string Told(XElement failure) =>
            string.Join(
                '\n',
                $"{failure.Attribute("message")?.Value}\n{failure.Value}".Split('\n', StringSplitOptions.RemoveEmptyEntries).Take(12)
            );
        int Sum(string attribute) => suites.Sum(suite => int.Parse(suite.Attribute(attribute)?.Value ?? "0", CultureInfo.InvariantCulture));
    }
}
