using Cake.Core;

namespace Cake.Frosting;

/// <summary>Runs before each task, also before one that is skipped.</summary>
public interface IFrostingTaskSetup
{
    void Setup(ICakeContext context, ITaskSetupContext info);
}

/// <summary>Runs after each task, also after one that failed or was skipped.</summary>
public interface IFrostingTaskTeardown
{
    void Teardown(ICakeContext context, ITaskTeardownContext info);
}

/// <summary>Task setup and task teardown in one object.</summary>
public interface IFrostingTaskLifetime : IFrostingTaskSetup, IFrostingTaskTeardown;

/// <inheritdoc cref="IFrostingTaskSetup"/>
public abstract class FrostingTaskSetup : FrostingTaskSetup<ICakeContext>;

/// <inheritdoc cref="IFrostingTaskSetup"/>
public abstract class FrostingTaskSetup<TContext> : IFrostingTaskSetup
    where TContext : ICakeContext
{
    public abstract void Setup(TContext context, ITaskSetupContext info);

    void IFrostingTaskSetup.Setup(ICakeContext context, ITaskSetupContext info) => Setup((TContext)context, info);
}

/// <inheritdoc cref="IFrostingTaskTeardown"/>
public abstract class FrostingTaskTeardown : FrostingTaskTeardown<ICakeContext>;

/// <inheritdoc cref="IFrostingTaskTeardown"/>
public abstract class FrostingTaskTeardown<TContext> : IFrostingTaskTeardown
    where TContext : ICakeContext
{
    public abstract void Teardown(TContext context, ITaskTeardownContext info);

    void IFrostingTaskTeardown.Teardown(ICakeContext context, ITaskTeardownContext info) => Teardown((TContext)context, info);
}

/// <inheritdoc cref="IFrostingTaskLifetime"/>
public abstract class FrostingTaskLifetime : FrostingTaskLifetime<ICakeContext>;

/// <inheritdoc cref="IFrostingTaskLifetime"/>
public abstract class FrostingTaskLifetime<TContext> : IFrostingTaskLifetime
    where TContext : ICakeContext
{
    public abstract void Setup(TContext context, ITaskSetupContext info);

    public abstract void Teardown(TContext context, ITaskTeardownContext info);

    void IFrostingTaskSetup.Setup(ICakeContext context, ITaskSetupContext info) => Setup((TContext)context, info);

    void IFrostingTaskTeardown.Teardown(ICakeContext context, ITaskTeardownContext info) => Teardown((TContext)context, info);
}
