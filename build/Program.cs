using Build;
using Cake.Frosting;
using Microsoft.Extensions.DependencyInjection;

if (Environment.GetEnvironmentVariable("CI") == "true" || Console.IsOutputRedirected)
    Environment.SetEnvironmentVariable("NO_COLOR", "1");

using var run = new RunState();
var code = new CakeHost()
    .ConfigureServices(services => services.AddSingleton(run))
    .UseContext<BuildContext>()
    .UseLifetime<BuildLifetime>()
    .Run(args);
if (args.Any(argument => argument is "--help" or "-h"))
    Console.WriteLine(BuildContext.Help);
return run.ExitCode ?? code;
