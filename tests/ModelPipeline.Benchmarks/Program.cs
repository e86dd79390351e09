using System.Globalization;
using ModelPipeline.Benchmarks;
using ModelPipeline.Core;

// dotnet run -c Release --project tests/ModelPipeline.Benchmarks -- cpu | cpu-steps | npu | device [--model=FILE] [--vocab=FILE]
// [--corpus=FOLDER] [--queries=N] [--sequence=N]; npu of a reranker also with --reference=FOLDER, for scores that others recorded
// dotnet run -c Release --project tests/ModelPipeline.Benchmarks -- toolkit | plan | intervals
// dotnet run -c Release --project tests/ModelPipeline.Benchmarks -- same-bytes [--model=FILE] [--vocab=FILE] [--sequence=N]
// dotnet run -c Release --project tests/ModelPipeline.Benchmarks -- quantizer --reference=FOLDER
// dotnet run -c Release --project tests/ModelPipeline.Benchmarks -- families --reference=FOLDER
// dotnet run -c Release --project tests/ModelPipeline.Benchmarks -- download [--megabytes=N]
// dotnet run -c Release --project tests/ModelPipeline.Benchmarks -- tokenizers --reference=FOLDER [--texts=N] [--seed=N]
Dictionary<string, Func<Arguments, IEnumerable<Row>>> benchmarks = new()
{
    ["cpu"] = CpuInt8.Run,
    ["cpu-steps"] = CpuSteps.Run,
    ["npu"] = NpuEmulated.Run,
    ["toolkit"] = ToolkitAgreement.Run,
    ["device"] = DeviceOverhead.Run,
    ["quantizer"] = ReferenceModels.Run,
    ["download"] = Downloads.Run,
    ["tokenizers"] = TokenizerAgreement.Run,
    ["families"] = FamilyModels.Run,
    ["plan"] = PlanChoice.Run,
    ["same-bytes"] = SameBytes.Run,
    ["intervals"] = IntervalSpeed.Run,
};
try
{
    if (args is [CpuQuantizationProcess.Command, var from, var to])
        return CpuQuantizationProcess.Run(from, to);
    if (args is [FileServer.Command, var path, var bytesPerSecond])
        return FileServer.Run(path, int.Parse(bytesPerSecond, CultureInfo.InvariantCulture));
    if (args.Length == 0 || !benchmarks.TryGetValue(args[0], out var run))
        throw new PipelineException($"Name a benchmark first: {string.Join(", ", benchmarks.Keys)}.");
    List<Row> rows = [];
    foreach (var row in run(Arguments.Parse(args[1..])))
    {
        rows.Add(row);
        Console.Error.WriteLine($"{row.What}: {row.Value}"); // some take long
    }
    Console.WriteLine($"Machine: {Machine.Describe()}\n");
    Table.Print(rows, Console.Out);
    return 0;
}
catch (PipelineException e)
{
    Console.Error.WriteLine(e.Message);
    return 1;
}
