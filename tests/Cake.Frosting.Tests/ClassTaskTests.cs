using Build;
using Cake.Core;

namespace Cake.Frosting.Tests;

/// <summary>Task classes as a Cake script registers them: with all that Frosting's host would make of them.</summary>
public sealed class ClassTaskTests
{
    [Fact]
    public void Dependencies_and_dependees_run_first_and_each_once()
    {
        var build = Run("Last");

        Assert.Equal(["Before", "First", "Last", "finally"], build.Journal);
    }

    [Fact]
    public void A_tolerated_error_lets_the_run_go_on_and_a_handled_one_is_handled()
    {
        var build = Run("AfterErrors");

        Assert.Equal(["tolerated", "handled: it broke", "AfterErrors"], build.Journal);
    }

    [Fact]
    public void An_error_without_handler_ends_the_run()
    {
        var build = Run("Broken", exitCode: 1);

        Assert.Equal(["finally"], build.Journal);
        Assert.Contains("Error: it broke", build.Errors, StringComparison.Ordinal);
    }

    private static TestBuild Run(string target, int exitCode = 0)
    {
        var build = new TestBuild();
        build.Host.UseContext<ScriptContext>();
        Assert.Equal(exitCode, build.Run($"--target={target}"));
        return build;
    }

    private sealed class ScriptContext : FrostingContext
    {
        public ScriptContext(ICakeContext context, ICakeEngine engine, Journal journal)
            : base(context)
        {
            Journal = journal;
            Type[] types =
            [
                typeof(Last),
                typeof(First),
                typeof(Before),
                typeof(Tolerated),
                typeof(Handled),
                typeof(AfterErrors),
                typeof(Broken),
            ];
            foreach (var type in types)
                ClassTask.Register(engine.RegisterTask, this, type);
        }

        public Journal Journal { get; }
    }

    private abstract class Noting : FrostingTask<ScriptContext>
    {
        public override void Run(ScriptContext context) => context.Journal.Entries.Add(GetType().Name);
    }

    [TaskName("Last"), TaskDescription("Runs last"), IsDependentOn(typeof(First))]
    private sealed class Last : Noting
    {
        public override void Finally(ScriptContext context) => context.Journal.Entries.Add("finally");
    }

    private sealed class First : Noting;

    [IsDependeeOf(typeof(First))]
    private sealed class Before : Noting;

    [ContinueOnError]
    private sealed class Tolerated : FrostingTask<ScriptContext>
    {
        public override void Run(ScriptContext context)
        {
            context.Journal.Entries.Add("tolerated");
            throw new InvalidOperationException("it broke");
        }
    }

    [IsDependentOn(typeof(Tolerated))]
    private sealed class Handled : FrostingTask<ScriptContext>
    {
        public override void Run(ScriptContext context) => throw new InvalidOperationException("it broke");

        public override void OnError(Exception exception, ScriptContext context) =>
            context.Journal.Entries.Add($"handled: {exception.Message}");
    }

    [IsDependentOn(typeof(Handled))]
    private sealed class AfterErrors : Noting;

    private sealed class Broken : FrostingTask<ScriptContext>
    {
        public override void Run(ScriptContext context) => throw new InvalidOperationException("it broke");

        public override void Finally(ScriptContext context) => context.Journal.Entries.Add("finally");
    }
}
