using Cake.Core.Composition;
using Cake.Core.IO;
using Cake.Core.Packaging;
using Cake.Frosting.Internal;
using Microsoft.Extensions.DependencyInjection;

namespace Cake.Frosting;

/// <summary>Registrations of a build. Where only one can be used, the last wins.</summary>
public static class CakeHostExtensions
{
    /// <summary>Lets <typeparamref name="TStartup"/> register services, at once.</summary>
    public static CakeHost UseStartup<TStartup>(this CakeHost host)
        where TStartup : IFrostingStartup, new() =>
        host.ConfigureServices(services => new TStartup().Configure(services));

    /// <summary>The context that tasks and lifetimes are given.</summary>
    public static CakeHost UseContext<TContext>(this CakeHost host)
        where TContext : class, IFrostingContext =>
        host.ConfigureServices(services => services.AddSingleton<IFrostingContext, TContext>());

    /// <summary>Setup and teardown of the run.</summary>
    public static CakeHost UseLifetime<TLifetime>(this CakeHost host)
        where TLifetime : class, IFrostingLifetime =>
        host.ConfigureServices(services => services
            .AddSingleton<IFrostingLifetime, TLifetime>()
            .AddSingleton<IFrostingSetup>(provider => provider.GetRequiredService<IFrostingLifetime>())
            .AddSingleton<IFrostingTeardown>(provider => provider.GetRequiredService<IFrostingLifetime>()));

    /// <summary>Setup of the run.</summary>
    public static CakeHost UseSetup<TSetup>(this CakeHost host)
        where TSetup : class, IFrostingSetup =>
        host.ConfigureServices(services => services.AddSingleton<IFrostingSetup, TSetup>());

    /// <summary>Teardown of the run.</summary>
    public static CakeHost UseTeardown<TTeardown>(this CakeHost host)
        where TTeardown : class, IFrostingTeardown =>
        host.ConfigureServices(services => services.AddSingleton<IFrostingTeardown, TTeardown>());

    /// <summary>Setup and teardown of each task.</summary>
    public static CakeHost UseTaskLifetime<TLifetime>(this CakeHost host)
        where TLifetime : class, IFrostingTaskLifetime =>
        host.ConfigureServices(services => services
            .AddSingleton<IFrostingTaskLifetime, TLifetime>()
            .AddSingleton<IFrostingTaskSetup>(provider => provider.GetRequiredService<IFrostingTaskLifetime>())
            .AddSingleton<IFrostingTaskTeardown>(provider => provider.GetRequiredService<IFrostingTaskLifetime>()));

    /// <summary>Setup of each task.</summary>
    public static CakeHost UseTaskSetup<TSetup>(this CakeHost host)
        where TSetup : class, IFrostingTaskSetup =>
        host.ConfigureServices(services => services.AddSingleton<IFrostingTaskSetup, TSetup>());

    /// <summary>Teardown of each task.</summary>
    public static CakeHost UseTaskTeardown<TTeardown>(this CakeHost host)
        where TTeardown : class, IFrostingTaskTeardown =>
        host.ConfigureServices(services => services.AddSingleton<IFrostingTaskTeardown, TTeardown>());

    /// <summary>Services of a Cake module.</summary>
    public static CakeHost UseModule<TModule>(this CakeHost host)
        where TModule : ICakeModule, new() =>
        host.ConfigureServices(services => Cake.Cli.ServiceCollectionExtensions.UseModule<TModule>(services));

    /// <summary>One more way of installing tools and addins.</summary>
    public static CakeHost UsePackageInstaller<TPackageInstaller>(this CakeHost host)
        where TPackageInstaller : class, IPackageInstaller =>
        host.ConfigureServices(services => services.AddSingleton<IPackageInstaller, TPackageInstaller>());

    /// <summary>A tool that is installed before the first task.</summary>
    /// <param name="host">The host.</param>
    /// <param name="uri">Such as <c>nuget:?package=NUnit.ConsoleRunner&amp;version=3.20.1</c> or <c>dotnet:?package=GitVersion.Tool</c>.</param>
    public static CakeHost InstallTool(this CakeHost host, Uri uri) =>
        host.ConfigureServices(services => services.AddSingleton(new PackageReference(uri.OriginalString)));

    /// <summary>Working directory, relative to the current one; <c>--working</c> overrides it.</summary>
    public static CakeHost UseWorkingDirectory(this CakeHost host, DirectoryPath path) =>
        host.ConfigureServices(services => services.AddSingleton(new WorkingDirectory(path)));

    /// <summary>A setting that the command line, the environment and <c>cake.config</c> override.</summary>
    public static CakeHost UseCakeSetting(this CakeHost host, string key, string value) =>
        host.ConfigureServices(services => services.AddSingleton(new CakeSetting(key, value)));

    /// <summary>Folder that tools are installed to.</summary>
    public static CakeHost SetToolPath(this CakeHost host, DirectoryPath path) =>
        host.UseCakeSetting("Paths_Tools", path.FullPath);
}
