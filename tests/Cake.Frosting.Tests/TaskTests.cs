using System.Globalization;
using Cake.Core;

namespace Cake.Frosting.Tests;

public sealed class TaskTests
{
    [Fact]
    public void Dependencies_run_before_the_task_that_names_them_and_each_only_once()
    {
        var build = new TestBuild().With<Test>().With<Compile>().With<Clean>();

        Assert.Equal(0, build.Run("--target=Test"));

        Assert.Equal(["Clean", "Compile", "Test"], build.Journal);
    }

    [Fact]
    public void A_dependee_runs_before_the_task_it_names()
    {
        var build = new TestBuild().With<Clean>().With<BeforeClean>();

        Assert.Equal(0, build.Run("--target=Clean"));

        Assert.Equal(["BeforeClean", "Clean"], build.Journal);
    }

    [Fact]
    public void Exclusive_leaves_the_dependencies_out()
    {
        var build = new TestBuild().With<Test>().With<Compile>().With<Clean>();

        Assert.Equal(0, build.Run("--target=Test", "--exclusive"));

        Assert.Equal(["Test"], build.Journal);
    }

    [Fact]
    public void Several_targets_all_run_and_share_their_dependencies()
    {
        var build = new TestBuild().With<Test>().With<Compile>().With<Clean>().With<Other>();

        Assert.Equal(0, build.Run("-t", "Test", "-t", "Other", "--target", "Compile"));

        Assert.Equal(["Clean", "Compile", "Other", "Test"], build.Journal.Order());
        Assert.Equal(["Clean", "Compile", "Test"], build.Journal.Except(["Other"]));
    }

    [Fact]
    public void Default_is_the_target_when_none_is_given()
    {
        var build = new TestBuild().With<Main>().With<Clean>();

        Assert.Equal(0, build.Run());

        Assert.Equal(["Clean"], build.Journal);
    }

    [Fact]
    public void A_task_whose_condition_is_false_is_skipped_with_its_reason_and_its_dependents_still_run()
    {
        var build = new TestBuild().With<AfterSkipped>().With<Skipped>();

        Assert.Equal(0, build.Run("--target=AfterSkipped", "--verbosity=verbose"));

        Assert.Equal(["AfterSkipped"], build.Journal);
        Assert.Contains("nothing to do", build.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_target_whose_condition_is_false_fails_the_run()
    {
        var build = new TestBuild().With<Skipped>();

        Assert.Equal(1, build.Run("--target=Skipped"));

        Assert.Contains("Skipped", build.Errors, StringComparison.Ordinal);
        Assert.Contains("nothing to do", build.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public void An_exception_ends_the_run_after_the_tasks_finally()
    {
        var build = new TestBuild().With<AfterFailing>().With<Failing>();

        Assert.Equal(1, build.Run("--target=AfterFailing"));

        Assert.Equal(["Failing", "finally"], build.Journal);
        Assert.Contains("Error: it broke", build.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public void The_stack_trace_is_shown_at_diagnostic_verbosity_alone()
    {
        var build = new TestBuild().With<Failing>();
        var diagnostic = new TestBuild().With<Failing>();

        build.Run("--target=Failing");
        diagnostic.Run("--target=Failing", "--verbosity=diagnostic");

        Assert.DoesNotContain("   at ", build.Errors, StringComparison.Ordinal);
        Assert.Contains("   at ", diagnostic.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public void Continue_on_error_lets_the_run_go_on()
    {
        var build = new TestBuild().With<AfterTolerated>().With<Tolerated>();

        Assert.Equal(0, build.Run("--target=AfterTolerated"));

        Assert.Equal(["Tolerated", "AfterTolerated"], build.Journal);
    }

    [Fact]
    public void An_error_handler_that_returns_lets_the_run_go_on()
    {
        var build = new TestBuild().With<AfterHandled>().With<Handled>();

        Assert.Equal(0, build.Run("--target=AfterHandled"));

        Assert.Equal(["handled: it broke", "finally", "AfterHandled"], build.Journal);
    }

    [Fact]
    public void An_asynchronous_task_is_awaited()
    {
        var build = new TestBuild().With<AfterSlow>().With<Slow>();

        Assert.Equal(0, build.Run("--target=AfterSlow"));

        Assert.Equal(["slow begins", "slow ends", "AfterSlow"], build.Journal);
    }

    [Fact]
    public void An_asynchronous_task_fails_the_run_with_its_own_exception()
    {
        var build = new TestBuild().With<SlowFailing>();

        Assert.Equal(1, build.Run("--target=SlowFailing"));

        Assert.Contains("Error: it broke late", build.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public void A_dependency_on_a_class_that_is_no_task_is_an_error()
    {
        var build = new TestBuild().With<Misled>();

        Assert.Equal(1, build.Run("--target=Misled"));

        Assert.Contains("'DateTime' is not a valid task", build.Errors, StringComparison.Ordinal);
        Assert.Empty(build.Journal);
    }

    [Fact]
    public void A_task_that_needs_another_context_is_left_out_with_a_warning()
    {
        var build = new TestBuild().With<Foreign>().With<Clean>();

        Assert.Equal(1, build.Run("--target=Foreign"));

        Assert.Contains("OtherContext", build.Output, StringComparison.Ordinal);
        Assert.Contains("The target 'Foreign' was not found", build.Errors, StringComparison.Ordinal);
    }

    private sealed class OtherContext(ICakeContext context) : FrostingContext(context);

    private abstract class Noting : FrostingTask<TestContext>
    {
        public override void Run(TestContext context) => context.Note(GetType().Name);
    }

    private sealed class Clean : Noting;

    private sealed class Other : Noting;

    [IsDependentOn(typeof(Clean))]
    private sealed class Compile : Noting;

    [IsDependentOn(typeof(Clean)), IsDependentOn(typeof(Compile))]
    private sealed class Test : Noting;

    [IsDependeeOf(typeof(Clean))]
    private sealed class BeforeClean : Noting;

    [TaskName("Default"), IsDependentOn(typeof(Clean))]
    private sealed class Main : FrostingTask<TestContext>;

    private sealed class Skipped : Noting, IFrostingTask
    {
        public string SkippedMessage => "nothing to do";

        public override bool ShouldRun(TestContext context) => false;
    }

    [IsDependentOn(typeof(Skipped))]
    private sealed class AfterSkipped : Noting;

    private class Failing : FrostingTask<TestContext>
    {
        public override void Run(TestContext context)
        {
            context.Note("Failing");
            throw new InvalidOperationException("it broke");
        }

        public override void Finally(TestContext context) => context.Note("finally");
    }

    [IsDependentOn(typeof(Failing))]
    private sealed class AfterFailing : Noting;

    [ContinueOnError]
    private sealed class Tolerated : FrostingTask<TestContext>
    {
        public override void Run(TestContext context)
        {
            context.Note("Tolerated");
            throw new InvalidOperationException("it broke");
        }
    }

    [IsDependentOn(typeof(Tolerated))]
    private sealed class AfterTolerated : Noting;

    private sealed class Handled : FrostingTask<TestContext>
    {
        public override void Run(TestContext context) => throw new InvalidOperationException("it broke");

        public override void OnError(Exception exception, TestContext context) =>
            context.Note(string.Create(CultureInfo.InvariantCulture, $"handled: {exception.Message}"));

        public override void Finally(TestContext context) => context.Note("finally");
    }

    [IsDependentOn(typeof(Handled))]
    private sealed class AfterHandled : Noting;

    private sealed class Slow : AsyncFrostingTask<TestContext>
    {
        public override async Task RunAsync(TestContext context)
        {
            context.Note("slow begins");
            await Task.Delay(20);
            context.Note("slow ends");
        }
    }

    [IsDependentOn(typeof(Slow))]
    private sealed class AfterSlow : Noting;

    private sealed class SlowFailing : AsyncFrostingTask
    {
        public override async Task RunAsync(ICakeContext context)
        {
            await Task.Yield();
            throw new InvalidOperationException("it broke late");
        }
    }

    [IsDependentOn(typeof(DateTime))]
    private sealed class Misled : Noting;

    private sealed class Foreign : FrostingTask<OtherContext>
    {
        public override void Run(OtherContext context) => throw new InvalidOperationException("must not run");
    }
}
