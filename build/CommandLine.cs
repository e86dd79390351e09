using Cake.Core;
using ModelPipeline.Core;
using ModelPipeline.Manifest;

namespace Build;

/// <summary>
/// Reads the command line strictly, before Cake does: Cake takes any option for one of the build's, and drops what follows none, so that
/// a misspelt <c>--dry-run</c> would publish.
/// </summary>
internal static class CommandLine
{
    /// <summary>Refuses what this host does not know, and options without the value that they need or with one that they do not
    /// take.</summary>
    /// <param name="arguments">As the host was started with.</param>
    /// <exception cref="PipelineException">Exit code 2; names the argument, and the nearest that there is.</exception>
    public static void Check(IReadOnlyList<string> arguments)
    {
        var given = new List<(Option Option, string? Value)>();
        for (var i = 0; i < arguments.Count; i++)
        {
            var (name, value) = Split(arguments[i]);
            var option = Option.Named(name) ?? throw Unknown(arguments[i], name);
            if (value is null && option.Value is not null && i + 1 < arguments.Count && IsValue(option, arguments[i + 1]))
                value = arguments[++i];
            given.Add((option, value));
        }
        Check(given);
    }

    /// <summary>The same for what Cake has read already: in a script, whose arguments are Cake's to read.</summary>
    /// <exception cref="PipelineException">As above.</exception>
    public static void Check(ICakeArguments arguments) =>
        Check([
            .. from argument in arguments.GetArguments()
            from value in argument.Value
            let name = "--" + argument.Key
            select (Option.Named(name) ?? throw Unknown(name, name), (string?)value),
        ]);

    private static void Check(IReadOnlyList<(Option Option, string? Value)> given)
    {
        foreach (var (option, value) in given)
        {
            if (option.Value is null && !string.IsNullOrEmpty(value))
                throw Wrong($"{option.Name} takes no value, but was given '{value}'");
            if (option.Value is not null && !option.ValueIsOptional && string.IsNullOrEmpty(value))
                throw Wrong($"{option.Name} needs a value: {option.Name}={option.Value}");
            if (option.Values.Count > 0 && !option.Values.Contains(value!, StringComparer.OrdinalIgnoreCase))
            {
                var known = option.Values.Where(word => word.Length > 1).ToList();
                throw Wrong($"{option.Name}: '{value}' is not one of {string.Join(", ", known)}{Spelling.Suggest(value!, known)}");
            }
        }
        var unlike = given.Where(each => !each.Option.IsRepeatable).Distinct().GroupBy(each => each.Option.Name);
        if (unlike.FirstOrDefault(same => same.Count() > 1) is { } twice)
            throw Wrong($"{twice.Key} was given more than once: {string.Join(", ", twice.Select(each => each.Value))}");
        var targets = given.Where(each => each.Option.Name == "--target").Select(each => each.Value!);
        if (given.Any(each => each.Option.Name == "--dry-run") && !IsPublish(targets))
            throw Wrong(
                "--dry-run tells what --target=Publish would do, and is for nothing else; --dryrun lists the targets that would run"
            );
        if (
            given.Any(each => each.Option.Name == "--from")
            && !targets.DefaultIfEmpty("Default").All(target => Is(target, "New") || Is(target, "Plan"))
        )
            throw Wrong("--from names what --target=New takes up or --target=Plan estimates, and is for nothing else");
        if (given.Any(each => each.Option.Name == "--corpus") && !targets.DefaultIfEmpty("Default").All(target => Is(target, "New")))
            throw Wrong("--corpus names what --target=New imports, and is for nothing else; models.yaml has the corpora of its models");
        if (given.Any(each => each.Option.Name == "--variant") && targets.Any(target => Is(target, "Drift") || Is(target, "Promote")))
            throw Wrong("--variant chooses what is built; a release is run as a whole: --model names whose");
        if (targets.Any(target => Is(target, "New")) && targets.Count() > 1)
            throw Wrong("--target=New goes alone: what it writes is built by the next run");

        static bool Is(string target, string name) => target.Equals(name, StringComparison.OrdinalIgnoreCase);
    }

    private static bool IsPublish(IEnumerable<string> targets) =>
        targets.DefaultIfEmpty("Default").All(target => target.Split(':')[0].Equals("Publish", StringComparison.OrdinalIgnoreCase));

    /// <summary>As Cake splits them: at the first of = and :, of which values are full, too.</summary>
    private static (string Name, string? Value) Split(string argument) =>
        argument.StartsWith('-') && argument.IndexOfAny(['=', ':']) is > 0 and var end
            ? (argument[..end], argument[(end + 1)..])
            : (argument, null);

    private static bool IsValue(Option option, string argument) =>
        !argument.StartsWith('-') && (!option.ValueIsOptional || argument is "0" or "1" or "true" or "false");

    private static PipelineException Unknown(string argument, string name) =>
        argument.StartsWith('-')
            ? Wrong($"there is no option {name}{Spelling.Suggest(name, Option.Names)}; --help lists them")
            : Wrong($"'{argument}' is not an option; what to make is named with --target={argument}");

    private static PipelineException Wrong(string message) => new(message, PipelineException.ConfigurationError);
}
