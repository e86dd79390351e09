namespace ModelPipeline.Devices;

/// <summary>One passage through the model.</summary>
/// <param name="Outputs">One array an output, row-major.</param>
/// <param name="Time">Of the run alone, as the runtime measured it.</param>
public sealed record PassageRun(float[][] Outputs, TimeSpan Time);

/// <summary>Passages that ran under one plan.</summary>
/// <param name="Passages">In the order in which they were given.</param>
/// <param name="Elapsed">From the first run's start to the last one's end on the device; the sum where they went in several
/// batches.</param>
public sealed record DeviceRun(IReadOnlyList<PassageRun> Passages, TimeSpan Elapsed);
