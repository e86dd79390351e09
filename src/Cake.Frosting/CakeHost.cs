using System.Reflection;
using Cake.Cli;
using Cake.Core;
using Cake.Core.Configuration;
using Cake.Core.IO;
using Cake.Frosting.Internal;
using Microsoft.Extensions.DependencyInjection;
using Spectre.Console.Cli;

namespace Cake.Frosting;

/// <summary>
/// Runs a build: finds the public task classes of the entry assembly (and of those added), registers them with the Cake engine
/// and does what the command line asks for.
/// </summary>
public sealed class CakeHost
{
    private readonly ServiceCollection _services = [];
    private readonly List<Assembly?> _assemblies = [Assembly.GetEntryAssembly()];

    public CakeHost()
    {
        _services.AddCakeDiagnostics();
        _services.UseCakeDefaultModules();
        _services
            .AddSingleton(CreateConfiguration)
            .AddSingleton<BuildScriptHost<IFrostingContext>>()
            .AddSingleton<DryRunScriptHost<IFrostingContext>>()
            .AddSingleton<TreeScriptHost>()
            .AddSingleton<DescriptionScriptHost>()
            .AddSingleton<IVersionResolver, VersionResolver>()
            .AddSingleton<VersionFeature>()
            .AddSingleton<InfoFeature>()
            .AddSingleton<FrostingBuild>()
            .AddSingleton<FrostingContext>()
            .AddSingleton<IFrostingContext>(provider => provider.GetRequiredService<FrostingContext>());
    }

    public static CakeHost Create() => new();

    /// <summary>Adds the task classes of another assembly.</summary>
    public CakeHost AddAssembly(Assembly assembly)
    {
        _assemblies.Add(assembly);
        return this;
    }

    /// <summary>Registers services that contexts, tasks and lifetimes may ask for in their constructors.</summary>
    public CakeHost ConfigureServices(Action<IServiceCollection> services)
    {
        services(_services);
        return this;
    }

    /// <summary>Does what the command line says.</summary>
    /// <returns>
    /// 0; for a <see cref="CakeException"/> thrown before the engine runs (by a constructor, say) its exit code; 1 for any other
    /// error, also one of a task, whatever its type; negative if the command line cannot be read.
    /// </returns>
    public int Run(IEnumerable<string> args)
    {
        foreach (var task in _assemblies.SelectMany(assembly => assembly?.GetExportedTypes() ?? []).Where(IsTask))
            _services.AddSingleton(typeof(IFrostingTask), task);

        var registrar = new TypeRegistrar();
        registrar.RegisterInstance(typeof(IServiceCollection), _services);
        var app = new CommandApp<DefaultCommand>(registrar);
        app.Configure(configurator => configurator.AddExample().AddExample("--verbosity", "quiet").AddExample("--tree"));
        return app.Run(args);
    }

    private static bool IsTask(Type type) => type is { IsClass: true, IsAbstract: false } && type.IsAssignableTo(typeof(IFrostingTask));

    private static ICakeConfiguration CreateConfiguration(IServiceProvider provider)
    {
        var environment = provider.GetRequiredService<ICakeEnvironment>();
        var settings = provider.GetServices<CakeSetting>().Select(setting => KeyValuePair.Create(setting.Key, setting.Value));
        var arguments = provider
            .GetRequiredService<ICakeArguments>()
            .GetArguments()
            .ToDictionary(argument => argument.Key, argument => argument.Value.FirstOrDefault() ?? "");
        return new CakeConfigurationProvider(provider.GetRequiredService<IFileSystem>(), environment).CreateConfiguration(
            environment.WorkingDirectory,
            settings,
            arguments
        );
    }
}
