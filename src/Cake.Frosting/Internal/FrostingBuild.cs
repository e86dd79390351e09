using System.Reflection;
using Cake.Core;
using Cake.Core.Diagnostics;

namespace Cake.Frosting.Internal;

/// <summary>Registers the build's task objects and lifetimes with the engine.</summary>
internal sealed class FrostingBuild(
    ICakeEngine engine,
    IFrostingContext context,
    ICakeLog log,
    IEnumerable<IFrostingTask> tasks,
    IFrostingSetup? setup = null,
    IFrostingTeardown? teardown = null,
    IFrostingTaskSetup? taskSetup = null,
    IFrostingTaskTeardown? taskTeardown = null
)
{
    public void Register()
    {
        foreach (var task in tasks)
        {
            var needed = ContextTypeOf(task.GetType());
            if (needed.IsInstanceOfType(context))
                Register(task);
            else
                log.Warning(
                    "Task '{0}' is left out: it needs a context of type {1}, this build's is {2}.",
                    NameOf(task.GetType()),
                    needed,
                    context.GetType()
                );
        }

        if (setup is not null)
            engine.RegisterSetupAction(info => setup.Setup(context, info));
        if (teardown is not null)
            engine.RegisterTeardownAction(info => teardown.Teardown(context, info));
        if (taskSetup is not null)
            engine.RegisterTaskSetupAction(info => taskSetup.Setup(context, info));
        if (taskTeardown is not null)
            engine.RegisterTaskTeardownAction(info => taskTeardown.Teardown(context, info));
    }

    // Only what a class overrides is registered: a task without work is shown as a mere gathering of others,
    // and a task without an error handler fails the run.
    private void Register(IFrostingTask task)
    {
        var type = task.GetType();
        var builder = engine.RegisterTask(NameOf(type));
        if (type.GetCustomAttribute<TaskDescriptionAttribute>()?.Description is { } description && !string.IsNullOrWhiteSpace(description))
            builder.Description(description);
        if (Overrides(nameof(FrostingTask.Run)) || Overrides(nameof(AsyncFrostingTask.RunAsync)))
            builder.Does(task.RunAsync);
        if (Overrides(nameof(IFrostingTask.ShouldRun)))
            builder.WithCriteria(task.ShouldRun, task.SkippedMessage);
        if (type.IsDefined(typeof(ContinueOnErrorAttribute)))
            builder.ContinueOnError();
        if (Overrides(nameof(IFrostingTask.OnError), typeof(Exception)))
            builder.OnError(exception => task.OnError(exception, context));
        if (Overrides(nameof(IFrostingTask.Finally)))
            builder.Finally(() => task.Finally(context));
        foreach (var dependency in type.GetCustomAttributes<IsDependentOnAttribute>())
            builder.IsDependentOn(NameOf(Valid(dependency.Task, "dependency")));
        foreach (var dependee in type.GetCustomAttributes<IsDependeeOfAttribute>())
            builder.IsDependeeOf(NameOf(Valid(dependee.Task, "reverse dependency")));

        bool Overrides(string name, params Type[] parameters) =>
            type.GetMethod(name, [.. parameters, context.GetType()]) is { } method
            && method.GetBaseDefinition().DeclaringType != method.DeclaringType;
    }

    private static string NameOf(Type task) => task.GetCustomAttribute<TaskNameAttribute>()?.Name ?? task.Name;

    private static Type Valid(Type task, string role) =>
        task.IsAssignableTo(typeof(IFrostingTask))
            ? task
            : throw new FrostingException($"The {role} '{NameOf(task)}' is not a valid task.");

    /// <summary>The argument of the generic task class that <paramref name="task"/> is derived from.</summary>
    private static Type ContextTypeOf(Type task)
    {
        for (var type = task; type is not null; type = type.BaseType)
        {
            if (
                type.IsGenericType
                && type.GetGenericTypeDefinition() is var definition
                && (definition == typeof(FrostingTask<>) || definition == typeof(AsyncFrostingTask<>))
            )
                return type.GenericTypeArguments[0];
        }
        throw new InvalidOperationException(
            $"The task class {task} must be derived from {nameof(FrostingTask)} or {nameof(AsyncFrostingTask)}."
        );
    }
}
