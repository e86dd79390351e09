using System.Globalization;
using System.Net;
using System.Text;

namespace ModelPipeline.Reports;

/// <summary>A range of values with round tick marks.</summary>
/// <param name="Min">Value at the lower or left end.</param>
/// <param name="Max">Value at the other end, above <paramref name="Min"/>.</param>
/// <param name="Label">What the values are.</param>
internal sealed record Axis(double Min, double Max, string Label)
{
    /// <summary>Without tick marks and grid lines.</summary>
    public bool Hidden { get; init; }

    /// <summary>Tick values 1, 2 or 5 times a power of ten apart, about five of them.</summary>
    public IEnumerable<double> Ticks()
    {
        var step = Step(Max - Min);
        if (Hidden)
            yield break;
        for (var i = Math.Ceiling(Min / step - 1e-9); i * step <= Max + step * 1e-9; i++)
            yield return i * step;
    }

    /// <summary>The smallest axis from tick to tick that holds all values.</summary>
    public static Axis Around(string label, params IEnumerable<double> values)
    {
        double min = values.Min(),
            max = values.Max();
        if (min == max)
            (min, max) = (min - Math.Max(0.5, Math.Abs(min) / 100), max + Math.Max(0.5, Math.Abs(max) / 100));
        var step = Step(max - min);
        return new(Math.Floor(min / step) * step, Math.Ceiling(max / step) * step, label);
    }

    private static double Step(double range)
    {
        var power = Math.Pow(10, Math.Floor(Math.Log10(range / 5)));
        return power
            * (range / 5 / power) switch
            {
                < 1.5 => 1,
                < 3.5 => 2,
                < 7.5 => 5,
                _ => 10,
            };
    }
}

/// <summary>One SVG chart: axes and, inside them, marks in the units of the axes. Colours come from the page's style sheet.</summary>
internal sealed class Plot
{
    private const double Width = 460,
        Right = 24,
        Top = 12,
        Bottom = 48;
    private readonly StringBuilder _marks = new();
    private readonly Axis _x;
    private readonly Axis _y;
    private readonly double _left;
    private readonly double _height;

    /// <param name="x">Horizontal.</param>
    /// <param name="y">Vertical.</param>
    /// <param name="height">Where the width is 460.</param>
    public Plot(Axis x, Axis y, double height = 320)
    {
        _height = height;
        (_x, _y, _left) = (x, y, (y.Hidden ? 22 : 50) + (y.Label.Length > 0 ? 18 : 0));
        foreach (var tick in x.Ticks())
        {
            Line("grid", tick, y.Min, tick, y.Max);
            Text("tick middle", X(tick), _height - Bottom + 18, Label(tick));
        }
        foreach (var tick in y.Ticks())
        {
            Line("grid", x.Min, tick, x.Max, tick);
            Text("tick end", _left - 7, Y(tick) + 4, Label(tick));
        }
        Text("label middle", (_left + Width - Right) / 2, _height - 8, x.Label);
        if (y.Label.Length > 0)
            _marks.Append(
                $"<text class=\"label middle\" transform=\"translate(14 {N((Top + _height - Bottom) / 2)}) "
                    + $"rotate(-90)\">{Escape(y.Label)}</text>"
            );
    }

    public void Line(string style, double x1, double y1, double x2, double y2) =>
        _marks.Append($"<path class=\"{style}\" d=\"M{N(X(x1))} {N(Y(y1))}L{N(X(x2))} {N(Y(y2))}\"/>");

    /// <summary>Round dots, all of one style.</summary>
    public void Dots(string style, IEnumerable<(double X, double Y)> points) =>
        _marks.Append($"<path class=\"{style}\" d=\"{string.Concat(points.Select(point => $"M{N(X(point.X))} {N(Y(point.Y))}h0"))}\"/>");

    /// <summary>A rectangle between two corners; the tooltip is optional.</summary>
    public void Bar(string style, double x1, double y1, double x2, double y2, string? tooltip = null)
    {
        var (left, top) = (Math.Min(X(x1), X(x2)), Math.Min(Y(y1), Y(y2)));
        _marks.Append(
            $"<rect class=\"{style}\" x=\"{N(left)}\" y=\"{N(top)}\" width=\"{N(Math.Abs(X(x1) - X(x2)))}\" "
                + $"height=\"{N(Math.Abs(Y(y1) - Y(y2)))}\""
        );
        _marks.Append(tooltip is null ? "/>" : $"><title>{Escape(tooltip)}</title></rect>");
    }

    /// <summary>Text at a point of the axes, at its right or, for the style <c>end</c>, left.</summary>
    public void Note(string style, double x, double y, string text, double shiftX = 0, double shiftY = 0) =>
        Text(style, X(x) + shiftX, Y(y) + shiftY, text);

    /// <summary>A figure element; the caption is its title and describes it to screen readers.</summary>
    public string Render(string caption) =>
        $"<figure><figcaption>{Escape(caption)}</figcaption><svg viewBox=\"0 0 {N(Width)} {N(_height)}\" role=\"img\" "
        + $"aria-label=\"{Escape(caption)}\">{_marks}</svg></figure>\n";

    internal static string Escape(string text) => WebUtility.HtmlEncode(text);

    private void Text(string style, double x, double y, string text) =>
        _marks.Append($"<text class=\"{style}\" x=\"{N(x)}\" y=\"{N(y)}\">{Escape(text)}</text>");

    private double X(double value) => _left + (value - _x.Min) / (_x.Max - _x.Min) * (Width - _left - Right);

    private double Y(double value) => _height - Bottom - (value - _y.Min) / (_y.Max - _y.Min) * (_height - Top - Bottom);

    private static string Label(double tick) => (Math.Round(tick, 9) + 0.0).ToString("G6", CultureInfo.InvariantCulture);

    private static string N(double number) => number.ToString("0.#", CultureInfo.InvariantCulture);
}
