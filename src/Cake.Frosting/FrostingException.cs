namespace Cake.Frosting;

/// <summary>The build is put together wrongly: a dependency that is no task, a working directory that does not exist.</summary>
public sealed class FrostingException : Exception
{
    public FrostingException(string message)
        : base(message) { }

    public FrostingException(string message, Exception innerException)
        : base(message, innerException) { }
}
