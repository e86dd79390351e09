using Build;
using Cake.Cli;
using Cake.Frosting;
using Microsoft.Extensions.DependencyInjection;
using ModelPipeline.Core;
using Spectre.Console;

if (Environment.GetEnvironmentVariable("CI") == "true" || Console.IsOutputRedirected)
    Environment.SetEnvironmentVariable("NO_COLOR", "1");

// A log has no width: wide enough that the summary's cells are never broken.
if (Console.IsOutputRedirected)
    AnsiConsole.Profile.Width = 120;

if (args.Any(argument => argument is "--help" or "-h"))
{
    Console.WriteLine(Help.Text);
    return 0;
}
try
{
    CommandLine.Check(args);
}
catch (PipelineException e)
{
    Console.Error.WriteLine($"Error: {e.Message}");
    return e.ExitCode;
}
using var run = new RunState();
var code = new CakeHost()
    .ConfigureServices(services => services.AddSingleton(run).AddSingleton<IVersionResolver, HostVersion>())
    .UseContext<BuildContext>()
    .UseLifetime<BuildLifetime>()
    .Run(args);
return run.ExitCode ?? code;
