using Build;
using Cake.Frosting;
using Microsoft.Extensions.DependencyInjection;
using Spectre.Console;

if (Environment.GetEnvironmentVariable("CI") == "true" || Console.IsOutputRedirected)
    Environment.SetEnvironmentVariable("NO_COLOR", "1");
// A log has no width: wide enough that the summary's cells are never broken.
if (Console.IsOutputRedirected)
    AnsiConsole.Profile.Width = 120;

using var run = new RunState();
var code = new CakeHost()
    .ConfigureServices(services => services.AddSingleton(run))
    .UseContext<BuildContext>()
    .UseLifetime<BuildLifetime>()
    .Run(args);
if (args.Any(argument => argument is "--help" or "-h"))
    Console.WriteLine(BuildContext.Help);
return run.ExitCode ?? code;
