using Cake.Core;

namespace Cake.Frosting.Tests;

/// <summary>
/// Tasks that depend on data: the context asks for the engine in its constructor and registers them there. The host builds the
/// context before it registers the task classes and before it looks at --tree, --description and --dryrun.
/// </summary>
public sealed class DataTaskTests
{
    [Fact]
    public void Tasks_made_from_data_run_in_the_order_of_their_dependencies_with_the_builds_context()
    {
        var build = Build();

        Assert.Equal(0, build.Run());

        Assert.Equal(["Fetch", "Quantize:tiny:fp16", "Quantize:tiny:int8", "Package"], build.Journal);
    }

    [Fact]
    public void A_task_made_from_data_can_be_the_target()
    {
        var build = Build();

        Assert.Equal(0, build.Run("--target=Quantize:tiny:int8"));

        Assert.Equal(["Fetch", "Quantize:tiny:int8"], build.Journal);
    }

    [Fact]
    public void Arguments_are_known_when_the_tasks_are_made()
    {
        var build = Build();

        Assert.Equal(0, build.Run("--variant=int8"));

        Assert.Equal(["Fetch", "Quantize:tiny:int8", "Package"], build.Journal);
    }

    [Fact]
    public void The_tree_shows_them_below_the_stage_that_depends_on_them()
    {
        var build = Build();

        Assert.Equal(0, build.Run("--tree"));

        Assert.Contains(
            """
            Default
            └─Package
               └─Quantize
                  ├─Quantize:tiny:fp16
                  │ └─Fetch
                  └─Quantize:tiny:int8
                     └─Fetch
            """,
            build.Output,
            StringComparison.Ordinal
        );
        Assert.Empty(build.Journal);
    }

    [Fact]
    public void The_description_lists_them()
    {
        var build = Build();

        Assert.Equal(0, build.Run("--description"));

        Assert.Matches(@"Quantize:tiny:int8\s+tiny as int8", build.Output);
        Assert.Matches(@"Package\s+Puts the variants together", build.Output);
        Assert.Empty(build.Journal);
    }

    [Fact]
    public void The_dry_run_lists_them_in_order_and_runs_nothing()
    {
        var build = Build();

        Assert.Equal(0, build.Run("--dryrun"));

        Assert.Matches(
            @"(?s)1\. Fetch.*2\. Quantize:tiny:fp16.*3\. Quantize:tiny:int8.*4\. Quantize\s.*5\. Package.*6\. Default",
            build.Output
        );
        Assert.Empty(build.Journal);
    }

    [Fact]
    public void They_may_also_declare_themselves_dependees_of_a_class_task()
    {
        var build = new TestBuild().With<Fetch>().With<Publish>();
        build.Host.UseContext<DependeeContext>();

        Assert.Equal(0, build.Run("--target=Publish"));

        Assert.Equal(["Publish:tiny", "Publish"], build.Journal);
    }

    [Fact]
    public void An_error_in_the_data_ends_the_run_with_the_exit_code_of_the_cake_exception()
    {
        var build = Build();
        build.Host.UseContext<BrokenContext>();

        Assert.Equal(2, build.Run("--tree"));

        Assert.Contains("Error: models.yaml:3:1: no models", build.Errors, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", build.Errors, StringComparison.Ordinal);
    }

    private static TestBuild Build()
    {
        var build = new TestBuild().With<Main>().With<Package>().With<Fetch>();
        build.Host.UseContext<DataContext>();
        return build;
    }

    private sealed class DataContext : FrostingContext
    {
        public DataContext(ICakeContext context, ICakeEngine engine, Journal journal)
            : base(context)
        {
            Journal = journal;
            var selected = context.Arguments.GetArguments("variant");
            var variants = new List<string>();
            foreach (var variant in (string[])["fp16", "int8"])
            {
                if (selected.Count > 0 && !selected.Contains(variant))
                    continue;
                var name = $"Quantize:tiny:{variant}";
                variants.Add(name);
                engine
                    .RegisterTask(name)
                    .Description($"tiny as {variant}")
                    .IsDependentOn(nameof(Fetch))
                    .Does(async running =>
                    {
                        await Task.Yield();
                        ((DataContext)running).Journal.Entries.Add(name);
                    });
            }
            engine.RegisterTask(nameof(Quantize)).IsDependentOn(variants);
        }

        public Journal Journal { get; }
    }

    private sealed class DependeeContext : FrostingContext
    {
        public DependeeContext(ICakeContext context, ICakeEngine engine, Journal journal)
            : base(context)
        {
            Journal = journal;
            engine.RegisterTask("Publish:tiny").IsDependeeOf("Publish").Does(() => journal.Entries.Add("Publish:tiny"));
        }

        public Journal Journal { get; }
    }

    private sealed class BrokenContext : FrostingContext
    {
        public BrokenContext(ICakeContext context)
            : base(context) => throw new CakeException(2, "models.yaml:3:1: no models");
    }

    private sealed class Fetch(Journal journal) : FrostingTask
    {
        public override void Run(ICakeContext context) => journal.Entries.Add("Fetch");
    }

    /// <summary>Abstract: never found nor registered as a class, but attributes can name the task that data makes.</summary>
    private abstract class Quantize : FrostingTask;

    [TaskDescription("Puts the variants together"), IsDependentOn(typeof(Quantize))]
    private sealed class Package : FrostingTask<DataContext>
    {
        public override void Run(DataContext context) => context.Journal.Entries.Add("Package");
    }

    [TaskName("Default"), IsDependentOn(typeof(Package))]
    private sealed class Main : FrostingTask;

    private sealed class Publish : FrostingTask<DependeeContext>
    {
        public override void Run(DependeeContext context) => context.Journal.Entries.Add("Publish");
    }
}
