using System.Text;

namespace Build;

/// <summary>What --help prints.</summary>
internal static class Help
{
    private const int Column = 33;

    public static string Text
    {
        get
        {
            var script = OperatingSystem.IsWindows() ? "build.cmd" : "./build.sh";
            // A published host is started by its own name, one in the source tree by the script.
            var program = Path.GetFileNameWithoutExtension(Environment.ProcessPath) is { } name and not "dotnet" ? name : script;
            var text = new StringBuilder(
                $"""
                Usage: {program} [OPTIONS]

                    {program}
                    {program} --target=Quantize --model=tiny-reranker
                    {program} --tree

                OPTIONS:

                """
            );
            foreach (var option in Option.All)
                text.Append(Line(option));
            return text.Append(
                    """

                    TARGETS: Default, New, Update, Plan, Search, Latency, Fetch, Prepare, Calibrate, Quantize, Measure, Validate,
                        Decide, Package, Release, Publish, Promote, Drift, Provision, Doctor, Test, Clean, and each stage of one model
                        or variant, such as Quantize:tiny-reranker:int8.
                        --tree shows how they depend on each other, --description what they do.
                    """
                )
                .ToString();
        }
    }

    private static string Line(Option option)
    {
        var value = option switch
        {
            { Value: null } => "",
            { ValueIsOptional: true } => $"[={option.Value}]",
            _ => $"={option.Value}",
        };
        var brief = option.Aliases.FirstOrDefault(alias => alias.Length == 2);
        var left = $"    {(brief is null ? "" : brief + ", ")}{option.Name}{value}";
        return $"{left.PadRight(Column)}{option.Text}{(option.Variable is null ? "" : $" ({option.Variable})")}\n";
    }
}
