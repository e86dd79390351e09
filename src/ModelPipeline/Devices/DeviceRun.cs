using ModelPipeline.Core;

namespace ModelPipeline.Devices;

/// <summary>One passage through the model.</summary>
/// <param name="Outputs">One array an output, row-major.</param>
/// <param name="Time">Of the run alone, as the runtime measured it; passages of a batch have that of their run.</param>
public sealed record PassageRun(float[][] Outputs, TimeSpan Time);

/// <summary>Passages that ran under one plan.</summary>
/// <param name="Passages">In the order in which they were given.</param>
/// <param name="Elapsed">From the first run's start to the last one's end on the device; the sum where they went in several
/// messages.</param>
public sealed record DeviceRun(IReadOnlyList<PassageRun> Passages, TimeSpan Elapsed)
{
    /// <summary>Passages a run.</summary>
    public int Batch { get; init; } = 1;

    /// <summary>Time of each run, in their order.</summary>
    public IEnumerable<TimeSpan> Runs => Passages.Where((_, index) => index % Batch == 0).Select(passage => passage.Time);

    /// <summary>Runs of a batch each, as the passages that they were.</summary>
    /// <param name="batch">Passages a run, by which each output's first axis is divided.</param>
    /// <param name="passages">Without those that filled up the last run.</param>
    /// <exception cref="PipelineException">An output has not equally many numbers for each passage.</exception>
    internal DeviceRun Divided(int batch, int passages) =>
        batch == 1
            ? this
            : new DeviceRun(
                [
                    .. Passages
                        .SelectMany(run => Enumerable.Range(0, batch).Select(row => run with { Outputs = Row(run.Outputs, batch, row) }))
                        .Take(passages),
                ],
                Elapsed
            )
            {
                Batch = batch,
            };

    private static float[][] Row(float[][] outputs, int batch, int row) =>
        [
            .. outputs.Select(output =>
                output.Length % batch == 0
                    ? output[(row * output.Length / batch)..((row + 1) * output.Length / batch)]
                    : throw new PipelineException(
                        $"a run of {batch} passages gave an output of {output.Length} numbers, which are not equally many for each: the "
                            + $"model's first axis is no batch; export it with dynamic axes, or declare shapes of batch 1"
                    )
            ),
        ];
}
