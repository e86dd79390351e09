namespace ModelPipeline.Core;

/// <summary>
/// A failure that its reader can mend: the message names the file, line or key, what was expected and how to fix it.
/// It reaches the user without a stack trace.
/// </summary>
/// <param name="message">One complete statement of what is wrong and what to do.</param>
/// <param name="exitCode">Process exit code: 1 a failed stage or gate, 2 wrong configuration or command line.</param>
/// <param name="inner">The cause, shown only with <c>--verbosity=diagnostic</c>.</param>
public class PipelineException(string message, int exitCode = 1, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>Exit code for errors in models.yaml, the environment or the command line.</summary>
    public const int ConfigurationError = 2;

    public int ExitCode { get; } = exitCode;
}
