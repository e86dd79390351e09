using ModelPipeline.Toolkit;

namespace ModelPipeline.Tests.Toolkit;

public sealed class ToolkitProcessTests
{
    [Fact]
    public async Task Arguments_arrive_as_they_are_and_output_and_exit_code_come_back()
    {
        string[] arguments = ["a b", "", "$HOME", "\"'\\", "x;y"];
        var lines = new List<string>();
        var run = await ToolkitProcess.RunAsync(
            "sh",
            ["-c", "printf '<%s>\\n' \"$@\" \"$EXTRA\"; exit 3", "sh", .. arguments],
            lines.Add,
            new Dictionary<string, string> { ["EXTRA"] = "set" },
            TestContext.Current.CancellationToken
        );

        Assert.Equal(arguments.Append("set").Select(argument => $"<{argument}>"), lines);
        Assert.Equal((3, string.Join('\n', lines)), run);
        Assert.Null(await ToolkitProcess.RunAsync("there-is-no-such-program", [], cancellation: TestContext.Current.CancellationToken));
    }

    [Theory]
    [InlineData("trap 'echo ended; exit 0' INT", true)]
    [InlineData("trap '' INT", false)]
    public async Task A_program_that_is_cancelled_is_interrupted_and_killed_if_it_does_not_care(string trap, bool ends)
    {
        using var cancel = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        var lines = new List<string>();
        // A shell's background job ignores SIGINT, and so would its children: env puts back the default.
        var run = ToolkitProcess.RunAsync(
            "env",
            ["--default-signal=INT", "sh", "-c", $"{trap}; echo ready; while :; do sleep 0.1; done"],
            Take,
            cancellation: cancel.Token
        );

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => run);
        Assert.Equal(ends, lines.Contains("ended"));

        void Take(string line)
        {
            lines.Add(line);
            if (line == "ready")
                cancel.Cancel();
        }
    }
}
