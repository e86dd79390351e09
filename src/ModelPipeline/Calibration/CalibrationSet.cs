using System.Globalization;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Text;

namespace ModelPipeline.Calibration;

/// <summary>Model inputs by which a quantizer measures ranges; on disk the layout that rknn-toolkit2 reads.</summary>
/// <param name="Inputs">Names of the model's inputs, in its order.</param>
/// <param name="Samples">For each run one array of token values per input, [<paramref name="Batch"/>, tokens] row-major and all of one
/// length, in the order of <paramref name="Inputs"/>.</param>
/// <param name="Batch">Texts a run.</param>
public sealed record CalibrationSet(IReadOnlyList<string> Inputs, IReadOnlyList<IReadOnlyList<long[]>> Samples, int Batch = 1)
{
    /// <summary>Lists one run a line: its .npy files in model order, separated by spaces, relative to the file's folder.</summary>
    public const string DatasetFile = "calibration_dataset.txt";

    /// <summary>Makes runs of <paramref name="shape"/> as <see cref="ModelSpec.Calibration"/> asks: as many texts as samples are asked for,
    /// and the first ones again where the last run has room.</summary>
    /// <param name="model">Gives samples, seed, strategy, task and truncation.</param>
    /// <param name="corpus">Unused by the random strategy.</param>
    /// <param name="tokenizer">Of the model's vocabulary.</param>
    /// <param name="shape">Of a run.</param>
    /// <param name="inputs">Names of the model's inputs in its order: input_ids, attention_mask, token_type_ids or some of them.</param>
    /// <param name="cancellation">Honoured between samples.</param>
    /// <exception cref="PipelineException">The corpus is too small, an input is of another name, or a text does not fit the truncation
    /// strategy.</exception>
    public static CalibrationSet Create(
        ModelSpec model,
        Corpus corpus,
        PairTokenizer tokenizer,
        InputShape shape,
        IReadOnlyList<string> inputs,
        CancellationToken cancellation = default
    )
    {
        var rows = new List<TokenizedInput>();
        foreach (var row in CalibrationRows.Make(model, corpus, tokenizer, shape.Sequence))
        {
            cancellation.ThrowIfCancellationRequested();
            rows.Add(row);
        }
        for (var again = 0; rows.Count % shape.Batch != 0; again++)
            rows.Add(rows[again]);
        return Of(inputs, rows, shape.Batch);
    }

    /// <summary>Rows in runs of <paramref name="batch"/>; the last one is filled up.</summary>
    internal static CalibrationSet Of(IReadOnlyList<string> inputs, IReadOnlyList<TokenizedInput> rows, int batch) =>
        new(
            inputs,
            [.. TokenizedInput.Batches(rows, batch).Select(run => (IReadOnlyList<long[]>)[.. inputs.Select(input => run[input])])],
            batch
        );

    /// <summary>Puts the set in the place of <paramref name="folder"/>, whole or not at all: sample_0000/input_ids.npy and so on, int64
    /// [<see cref="Batch"/>, S], and <see cref="DatasetFile"/>.</summary>
    public void Write(string folder, IProgress<StageProgress>? progress = null, CancellationToken cancellation = default) =>
        AtomicFile.WriteFolder(
            folder,
            temporary =>
            {
                var lines = new List<string>();
                foreach (var (index, rows) in Samples.Index())
                {
                    cancellation.ThrowIfCancellationRequested();
                    var sample = $"sample_{index.ToString("D4", CultureInfo.InvariantCulture)}";
                    Directory.CreateDirectory(Path.Combine(temporary, sample));
                    foreach (var (input, row) in Inputs.Zip(rows))
                        NpyFile.Write(Path.Combine(temporary, sample, input + ".npy"), row, Batch);
                    lines.Add(string.Join(' ', Inputs.Select(input => $"{sample}/{input}.npy")));
                    progress?.Report(new StageProgress("Writing calibration samples", index + 1, Samples.Count));
                }
                File.WriteAllText(Path.Combine(temporary, DatasetFile), string.Concat(lines.Select(line => line + '\n')));
            }
        );

    /// <summary>Reads a set from disk, checking every name, header and length before it is trusted.</summary>
    /// <exception cref="PipelineException">The first file that is not as <see cref="Write"/> makes it.</exception>
    public static CalibrationSet Read(string folder)
    {
        var dataset = Path.Combine(folder, DatasetFile);
        IReadOnlyList<string>? inputs = null;
        var samples = new List<IReadOnlyList<long[]>>();
        var batch = 0;
        foreach (var (number, line) in TextLines.Read(dataset))
        {
            var files = line.Split(' ');
            if (
                files.Any(file =>
                    Path.IsPathRooted(file)
                    || file.Split('/', '\\').Any(part => part is "" or "." or "..")
                    || !file.EndsWith(".npy", StringComparison.Ordinal)
                )
            )
                throw Bad(dataset, number, "expected paths of .npy files below this folder, separated by single spaces");
            string[] names = [.. files.Select(file => Path.GetFileNameWithoutExtension(file))];
            inputs ??= names;
            if (!names.SequenceEqual(inputs))
                throw Bad(dataset, number, $"expected the inputs {string.Join(", ", inputs)} of the line before");
            (long[] Values, int Batch)[] arrays = [.. files.Select(file => NpyFile.Read(Path.Combine(folder, file)))];
            var length = samples is [[var first, ..], ..] ? first.Length : arrays[0].Values.Length;
            batch = samples.Count == 0 ? arrays[0].Batch : batch;
            foreach (var (values, rows) in arrays.Where(array => array.Values.Length != length || array.Batch != batch))
                throw Bad(dataset, number, $"{rows} rows of {values.Length / rows} values among {batch} of {length / batch}");
            samples.Add([.. arrays.Select(array => array.Values)]);
        }
        return inputs is null
            ? throw new PipelineException($"{dataset}: empty; calibrate again.")
            : new CalibrationSet(inputs, samples, batch);
    }

    private static PipelineException Bad(string dataset, int line, string problem) =>
        new($"{dataset}:{line}: {problem}. Delete the calibration folder and calibrate again.");
}
