using Cake.Core;

namespace Cake.Frosting.Tests;

public sealed class LifetimeTests
{
    [Fact]
    public void Lifetimes_enclose_the_run_and_each_task()
    {
        var build = new TestBuild().With<Second>().With<First>();
        build.Host.UseLifetime<Lifetime>().UseTaskLifetime<TaskLifetime>();

        Assert.Equal(0, build.Run("--target=Second"));

        Assert.Equal(
            [
                "setup of Second for First, Second",
                "before First",
                "First",
                "after First",
                "before Second",
                "Second",
                "after Second",
                "teardown",
            ],
            build.Journal
        );
    }

    [Fact]
    public void Setup_and_teardown_may_be_classes_of_their_own()
    {
        var build = new TestBuild().With<First>();
        build.Host.UseSetup<RunSetup>().UseTeardown<RunTeardown>().UseTaskSetup<TaskSetup>().UseTaskTeardown<TaskTeardown>();

        Assert.Equal(0, build.Run("--target=First"));

        Assert.Equal(["setup", "task setup", "First", "task teardown", "teardown"], build.Journal);
    }

    [Fact]
    public void Teardown_is_told_the_exception_itself_when_a_task_fails()
    {
        var build = new TestBuild().With<Failing>();
        build.Host.UseLifetime<Lifetime>().UseTaskLifetime<TaskLifetime>();

        Assert.Equal(1, build.Run("--target=Failing"));

        Assert.Equal(["setup of Failing for Failing", "before Failing", "after Failing", "teardown after TimeoutException"], build.Journal);
    }

    [Fact]
    public void No_task_runs_after_a_failed_setup_but_the_teardown_does()
    {
        var build = new TestBuild().With<First>();
        build.Host.UseSetup<FailingSetup>().UseTeardown<RunTeardown>();

        Assert.Equal(1, build.Run("--target=First"));

        Assert.Equal(["teardown"], build.Journal);
        Assert.Contains("Error: no setup", build.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public void The_last_context_wins_and_without_any_it_is_the_plain_one()
    {
        var build = new TestBuild().With<Plain>();
        build.Host.UseContext<FrostingContext>();

        Assert.Equal(0, build.Run("--target=Plain"));

        Assert.Contains("context is Cake.Frosting.FrostingContext", build.Output, StringComparison.Ordinal);
    }

    private sealed class First : FrostingTask<TestContext>
    {
        public override void Run(TestContext context) => context.Note("First");
    }

    [IsDependentOn(typeof(First))]
    private sealed class Second : FrostingTask<TestContext>
    {
        public override void Run(TestContext context) => context.Note("Second");
    }

    private sealed class Failing : FrostingTask
    {
        public override void Run(ICakeContext context) => throw new TimeoutException("too late");
    }

    private sealed class Plain : FrostingTask
    {
        public override void Run(ICakeContext context) =>
            context.Log.Write(
                Core.Diagnostics.Verbosity.Normal,
                Core.Diagnostics.LogLevel.Information,
                "context is {0}",
                context.GetType().FullName
            );
    }

    private sealed class Lifetime : FrostingLifetime<TestContext>
    {
        public override void Setup(TestContext context, ISetupContext info) =>
            context.Note($"setup of {info.TargetTask.Name} for {string.Join(", ", info.TasksToExecute.Select(task => task.Name))}");

        public override void Teardown(TestContext context, ITeardownContext info) =>
            context.Note(info.Successful ? "teardown" : $"teardown after {info.ThrownException.GetType().Name}");
    }

    private sealed class TaskLifetime : FrostingTaskLifetime<TestContext>
    {
        public override void Setup(TestContext context, ITaskSetupContext info) => context.Note($"before {info.Task.Name}");

        public override void Teardown(TestContext context, ITaskTeardownContext info) => context.Note($"after {info.Task.Name}");
    }

    private sealed class RunSetup : FrostingSetup<TestContext>
    {
        public override void Setup(TestContext context, ISetupContext info) => context.Note("setup");
    }

    private sealed class FailingSetup : FrostingSetup
    {
        public override void Setup(ICakeContext context, ISetupContext info) => throw new InvalidOperationException("no setup");
    }

    private sealed class RunTeardown : FrostingTeardown<TestContext>
    {
        public override void Teardown(TestContext context, ITeardownContext info) => context.Note("teardown");
    }

    private sealed class TaskSetup : FrostingTaskSetup<TestContext>
    {
        public override void Setup(TestContext context, ITaskSetupContext info) => context.Note("task setup");
    }

    private sealed class TaskTeardown : FrostingTaskTeardown<TestContext>
    {
        public override void Teardown(TestContext context, ITaskTeardownContext info) => context.Note("task teardown");
    }
}
