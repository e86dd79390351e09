using System.Text.RegularExpressions;

namespace ModelPipeline.Toolkit;

/// <summary>
/// Why a conversion failed, in one sentence. The toolkit tells it in three ways: a return code with the reason in its log, an exception
/// whose text holds a whole traceback, or the death of its process.
/// </summary>
/// <param name="Stage">The step it failed in, such as load_onnx or build.</param>
/// <param name="Reason">The toolkit's own sentence, without colours and traceback.</param>
/// <param name="Hint">What to do; null if the sentence is not a known one.</param>
public sealed partial record ToolkitFailure(string Stage, string Reason, string? Hint)
{
    private const string TimeLimit = "the time limit of";

    /// <summary>Characters of the last line that the toolkit printed.</summary>
    private const int MostOfLine = 120;

    private static readonly (string Sign, string Hint)[] Hints =
    [
        ("DynamicQuantizeLinear", "Start from the fp32 ONNX file: the toolkit quantizes by itself and refuses a quantized source."),
        ("'input_size_list' parameters", "The model has dynamic axes: declare 'shapes' for it in models.yaml, so that prepare pins them."),
        (
            "Invalid target_platform",
            "Set 'target' of the variant to a platform that the toolkit knows, such as rk3588, rk3576, rk3568, rk3566 or rk3562."
        ),
        ("Dataset file", "Calibrate again: the calibration set is missing; delete its folder if only a part of it is there."),
        (".npy'", "Calibrate again: a sample of the calibration set is missing; delete its folder."),
        (
            "pkg_resources",
            "The environment has setuptools 80 or later, which dropped it: run the target Provision, which pins setuptools<80."
        ),
        ("No module named", "The toolkit's environment is not complete: run the target Provision, or Doctor to see what is missing."),
        ("not exists", "Run Prepare again: the file went away between two stages."),
        ("Error parsing message", "The file is no ONNX model or it was cut: fetch it again and run Prepare."),
        (
            "MemoryError",
            "It needs more memory: close other programs or convert on a larger machine; about ten times the size of the fp32 model is "
                + "enough."
        ),
        (
            "Cannot allocate memory",
            "It needs more memory: close other programs or convert on a larger machine; about ten times the size of the fp32 model is "
                + "enough."
        ),
        ("signal 9", "The system killed it, most likely for want of memory: close other programs or convert on a larger machine."),
        (
            "No space left on device",
            "Free some disk space: the toolkit writes several times the model's size into its scratch folder beside the artifact."
        ),
        (TimeLimit, "It hangs, or the machine is too slow for the limit: look at the log; 'toolkit_minutes' of the variant sets another."),
    ];

    /// <summary>One failure out of what the driver reported and what the toolkit printed.</summary>
    /// <param name="stage">The step that was running.</param>
    /// <param name="message">Text of the exception, of a return code or of the process' end.</param>
    /// <param name="log">What the toolkit printed.</param>
    public static ToolkitFailure Of(string stage, string message, string log)
    {
        var reason = message.StartsWith("returned ", StringComparison.Ordinal) && LastError(log) is { } logged ? logged : Sentence(message);
        if (reason.StartsWith(TimeLimit, StringComparison.Ordinal) && ToolkitLog.Drawn(log).LastOrDefault() is { } last)
            reason += $"; the last that it printed is '{OneLine(last)[..Math.Min(OneLine(last).Length, MostOfLine)]}'";
        return new(stage, reason, Hints.FirstOrDefault(hint => reason.Contains(hint.Sign, StringComparison.Ordinal)).Hint);
    }

    /// <summary>As shown to the user.</summary>
    /// <param name="model">What was converted.</param>
    /// <param name="log">Path of the whole log.</param>
    public string Text(string model, string log) =>
        $"{model}: rknn-toolkit2 failed in {Stage}: {Reason}{(Reason[^1] is '.' or '!' ? "" : ".")} {(Hint is null ? "" : Hint + " ")}Its "
        + $"whole log is {log}";

    /// <summary>The exception's own words, of an exception's text that may hold a traceback.</summary>
    private static string Sentence(string message)
    {
        var plain = ToolkitLog.Plain(message).Trim();
        var traceback = plain.LastIndexOf("Traceback (most recent call last):", StringComparison.Ordinal);
        if (traceback < 0)
            return OneLine(plain);
        // Behind the indented frames comes 'SomeError: its words', which may go on over further lines.
        var raised = Raised().Match(plain, traceback);
        if (!raised.Success)
            return OneLine(plain[..traceback]);
        return OneLine(plain[raised.Groups["words"].Index..] is { Length: > 0 } words ? words : raised.Groups["type"].Value);
    }

    private static string? LastError(string log) =>
        ToolkitLog.Lines(log).Select(line => ErrorLine().Match(line)).LastOrDefault(line => line.Success) is { } last
            ? OneLine(last.Groups["words"].Value)
            : null;

    private static string OneLine(string text) => Space().Replace(text.Trim(), " ") is { Length: > 0 } line ? line : "it gave no reason";

    [GeneratedRegex(@"^(?<type>[A-Za-z_][\w.]*)(?:: *(?<words>)|$)", RegexOptions.Multiline)]
    private static partial Regex Raised();

    // Errors carry the API's name; the compiler's own error lines are printed in successful builds too.
    [GeneratedRegex(@"^E (?!RKNN:|rknn-toolkit2 version)(?:\w+: )?(?<words>(?!Traceback).+)")]
    private static partial Regex ErrorLine();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Space();
}
