namespace Build;

/// <summary>One option of the command line.</summary>
/// <param name="Name">As it is written, with its dashes.</param>
/// <param name="Text">What it does, for --help.</param>
internal sealed record Option(string Name, string Text)
{
    /// <summary>Other names, dashes included.</summary>
    public IReadOnlyList<string> Aliases { get; init; } = [];

    /// <summary>What --help calls its value, such as PATH; null if it takes none.</summary>
    public string? Value { get; init; }

    /// <summary>The option alone means something, too.</summary>
    public bool ValueIsOptional { get; init; }

    /// <summary>The values that there are, if they can be listed.</summary>
    public IReadOnlyList<string> Values { get; init; } = [];

    /// <summary>It may be given several times.</summary>
    public bool IsRepeatable { get; init; }

    /// <summary>Environment variable that does the same.</summary>
    public string? Variable { get; init; }

    /// <summary>Every option that this host knows, in the order of --help: first Cake's own, then those of this host.</summary>
    public static IReadOnlyList<Option> All { get; } =
    [
        new("--target", "What to make (default: Default); may be given several times")
        {
            Aliases = ["-t", "--Target"],
            Value = "NAME",
            IsRepeatable = true,
        },
        new("--working", "Working directory") { Aliases = ["-w"], Value = "PATH" },
        new("--verbosity", "How much is logged: quiet, minimal, normal, verbose or diagnostic")
        {
            Aliases = ["-v"],
            Value = "LEVEL",
            Values = ["quiet", "minimal", "normal", "verbose", "diagnostic", "q", "m", "n", "v", "d"],
        },
        new("--description", "Lists the targets with their descriptions")
        {
            Aliases = ["--descriptions", "--showdescription", "--showdescriptions"],
        },
        new("--tree", "Shows which target depends on which") { Aliases = ["--showtree"] },
        new("--dryrun", "Lists the targets that would run, in order") { Aliases = ["--noop", "--whatif"] },
        new("--exclusive", "Makes the targets without what they depend on") { Aliases = ["-e"] },
        new("--no-report", "Leaves out the table of durations at the end") { Aliases = ["--noreport"] },
        new("--version", "Shows the version") { Aliases = ["--ver"] },
        new("--info", "Shows the version, and more of Cake's"),
        new("--help", "Shows this") { Aliases = ["-h"] },
        new("--model", "Only this model of models.yaml (default: those with default: true)") { Value = "NAME" },
        new("--variant", "Only this variant") { Value = "NAME" },
        new("--device", "Validate on this device; with --target=Clean: delete what is on it, too") { Value = "NAME" },
        new("--manifest", "Another models.yaml") { Value = "PATH" },
        new("--artifacts", "Where outputs go (default: artifacts)") { Value = "PATH" },
        new("--calibration-samples", "Instead of models.yaml's number") { Value = "N", Variable = "CALIBRATION_SAMPLES" },
        new("--quantize", "Only the fp16, or only the int8 variants") { Value = "0|1", Variable = "QUANTIZE" },
        new("--locked", "Refuse whatever differs from models.lock.json"),
        new("--offline", "Use only downloads that the cache has"),
        new("--downloads", "With --target=Clean: delete downloads too"),
        new("--allow-failed-variants", "End well although a variant broke its gates; it is left out all the same"),
        Again("--regenerate-dataset", "Make calibration sets again", "REGENERATE_DATASET"),
        Again("--force-convert", "Build variants again", "FORCE_CONVERT"),
        Again("--measure-again", "Measure latency again", "MEASURE_AGAIN"),
        new("--compare-with", "Package of the last release: reports say what has changed in compile reports since") { Value = "PATH" },
        new("--keep-scratch", "Leave what rknn-toolkit2 wrote in its scratch folder, beside the artifact"),
        new("--from", "Model for --target=New or, by its config.json alone, Plan; hf:owner/name, a folder or a file") { Value = "MODEL" },
        new("--corpus", "With --target=New: a BEIR folder, one of MS MARCO and TREC, or text files") { Value = "PATH" },
        new("--to", "Publish to a folder or hf:owner/name instead of GitHub; Promote and Drift look for the release there")
        {
            Value = "PATH",
        },
        new("--draft", "Publish complete and checked, but not shown to readers"),
        new("--dry-run", "With --target=Publish: only tell what it would do"),
        new("--wheels", "Provision installs from this folder of wheels, without an index") { Value = "PATH" },
        new("--with-torch", "Provision installs torch and OpenCV, too, for which stubs stand else"),
    ];

    /// <summary>Names and aliases of all.</summary>
    public static IEnumerable<string> Names => All.SelectMany(option => option.Aliases.Prepend(option.Name));

    /// <summary>Settings of Cake's that its command line takes as options, in any case.</summary>
    private static readonly string[] CakeSettings =
    [
        "--settings_skipverification",
        "--settings_skippackageversioncheck",
        "--settings_nomonocoersion",
        "--settings_showprocesscommandline",
        "--settings_enablescriptcache",
        "--settings_usespectreconsoleforconsoleoutput",
        "--paths_tools",
        "--paths_addins",
        "--paths_modules",
        "--paths_cache",
        "--recompile",
        "--nuget_source",
        "--nuget_useinprocessclient",
        "--nuget_loaddependencies",
        "--nuget_configfile",
    ];

    /// <summary>The option of this name or alias; null if there is none.</summary>
    public static Option? Named(string name) =>
        All.FirstOrDefault(option => option.Name == name || option.Aliases.Contains(name))
        ?? (
            CakeSettings.Contains(name, StringComparer.OrdinalIgnoreCase) ? new(name, "") { Value = "VALUE", ValueIsOptional = true } : null
        );

    private static Option Again(string name, string text, string variable) =>
        new(name, text)
        {
            Value = "0|1",
            ValueIsOptional = true,
            Variable = variable,
        };
}
