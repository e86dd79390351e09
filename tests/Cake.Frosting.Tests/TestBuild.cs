using Cake.Core;
using Microsoft.Extensions.DependencyInjection;
using Spectre.Console;

[assembly: Xunit.v3.Parallelization(Mode = Xunit.Sdk.ParallelMode.None)] // The working directory belongs to the process.

namespace Cake.Frosting.Tests;

/// <summary>What happened in a run, in order. Tasks and lifetimes write to it.</summary>
internal sealed class Journal
{
    public List<string> Entries { get; } = [];
}

internal sealed class TestContext(ICakeContext context, Journal journal) : FrostingContext(context)
{
    public void Note(string entry) => journal.Entries.Add(entry);
}

/// <summary>One build: the real host and engine, with the console kept.</summary>
internal sealed class TestBuild
{
    private readonly Journal _journal = new();
    private readonly TextConsole _console = new();

    public CakeHost Host { get; } = new CakeHost().UseContext<TestContext>();

    public IReadOnlyList<string> Journal => _journal.Entries;

    public string Output => _console.Out.ToString();

    public string Errors => _console.Error.ToString();

    public TestBuild With<TTask>()
        where TTask : class, IFrostingTask
    {
        Host.ConfigureServices(services => services.AddSingleton<IFrostingTask, TTask>());
        return this;
    }

    public int Run(params string[] arguments)
    {
        Host.ConfigureServices(services =>
            services
                .AddSingleton(_journal)
                .AddSingleton<IConsole>(_console)
                .AddSingleton(
                    AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, Out = new AnsiConsoleOutput(_console.Out) })
                )
        );
        return Host.Run(arguments);
    }

    private sealed class TextConsole : IConsole
    {
        public StringWriter Out { get; } = new();

        public StringWriter Error { get; } = new();

        public ConsoleColor ForegroundColor { get; set; }

        public ConsoleColor BackgroundColor { get; set; }

        public bool SupportAnsiEscapeCodes => false;

        public void Write(string format, params object[] arg) => Out.Write(format, arg);

        public void WriteLine(string format, params object[] arg) => Out.WriteLine(format, arg);

        public void WriteError(string format, params object[] arg) => Error.Write(format, arg);

        public void WriteErrorLine(string format, params object[] arg) => Error.WriteLine(format, arg);

        public void ResetColor() { }
    }
}
