using ModelPipeline.Core;
using ModelPipeline.Text;

namespace ModelPipeline.Corpora;

/// <summary>All that is wrong with the lines of some files, to report it at once.</summary>
internal sealed class LineErrors
{
    private const int MaxShown = 100;

    private readonly List<string> shown = [];
    private int count;

    /// <param name="message">With its file and line.</param>
    public void Add(string message)
    {
        if (count++ < MaxShown)
            shown.Add(message);
    }

    /// <summary>What is made of each line that is not empty; a line that fails is noted, and so is a file that cannot be read on.</summary>
    /// <param name="path">A UTF-8 text file.</param>
    /// <param name="take">Given file:line and the line; throws what is wrong with it.</param>
    public IEnumerable<T> Each<T>(string path, Func<string, string, T> take)
    {
        using var lines = TextLines.Read(path).GetEnumerator();
        while (Next(lines))
        {
            var (number, line) = lines.Current;
            if (line.Length > 0 && Taken($"{path}:{number}", line, take) is [var taken])
                yield return taken;
        }
    }

    /// <exception cref="PipelineException">Exit code 2: a line each.</exception>
    public void ThrowIfAny()
    {
        if (count == 0)
            return;
        IEnumerable<string> more = count > MaxShown ? [$"and {count - MaxShown} more errors."] : [];
        throw new PipelineException(string.Join('\n', shown.Concat(more)), PipelineException.ConfigurationError);
    }

    private bool Next(IEnumerator<(int, string)> lines)
    {
        try
        {
            return lines.MoveNext();
        }
        catch (PipelineException e)
        {
            Add(e.Message);
            return false;
        }
    }

    /// <summary>One, or none if it failed.</summary>
    private T[] Taken<T>(string where, string line, Func<string, string, T> take)
    {
        try
        {
            return [take(where, line)];
        }
        catch (PipelineException e)
        {
            Add(e.Message);
            return [];
        }
    }
}
