using System.Buffers.Binary;
using System.Text;
using CsCheck;
using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Calibration;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Tasks;
using ModelPipeline.Tests.Text;
using ModelPipeline.Text;

namespace ModelPipeline.Tests.Calibration;

public sealed class CalibrationSetTests : IDisposable
{
    private static readonly string[] AllInputs = ["input_ids", "attention_mask", "token_type_ids"];

    private static readonly PairTokenizer Tokenizer = PairTokenizer.Load(
        RepositoryFiles.Sample("tiny-reranker/vocab.txt"),
        lowercase: true
    );

    private static readonly Corpus Sample = SampleCorpus.Loaded;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void The_generator_gives_the_published_numbers_of_splitmix64()
    {
        var random = new SplitMix64(1234567);
        Assert.Equal(
            [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821],
            Enumerable.Range(0, 5).Select(_ => random.Next())
        );
    }

    [Fact]
    public void Bounded_numbers_reach_both_ends_and_nothing_beyond() =>
        Gen.Select(Gen.ULong, Gen.Int[-5, 5], Gen.Int[0, 3])
            .Sample(
                (seed, low, span) =>
                {
                    var random = new SplitMix64(seed);
                    var seen = Enumerable.Range(0, 200).Select(_ => random.Between(low, low + span)).ToHashSet();
                    Assert.Equal(Enumerable.Range(low, span + 1), seen.Order());
                }
            );

    [Fact]
    public void The_choice_of_pairs_is_stable()
    {
        var pairs = CalibrationRows.ChoosePairs(Sample, samples: 108, seed: 42);
        Assert.Equal([new("q056", "p0208"), new("q039", "p0143"), new("q026", "p0008"), new("q024", "p0045")], pairs.Take(4));
        Assert.Equal(new CalibrationPair("q056", "p0062"), pairs[107]);
        Assert.NotEqual(CalibrationRows.ChoosePairs(Sample, 4, seed: 42), CalibrationRows.ChoosePairs(Sample, 4, seed: 43));
    }

    [Fact]
    public void Pairs_are_different_and_spread_evenly_over_queries()
    {
        var pairs = CalibrationRows.ChoosePairs(Sample, samples: 2 * 107 + 5, seed: 7);
        Assert.Equal(pairs.Count, pairs.Distinct().Count());
        Assert.Equal(
            [(2, 102), (3, 5)],
            pairs.CountBy(pair => pair.Query).CountBy(query => query.Value).Select(count => (count.Key, count.Value)).Order()
        );
        Assert.All(pairs, pair => Assert.Contains(pair.Passage, Sample.Queries.Single(query => query.Id == pair.Query).Candidates));
        Assert.Equal(pairs.Take(50), CalibrationRows.ChoosePairs(Sample, samples: 50, seed: 7));
    }

    [Fact]
    public void More_pairs_than_the_corpus_has_are_an_error()
    {
        Assert.Equal(1070, CalibrationRows.ChoosePairs(Sample, 1070, 1).Distinct().Count());
        var error = Assert.Throws<PipelineException>(() => CalibrationRows.ChoosePairs(Sample, 1071, 1));
        Assert.Contains("1071 asked, but corpus 'sample' has 1070 pairs", error.Message);
        Assert.Equal(PipelineException.ConfigurationError, error.ExitCode);
    }

    [Fact]
    public void A_text_sample_is_the_tokenized_pair()
    {
        var set = Create(Model(samples: 3), 64, AllInputs);
        var pair = CalibrationRows.ChoosePairs(Sample, 3, 42)[2];
        var expected = Tokenizer.Encode(
            Sample.Queries.Single(query => query.Id == pair.Query).Text,
            Sample.Passages[pair.Passage],
            64,
            TruncationStrategy.LongestFirst
        );
        Assert.Equal([expected.InputIds, expected.AttentionMask, expected.TokenTypeIds], set.Samples[2]);
    }

    [Fact]
    public void An_embedder_gets_different_passages_alone()
    {
        var set = Create(Model(samples: 50, task: ModelTask.Embed), 96, AllInputs);
        Assert.Equal(50, set.Samples.DistinctBy(rows => string.Join(' ', rows[0])).Count());
        Assert.All(set.Samples, rows => Assert.Equal(new long[96], rows[2]));
    }

    [Fact]
    public void Random_samples_follow_the_recipe_within_vocabulary_and_sequence()
    {
        var set = Create(Model(samples: 300, strategy: CalibrationStrategy.Random), 200, AllInputs);
        Assert.All(
            set.Samples,
            rows =>
            {
                var (ids, mask, types) = (rows[0], rows[1], rows[2]);
                var length = (int)mask.Sum();
                var query = Array.IndexOf(types, 1) - 1;
                Assert.InRange(query, 5, 25);
                Assert.InRange(length, Math.Min(query + 51, 200), 200);
                Assert.All(ids[..query], id => Assert.InRange(id, 100, 5_000));
                Assert.Equal(Tokenizer.SeparatorId, ids[query]);
                Assert.All(ids[(query + 1)..length], id => Assert.InRange(id, 100, Tokenizer.VocabularySize - 1));
                Assert.Equal(Enumerable.Repeat(1L, length), mask[..length]);
                Assert.All(types[..(query + 1)].Concat(types[length..]), type => Assert.Equal(0, type));
                Assert.All(ids[length..], id => Assert.Equal(Tokenizer.PaddingId, id));
            }
        );
        Assert.Contains(set.Samples, rows => rows[1][^1] == 0);
        Assert.Contains(set.Samples, rows => rows[0].Max() > 7_900);
    }

    [Fact]
    public void Files_are_what_numpy_writes_and_the_list_names_them_in_model_order()
    {
        var set = Create(Model(samples: 2), 5, ["attention_mask", "input_ids"]);
        Write(set, "set");

        Assert.Equal(
            "sample_0000/attention_mask.npy sample_0000/input_ids.npy\nsample_0001/attention_mask.npy sample_0001/input_ids.npy\n",
            File.ReadAllText(_folder.File("set/calibration_dataset.txt"))
        );
        var bytes = File.ReadAllBytes(_folder.File("set/sample_0001/input_ids.npy"));
        var header = "{'descr': '<i8', 'fortran_order': False, 'shape': (1, 5), }".PadRight(117) + '\n';
        Assert.Equal([0x93, .. "NUMPY"u8, 1, 0, 118, 0, .. Encoding.ASCII.GetBytes(header)], bytes[..128]);
        Assert.Equal(
            set.Samples[1][1],
            Enumerable.Range(0, 5).Select(i => BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(128 + 8 * i)))
        );
        Assert.Equal(128 + 8 * 5, bytes.Length);
    }

    [Theory]
    [InlineData(CalibrationStrategy.Text)]
    [InlineData(CalibrationStrategy.Random)]
    public void Two_runs_make_the_same_bytes_and_reading_gives_back_what_was_written(CalibrationStrategy strategy)
    {
        var model = Model(samples: 12, strategy: strategy);
        var set = Create(model, 128, AllInputs);
        Write(set, "first");
        Write(Create(model, 128, AllInputs), "second");

        Assert.Equal(37, Contents("first").Count);
        Assert.Equal(Contents("first"), Contents("second"));
        var read = CalibrationSet.Read(_folder.File("first"));
        Assert.Equal(set.Inputs, read.Inputs);
        Assert.Equal(set.Samples.SelectMany(rows => rows), read.Samples.SelectMany(rows => rows));
    }

    [Fact]
    public void A_new_set_replaces_the_old_one_whole_and_progress_reaches_the_end()
    {
        Write(Create(Model(samples: 5), 16, AllInputs), "set");
        var reports = new List<StageProgress>();
        Create(Model(samples: 2), 16, AllInputs).Write(_folder.File("set"), new Recorder(reports), TestContext.Current.CancellationToken);
        Assert.Equal(2, CalibrationSet.Read(_folder.File("set")).Samples.Count);
        Assert.Equal(7, Contents("set").Count);
        Assert.Equal([(1L, 2L), (2L, 2L)], reports.Select(report => (report.Done, report.Total)));
    }

    [Fact]
    public void Cancelling_keeps_the_old_set_and_leaves_nothing_beside_it()
    {
        var set = Create(Model(samples: 5), 16, AllInputs);
        Write(set, "set");
        var before = Contents("set");
        using var cancellation = new CancellationTokenSource();
        var progress = new Recorder(
            [],
            report =>
            {
                if (report.Done == 2)
                    cancellation.Cancel();
            }
        );
        Assert.Throws<OperationCanceledException>(() => set.Write(_folder.File("set"), progress, cancellation.Token));
        Assert.Equal(before, Contents("set"));
        Assert.Equal(["set"], Directory.GetFileSystemEntries(_folder.Path).Select(Path.GetFileName));
    }

    [Theory]
    [InlineData("", "empty")]
    [InlineData("../input_ids.npy\n", ":1: expected paths of .npy files below this folder")]
    [InlineData("/etc/passwd.npy\n", ":1: expected paths of .npy files below this folder")]
    [InlineData("sample_0000/input_ids.npy  sample_0000/attention_mask.npy\n", ":1: expected paths")]
    [InlineData("sample_0000/input_ids.npy\nsample_0001/attention_mask.npy\n", ":2: expected the inputs input_ids")]
    [InlineData("sample_0009/input_ids.npy\n", "sample_0009/input_ids.npy: cannot be read")]
    public void A_list_of_files_that_is_not_ours_is_refused(string list, string expected)
    {
        Write(Create(Model(samples: 2), 16, AllInputs), "set");
        File.WriteAllText(_folder.File("set/calibration_dataset.txt"), list);
        Assert.Contains(expected, Assert.Throws<PipelineException>(() => CalibrationSet.Read(_folder.File("set"))).Message);
    }

    [Fact]
    public void Rows_of_different_lengths_are_refused()
    {
        Write(Create(Model(samples: 2), 16, AllInputs), "set");
        NpyFile.Write(_folder.File("set/sample_0001/attention_mask.npy"), new long[17]);
        Assert.Contains(
            ":2: 1 rows of 17 values among 1 of 16",
            Assert.Throws<PipelineException>(() => CalibrationSet.Read(_folder.File("set"))).Message
        );
    }

    /// <summary>Six texts in runs of four: the second run begins with the last two and is filled up with the first two.</summary>
    [Fact]
    public void A_set_for_batches_has_runs_of_so_many_texts()
    {
        var single = Create(Model(samples: 6), 16, AllInputs);
        var batched = CalibrationSet.Create(
            Model(samples: 6),
            Sample,
            Tokenizer,
            new InputShape(4, 16),
            AllInputs,
            TestContext.Current.CancellationToken
        );
        Assert.Equal((2, 4), (batched.Samples.Count, batched.Batch));
        for (var input = 0; input < AllInputs.Length; input++)
        {
            Assert.Equal(
                new[] { 0, 1, 2, 3, 4, 5, 0, 1 }.SelectMany(text => single.Samples[text][input]),
                batched.Samples.SelectMany(run => run[input])
            );
        }

        Write(batched, "set");
        Assert.Contains(
            "'shape': (4, 16), ",
            System.Text.Encoding.Latin1.GetString(File.ReadAllBytes(_folder.File("set/sample_0001/input_ids.npy")))
        );
        var read = CalibrationSet.Read(_folder.File("set"));
        Assert.Equal(4, read.Batch);
        Assert.Equal(batched.Samples.SelectMany(run => run), read.Samples.SelectMany(run => run));
    }

    private static CalibrationSet Create(ModelSpec model, int sequence, string[] inputs) =>
        CalibrationSet.Create(model, Sample, Tokenizer, new InputShape(1, sequence), inputs, TestContext.Current.CancellationToken);

    private void Write(CalibrationSet set, string folder) =>
        set.Write(_folder.File(folder), cancellation: TestContext.Current.CancellationToken);

    private ModelSpec Model(int samples, CalibrationStrategy strategy = CalibrationStrategy.Text, string task = "rerank")
    {
        var nowhere = new SourceSpec { File = _folder.File("none") };
        return new ModelSpec
        {
            Name = "tiny",
            Version = "1.0.0",
            Task = task,
            Source = nowhere,
            Tokenizer = new TokenizerSpec { Vocab = nowhere },
            Shapes = [new InputShape(1, 128)],
            Calibration = new CalibrationSpec
            {
                Corpus = "sample",
                Samples = samples,
                Strategy = strategy,
            },
            Validation = new ValidationSpec { Corpus = "sample", Device = "simulator" },
            Variants = [],
            Decision = new DecisionSpec { Npu = new Dictionary<string, string>(), Cpu = new Dictionary<string, string>() },
        };
    }

    private SortedDictionary<string, string> Contents(string folder) =>
        new(
            Directory
                .EnumerateFiles(_folder.File(folder), "*", SearchOption.AllDirectories)
                .ToDictionary(
                    path => Path.GetRelativePath(_folder.File(folder), path),
                    path => Convert.ToHexString(File.ReadAllBytes(path))
                ),
            StringComparer.Ordinal
        );

    private sealed class Recorder(List<StageProgress> reports, Action<StageProgress>? then = null) : IProgress<StageProgress>
    {
        public void Report(StageProgress value)
        {
            reports.Add(value);
            then?.Invoke(value);
        }
    }
}
