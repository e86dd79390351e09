using System.Reflection;
using Cake.Core;
using Cake.Frosting;

namespace Build;

/// <summary>A task class of Frosting's, in an engine that a script runs: what Frosting does for its own host.</summary>
internal static class ClassTask
{
    /// <summary>Registers the class with all that its attributes and overrides say.</summary>
    /// <param name="task">Makes a task of Cake's engine.</param>
    /// <param name="context">What the class is given when it runs.</param>
    /// <param name="type">Has a constructor without parameters.</param>
    public static void Register(Func<string, CakeTaskBuilder> task, ICakeContext context, Type type)
    {
        var instance = (IFrostingTask)Activator.CreateInstance(type, nonPublic: true)!;
        var builder = task(NameOf(type));
        if (Overrides("Run") || Overrides("RunAsync"))
            builder.Does(() => instance.RunAsync(context));
        if (Overrides(nameof(IFrostingTask.ShouldRun)))
            builder.WithCriteria(_ => instance.ShouldRun(context), instance.SkippedMessage);
        if (type.GetCustomAttribute<TaskDescriptionAttribute>() is { } description)
            builder.Description(description.Description);
        foreach (var dependency in type.GetCustomAttributes<IsDependentOnAttribute>())
            builder.IsDependentOn(NameOf(dependency.Task));
        foreach (var dependent in type.GetCustomAttributes<IsDependeeOfAttribute>())
            builder.IsDependeeOf(NameOf(dependent.Task));
        if (type.IsDefined(typeof(ContinueOnErrorAttribute)))
            builder.ContinueOnError();
        // A handler that is not the class's own would swallow the error.
        if (Overrides(nameof(IFrostingTask.OnError)))
            builder.OnError(exception => instance.OnError(exception, context));
        if (Overrides(nameof(IFrostingTask.Finally)))
            builder.Finally(() => instance.Finally(context));

        bool Overrides(string name) =>
            type.GetMethods(BindingFlags.Instance | BindingFlags.Public)
                .Any(method => method.Name == name && method.GetBaseDefinition().DeclaringType != method.DeclaringType);
    }

    public static string NameOf(Type type) => type.GetCustomAttribute<TaskNameAttribute>()?.Name ?? type.Name;
}
