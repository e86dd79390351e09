using System.ComponentModel;
using Cake.Cli;
using Cake.Core.Diagnostics;
using Cake.Core.IO;
using Spectre.Console.Cli;

namespace Cake.Frosting.Internal;

/// <summary>The command line. Options that are not here are arguments of the build.</summary>
internal sealed class DefaultCommandSettings : CommandSettings
{
    [CommandOption("--target|-t|--Target <TARGET>")]
    [DefaultValue("Default")]
    [Description("Task to run; may be given several times.")]
    public string[] Targets { get; init; } = [];

    [CommandOption("--working|-w <PATH>")]
    [TypeConverter(typeof(Cli.DirectoryPathConverter))]
    [Description("Working directory.")]
    public DirectoryPath? WorkingDirectory { get; init; }

    [CommandOption("--verbosity|-v <VERBOSITY>")]
    [TypeConverter(typeof(VerbosityConverter))]
    [Description("How much is logged: quiet, minimal, normal, verbose or diagnostic.")]
    public Verbosity? Verbosity { get; init; }

    [CommandOption("--description|--descriptions|--showdescription|--showdescriptions")]
    [Description("Lists the tasks with their descriptions.")]
    public bool Description { get; init; }

    [CommandOption("--tree|--showtree")]
    [Description("Shows which task depends on which.")]
    public bool Tree { get; init; }

    [CommandOption("--dryrun|--noop|--whatif")]
    [Description("Lists the tasks that would run, in order.")]
    public bool DryRun { get; init; }

    [CommandOption("--exclusive|-e")]
    [Description("Runs the targets without the tasks they depend on.")]
    public bool Exclusive { get; init; }

    [CommandOption("--no-report|--noreport")]
    [Description("Leaves out the table of durations at the end.")]
    public bool NoReport { get; init; }

    [CommandOption("--version|--ver")]
    [Description("Shows the version.")]
    public bool Version { get; init; }

    [CommandOption("--info")]
    [Description("Shows more about this version.")]
    public bool Info { get; init; }
}
