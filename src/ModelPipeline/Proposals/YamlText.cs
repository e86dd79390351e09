using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace ModelPipeline.Proposals;

/// <summary>Values as models.yaml has them: no number, date or reference where a text is meant.</summary>
internal static partial class YamlText
{
    private static readonly JsonSerializerOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Plain where nothing can be misread, else in quotes.</summary>
    public static string Scalar(string text) =>
        Plain().IsMatch(text) && !Number().IsMatch(text) && !Word().IsMatch(text) ? text : Quoted(text);

    /// <summary>In double quotes; ${ stands for itself.</summary>
    public static string Quoted(string text) => JsonSerializer.Serialize(text, Json).Replace("${", "$${", StringComparison.Ordinal);

    [GeneratedRegex(@"^[A-Za-z0-9_./][A-Za-z0-9_./+-]*$")]
    private static partial Regex Plain();

    [GeneratedRegex(@"^[0-9._+eExXoO-]+$")]
    private static partial Regex Number();

    [GeneratedRegex("^(true|false|null|yes|no|on|off)$", RegexOptions.IgnoreCase)]
    private static partial Regex Word();
}
