using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using Cake.Core;
using Cake.Frosting;
using ModelPipeline.Core;

namespace Build;

/// <summary>The host's tasks for a Cake script, which has no task classes: build.cake.</summary>
public static class ScriptTasks
{
    /// <summary>Registers every task that <c>dotnet run --project build</c> has, and what ends a run.</summary>
    /// <param name="context">The script's; its arguments are the host's options.</param>
    /// <param name="task">The script's Task.</param>
    /// <param name="setup">The script's Setup.</param>
    /// <param name="teardown">The script's Teardown.</param>
    /// <exception cref="CakeException">models.yaml or an argument is wrong.</exception>
    public static void Register(
        ICakeContext context,
        Func<string, CakeTaskBuilder> task,
        Action<Action<ISetupContext>> setup,
        Action<Action<ITeardownContext>> teardown
    )
    {
        FindNativeLibraries();
        // The host's own process has no other culture.
        CultureInfo.DefaultThreadCurrentCulture = CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
        try
        {
            CommandLine.Check(context.Arguments);
        }
        catch (PipelineException e)
        {
            throw new CakeException(e.ExitCode, e.Message, e);
        }
        var run = new RunState();
        var build = new BuildContext(context, task, run);
        foreach (
            var type in typeof(ScriptTasks).Assembly.GetTypes().Where(type => type.GetCustomAttribute<TaskNameAttribute>() is not null)
        )
            ClassTask.Register(task, build, type);
        var lifetime = new BuildLifetime(run);
        setup(begun => lifetime.Setup(build, begun));
        teardown(ended =>
        {
            lifetime.Teardown(build, ended);
            run.Dispose();
            if (ended.ThrownException is null && run.ExitCode is { } code and not 0)
                throw new CakeException(code, "Not all gates were passed: see above.");
        });
    }

    /// <summary>The process is Cake's: what lies beside the host has to be pointed out to it.</summary>
    private static void FindNativeLibraries()
    {
        var folder = Path.GetDirectoryName(typeof(ScriptTasks).Assembly.Location)! + Path.DirectorySeparatorChar;
        AppContext.SetData("APP_CONTEXT_BASE_DIRECTORY", folder);
        AppContext.SetData(
            "NATIVE_DLL_SEARCH_DIRECTORIES",
            Path.Combine(folder, "runtimes", RuntimeInformation.RuntimeIdentifier, "native")
        );
    }
}
