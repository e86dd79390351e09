using System.Reflection;
using System.Reflection.Emit;
using Cake.Core;
using Cake.Core.Composition;
using Microsoft.Extensions.DependencyInjection;

namespace Cake.Frosting.Tests;

/// <summary>Public, so that every host of this test program finds it in its entry assembly.</summary>
[TaskName("Found"), TaskDescription("Found in the entry assembly")]
public sealed class FoundTask : FrostingTask
{
    public override void Run(ICakeContext context) => throw new CakeException(7, "found");
}

public sealed class CommandLineTests
{
    [Fact]
    public void Public_task_classes_of_the_entry_assembly_are_found()
    {
        var build = new TestBuild();

        Assert.Equal(0, build.Run("--description"));

        Assert.Matches(@"Found\s+Found in the entry assembly", build.Output);
        Assert.DoesNotContain(nameof(Echo), build.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_failed_task_ends_the_run_with_exit_code_1_whatever_its_exception_asks_for()
    {
        var build = new TestBuild();

        Assert.Equal(1, build.Run("--target=Found"));

        Assert.Contains("Error: found", build.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public void Task_classes_of_an_added_assembly_are_found()
    {
        var build = new TestBuild();
        build.Host.AddAssembly(AssemblyWithTask("FromElsewhere"));

        Assert.Equal(0, build.Run("--dryrun", "--target=FromElsewhere"));

        Assert.Contains("1. FromElsewhere", build.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void An_unknown_target_is_an_error_that_names_it()
    {
        var build = new TestBuild();

        Assert.Equal(1, build.Run("--target=Nope"));

        Assert.Contains("Error: The target 'Nope' was not found.", build.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public void Arguments_reach_the_build_single_and_repeated()
    {
        var build = new TestBuild().With<Echo>();

        Assert.Equal(0, build.Run("--target=Echo", "--model=tiny", "--variant=fp16", "--variant=int8", "--force"));

        Assert.Equal(["target=Echo", "model=tiny", "variant=fp16|int8", "force="], build.Journal);
    }

    [Fact]
    public void The_command_line_overrides_the_working_directory_of_the_program()
    {
        var before = Directory.GetCurrentDirectory();
        var folder = Directory.CreateTempSubdirectory("frosting");
        try
        {
            folder.CreateSubdirectory("a");
            folder.CreateSubdirectory("b");
            var byProgram = new TestBuild().With<WhereAmI>();
            byProgram.Host.UseWorkingDirectory($"{folder}/a");
            var byArgument = new TestBuild().With<WhereAmI>();
            byArgument.Host.UseWorkingDirectory($"{folder}/a");

            Assert.Equal(0, byProgram.Run("--target=WhereAmI"));
            Assert.Equal(0, byArgument.Run("--target=WhereAmI", "--working", $"{folder}/b"));

            Assert.Equal([$"{folder}/a"], byProgram.Journal);
            Assert.Equal([$"{folder}/b"], byArgument.Journal);
        }
        finally
        {
            Directory.SetCurrentDirectory(before);
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public void A_working_directory_that_does_not_exist_is_an_error()
    {
        var build = new TestBuild().With<WhereAmI>();

        Assert.Equal(1, build.Run("--target=WhereAmI", "--working=/no/such/folder"));

        Assert.Contains("The working directory '/no/such/folder' does not exist.", build.Errors, StringComparison.Ordinal);
        Assert.Empty(build.Journal);
    }

    [Fact]
    public void The_tool_path_and_other_settings_reach_the_configuration_and_the_command_line_overrides_them()
    {
        var build = new TestBuild().With<ShowTools>();
        build.Host.SetToolPath("/opt/tools");
        var overridden = new TestBuild().With<ShowTools>();
        overridden.Host.SetToolPath("/opt/tools");

        Assert.Equal(0, build.Run("--target=ShowTools"));
        Assert.Equal(0, overridden.Run("--target=ShowTools", "--paths_tools=/srv/tools"));

        Assert.Equal(["/opt/tools"], build.Journal);
        Assert.Equal(["/srv/tools"], overridden.Journal);
    }

    [Fact]
    public void The_report_lists_each_task_and_can_be_left_out()
    {
        var build = new TestBuild().With<Echo>();
        var without = new TestBuild().With<Echo>();

        Assert.Equal(0, build.Run("--target=Echo"));
        Assert.Equal(0, without.Run("--target=Echo", "--no-report"));

        Assert.Matches(@"Echo\s+\d\d:\d\d:\d\d\.\d+\s+Succeeded", build.Output);
        Assert.DoesNotContain("Succeeded", without.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Version_and_info_are_shown_without_running_anything()
    {
        var version = new TestBuild().With<Echo>();
        var info = new TestBuild().With<Echo>();

        Assert.Equal(0, version.Run("--version", "--target=Echo"));
        Assert.Equal(0, info.Run("--info", "--target=Echo"));

        Assert.NotEmpty(version.Output.Trim());
        Assert.Contains("Version:", info.Output, StringComparison.Ordinal);
        Assert.Empty(version.Journal);
        Assert.Empty(info.Journal);
    }

    [Fact]
    public void Startup_classes_and_modules_register_services()
    {
        var build = new TestBuild().With<Greeting>();
        build.Host.UseStartup<Startup>().UseModule<Module>();

        Assert.Equal(0, build.Run("--target=Greeting"));

        Assert.Equal(["startup and module"], build.Journal);
    }

    [Fact]
    public void What_hosts_register_services_can_register_too()
    {
        var build = new TestBuild().With<ShowTools>();
        build.Host.ConfigureServices(services =>
            services.UseContext<TestContext>().UseToolPath("/opt/tools").UseCakeSetting("a", "b").UseModule<Module>()
        );

        Assert.Equal(0, build.Run("--target=ShowTools"));

        Assert.Equal(["/opt/tools"], build.Journal);
    }

    [Fact]
    public void A_command_line_that_cannot_be_read_ends_with_a_negative_exit_code()
    {
        var build = new TestBuild().With<Echo>();

        Assert.Equal(-1, build.Run("--target=Echo", "--tree=x"));

        Assert.Empty(build.Journal);
    }

    private static Assembly AssemblyWithTask(string name)
    {
        var assembly = new PersistedAssemblyBuilder(new AssemblyName(name), typeof(object).Assembly);
        assembly
            .DefineDynamicModule(name)
            .DefineType(name, TypeAttributes.Public | TypeAttributes.Sealed, typeof(FrostingTask))
            .CreateType();
        using var image = new MemoryStream();
        assembly.Save(image);
        return Assembly.Load(image.ToArray());
    }

    private sealed class Echo : FrostingTask<TestContext>
    {
        public override void Run(TestContext context)
        {
            foreach (var name in (string[])["target", "model", "variant", "force"])
            {
                if (context.Arguments.HasArgument(name))
                    context.Note($"{name}={string.Join('|', context.Arguments.GetArguments(name))}");
            }
        }
    }

    private sealed class WhereAmI : FrostingTask<TestContext>
    {
        public override void Run(TestContext context) => context.Note(context.Environment.WorkingDirectory.FullPath);
    }

    private sealed class ShowTools : FrostingTask<TestContext>
    {
        public override void Run(TestContext context) => context.Note(context.Configuration.GetValue("Paths_Tools"));
    }

    private sealed record FromStartup(string Text);

    private sealed record FromModule(string Text);

    private sealed class Startup : IFrostingStartup
    {
        public void Configure(IServiceCollection services) => services.AddSingleton(new FromStartup("startup"));
    }

    private sealed class Module : ICakeModule
    {
        public void Register(ICakeContainerRegistrar registrar) => registrar.RegisterInstance(new FromModule("module")).AsSelf();
    }

    private sealed class Greeting(FromStartup startup, FromModule module) : FrostingTask<TestContext>
    {
        public override void Run(TestContext context) => context.Note($"{startup.Text} and {module.Text}");
    }
}
