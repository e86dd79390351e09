using ModelPipeline.Toolkit;

namespace ModelPipeline.Tests.Toolkit;

/// <summary>The toolkit's first step, kept by content: another plan costs the second alone.</summary>
public sealed class FirstStepTests(ConversionFiles files) : IClassFixture<ConversionFiles>, IDisposable
{
    private const string First = ": hybrid_quantization_step1";
    private readonly TemporaryFolder output = new();
    private readonly RecordedToolkit toolkit = new();

    [Fact]
    public async Task Another_plan_of_the_same_model_takes_the_second_step_alone()
    {
        var (one, other, damaged) = (await StepsAsync("head"), await StepsAsync("norms"), Damage());
        var again = await StepsAsync("norms");

        Assert.True(one);
        Assert.False(other);
        Assert.True(again);
        Assert.True(File.Exists(damaged));
        Assert.Single(Directory.GetDirectories(output.File("step1")));

        string Damage()
        {
            var data = Directory.GetFiles(output.File("step1"), "model.data", SearchOption.AllDirectories).Single();
            File.AppendAllText(data, " ");
            return data;
        }
    }

    [Fact]
    public async Task What_decides_about_ranges_makes_another_first_step()
    {
        Assert.True(await StepsAsync("head"));
        Assert.True(await StepsAsync("head", ModelPipeline.Manifest.QuantizationAlgorithm.KlDivergence));

        Assert.Equal(2, Directory.GetDirectories(output.File("step1")).Length);
    }

    [Fact]
    public async Task Builds_that_run_at_once_make_it_once()
    {
        var (made, go) = (0, new TaskCompletionSource());
        var steps = Enumerable.Range(0, 4).Select(_ => GetAsync()).ToArray();
        go.SetResult();

        var folders = (await Task.WhenAll(steps)).Select(step => step.Folder);

        Assert.Single(folders.Distinct());
        Assert.Equal(1, made);

        Task<FirstStep> GetAsync() =>
            FirstStep.GetAsync(
                output.File("at-once"),
                new string('b', 64),
                async folder =>
                {
                    Interlocked.Increment(ref made);
                    await go.Task;
                    await File.WriteAllTextAsync(Path.Combine(folder, "model.data"), "");
                    return ["x"];
                },
                TestContext.Current.CancellationToken
            );
    }

    [Fact]
    public async Task Only_the_latest_are_kept()
    {
        var names = Enumerable.Range(0, 9).Select(index => $"{index}".PadRight(64, 'a')).ToArray();
        foreach (var name in names)
        {
            await FirstStep.GetAsync(
                output.File("kept"),
                name,
                folder =>
                {
                    File.WriteAllText(Path.Combine(folder, "model.data"), name);
                    return Task.FromResult<IReadOnlyList<string>>([name]);
                },
                TestContext.Current.CancellationToken
            );
            await Task.Delay(20, TestContext.Current.CancellationToken);
        }

        Assert.Equal(
            Enumerable.Range(3, 6).Select(index => $"{index}".PadRight(16, 'a')),
            Directory.GetDirectories(output.File("kept")).Select(Path.GetFileName).Order(StringComparer.Ordinal)
        );
    }

    [Fact]
    public async Task A_first_step_that_fails_leaves_nothing()
    {
        await Assert.ThrowsAsync<InvalidOperationException>(() =>
            FirstStep.GetAsync(
                output.File("kept"),
                new string('b', 64),
                _ => throw new InvalidOperationException(),
                TestContext.Current.CancellationToken
            )
        );

        Assert.Empty(Directory.GetFileSystemEntries(output.File("kept")));
    }

    /// <summary>Whether a build took the first step.</summary>
    private async Task<bool> StepsAsync(
        string fp16,
        ModelPipeline.Manifest.QuantizationAlgorithm algorithm = ModelPipeline.Manifest.QuantizationAlgorithm.Normal
    )
    {
        var steps = new Steps();
        var request = files.Request(toolkit, output);
        await ToolkitConversion.RunAsync(
            request with
            {
                Variant = request.Variant with { Fp16 = [fp16], Algorithm = algorithm },
                FirstSteps = output.File("step1"),
            },
            steps,
            TestContext.Current.CancellationToken
        );
        return steps.All.Any(step => step.Activity.EndsWith(First, StringComparison.Ordinal));
    }

    public void Dispose()
    {
        toolkit.Dispose();
        output.Dispose();
    }
}
