using Cake.Core;

namespace Cake.Frosting;

/// <summary>A task as the host sees it. Derive from <see cref="FrostingTask{T}"/> or <see cref="AsyncFrostingTask{T}"/>.</summary>
public interface IFrostingTask
{
    Task RunAsync(ICakeContext context);

    bool ShouldRun(ICakeContext context);

    /// <summary>Why the task was skipped when <see cref="ShouldRun"/> said no; may be empty.</summary>
    string SkippedMessage => string.Empty;

    void OnError(Exception exception, ICakeContext context);

    void Finally(ICakeContext context);
}

/// <inheritdoc/>
public abstract class FrostingTask : FrostingTask<ICakeContext>;

/// <summary>A synchronous task. What is not overridden is not registered with the engine.</summary>
/// <typeparam name="T">The context it needs; under another context the task is left out with a warning.</typeparam>
public abstract class FrostingTask<T> : IFrostingTask
    where T : ICakeContext
{
    /// <summary>The work. A task without it only gathers its dependencies.</summary>
    public virtual void Run(T context) { }

    /// <summary>False skips the task; if the task is the target, the run fails.</summary>
    public virtual bool ShouldRun(T context) => true;

    /// <summary>Handles an exception of <see cref="Run"/>: the run goes on unless this throws.</summary>
    public virtual void OnError(Exception exception, T context) { }

    /// <summary>Called after <see cref="Run"/>, whether it failed or not.</summary>
    public virtual void Finally(T context) { }

    Task IFrostingTask.RunAsync(ICakeContext context)
    {
        Run((T)context);
        return Task.CompletedTask;
    }

    bool IFrostingTask.ShouldRun(ICakeContext context) => ShouldRun((T)context);

    void IFrostingTask.OnError(Exception exception, ICakeContext context) => OnError(exception, (T)context);

    void IFrostingTask.Finally(ICakeContext context) => Finally((T)context);
}

/// <inheritdoc/>
public abstract class AsyncFrostingTask : AsyncFrostingTask<ICakeContext>;

/// <summary>An asynchronous task. What is not overridden is not registered with the engine.</summary>
/// <inheritdoc cref="FrostingTask{T}" path="/typeparam"/>
public abstract class AsyncFrostingTask<T> : IFrostingTask
    where T : ICakeContext
{
    /// <inheritdoc cref="FrostingTask{T}.Run"/>
    public virtual Task RunAsync(T context) => Task.CompletedTask;

    /// <inheritdoc cref="FrostingTask{T}.ShouldRun"/>
    public virtual bool ShouldRun(T context) => true;

    /// <summary>Handles an exception of <see cref="RunAsync"/>: the run goes on unless this throws.</summary>
    public virtual void OnError(Exception exception, T context) { }

    /// <summary>Called after <see cref="RunAsync"/>, whether it failed or not.</summary>
    public virtual void Finally(T context) { }

    Task IFrostingTask.RunAsync(ICakeContext context) => RunAsync((T)context);

    bool IFrostingTask.ShouldRun(ICakeContext context) => ShouldRun((T)context);

    void IFrostingTask.OnError(Exception exception, ICakeContext context) => OnError(exception, (T)context);

    void IFrostingTask.Finally(ICakeContext context) => Finally((T)context);
}
