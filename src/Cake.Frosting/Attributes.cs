namespace Cake.Frosting;

/// <summary>Name of the task on the command line. Without it the task is called like its class.</summary>
[AttributeUsage(AttributeTargets.Class, Inherited = false)]
public sealed class TaskNameAttribute(string name) : Attribute
{
    public string Name { get; } = name;
}

/// <summary>What the task does, in one line: shown by <c>--description</c>.</summary>
[AttributeUsage(AttributeTargets.Class, Inherited = false)]
public sealed class TaskDescriptionAttribute(string description) : Attribute
{
    public string Description { get; } = description;
}

/// <summary>The other task runs before this one.</summary>
/// <param name="type">A class that implements <see cref="IFrostingTask"/>; any other ends the run with a
/// <see cref="FrostingException"/>.</param>
[AttributeUsage(AttributeTargets.Class, AllowMultiple = true)]
public sealed class IsDependentOnAttribute(Type type) : Attribute
{
    public Type Task { get; } = type;
}

/// <summary>This task runs before the other one.</summary>
/// <inheritdoc cref="IsDependentOnAttribute" path="/param"/>
[AttributeUsage(AttributeTargets.Class, AllowMultiple = true)]
public sealed class IsDependeeOfAttribute(Type type) : Attribute
{
    public Type Task { get; } = type;
}

/// <summary>An exception of the task is logged and the run goes on. Cannot be combined with an own <c>OnError</c>.</summary>
[AttributeUsage(AttributeTargets.Class, Inherited = false)]
public sealed class ContinueOnErrorAttribute : Attribute;
