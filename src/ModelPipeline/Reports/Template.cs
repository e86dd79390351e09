using System.Collections.Concurrent;
using System.Text.Encodings.Web;
using Fluid;

namespace ModelPipeline.Reports;

/// <summary>
/// The texts of pipeline/templates, in Liquid. A property of the view is named in snake case there: <c>{{ file_name }}</c>. What a template
/// puts out is escaped unless it says <c>| raw</c>. What a view has not is an error, and so is null: it has a list of none instead, which
/// <c>for ...
/// else</c> takes.
/// </summary>
internal static class Template
{
    private static readonly FluidParser Parser = new();
    private static readonly ConcurrentDictionary<string, IFluidTemplate> Parsed = new();

    private static readonly TemplateOptions Options = new()
    {
        MemberAccessStrategy = new UnsafeMemberAccessStrategy { MemberNameStrategy = MemberNameStrategies.SnakeCase },
        StrictVariables = true,
        StrictFilters = true,
    };

    /// <summary>The HTML that the template makes of the view.</summary>
    /// <exception cref="ArgumentException">There is no such template, it is not Liquid, or it asks for what the view has not.</exception>
    public static string Html(string template, object view) => Render(template, view, CharacterEncoder.Html);

    /// <inheritdoc cref="Html"/>
    /// <summary>The Markdown that the template makes of the view.</summary>
    public static string Markdown(string template, object view) => Render(template, view, CharacterEncoder.Markdown);

    /// <inheritdoc cref="Html"/>
    /// <summary>The text that the template makes of the view, in which nothing is escaped.</summary>
    public static string Text(string template, object view) => Render(template, view, NullEncoder.Default);

    private static string Render(string template, object view, TextEncoder encoder)
    {
        try
        {
            return Parsed.GetOrAdd(template, Parse).Render(new TemplateContext(view, Options), encoder);
        }
        catch (FluidException exception)
        {
            throw new ArgumentException($"Template '{template}': {exception.Message}", nameof(template), exception);
        }
    }

    private static IFluidTemplate Parse(string template)
    {
        using var resource =
            typeof(Template).Assembly.GetManifestResourceStream("templates/" + template)
            ?? throw new ArgumentException($"There is no template '{template}'.", nameof(template));
        using var reader = new StreamReader(resource);
        return Parser.TryParse(reader.ReadToEnd().ReplaceLineEndings("\n"), out var parsed, out var error)
            ? parsed
            : throw new ArgumentException($"Template '{template}': {error}", nameof(template));
    }
}
