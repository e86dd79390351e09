using System.Text.Json;
using CsCheck;
using ModelPipeline.Core;

namespace ModelPipeline.Tests.Core;

public sealed class StageRecordTests : IDisposable
{
    private const string Key = "0123";
    private readonly string _folder = Directory.CreateTempSubdirectory("stage-").FullName;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private string RecordPath => Path.Combine(_folder, "calibrate" + StageRecord.Extension);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_stage_is_reused_while_its_key_and_outputs_are_the_same()
    {
        var written = StageRecord.Write(RecordPath, Key, [Output("sub/b.npy", "bb"), Output("a.npy", "a")], Cancellation);
        var reused = StageRecord.TryReuse(RecordPath, Key, Cancellation);
        Assert.NotNull(reused);
        Assert.Equal(["a.npy", "sub/b.npy"], reused.Outputs.Keys);
        Assert.Equal(written.Outputs, reused.Outputs);
        Assert.Null(StageRecord.TryReuse(RecordPath, "4567", Cancellation));
    }

    [Fact]
    public void A_changed_missing_truncated_or_longer_output_is_not_reused()
    {
        Action<string>[] spoil =
        [
            path => File.WriteAllText(path, "abcdX"),
            File.Delete,
            path => File.WriteAllText(path, "abcd"),
            path => File.AppendAllText(path, "f"),
            path =>
            {
                File.Delete(path);
                Directory.CreateDirectory(path);
            },
        ];
        foreach (var (action, i) in spoil.Select((action, i) => (action, i)))
        {
            var output = Output($"{i}/model.onnx", "abcde");
            StageRecord.Write(RecordPath, Key, [output], Cancellation);
            Assert.NotNull(StageRecord.TryReuse(RecordPath, Key, Cancellation));
            action(output);
            Assert.Null(StageRecord.TryReuse(RecordPath, Key, Cancellation));
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{\"key\": \"0123\"}")]
    [InlineData("{\"key\": \"0123\", \"outputs\": null}")]
    [InlineData("{\"key\": \"0123\", \"outputs\": {\"a\": null}}")]
    [InlineData("{\"key\": \"0123\", \"outputs\": {\"a\": {\"size\": -1, \"sha256\": null}}}")]
    [InlineData("{\"key\": \"0123\", \"outputs\": {\"a\\u0000b\": {\"size\": 1, \"sha256\": \"00\"}}}")]
    [InlineData("{\"key\": \"0123\", \"outputs\": {\"\": {\"size\": 1, \"sha256\": \"00\"}}}")]
    [InlineData("{\"key\": 1, \"outputs\": {}}")]
    public void A_record_that_is_not_one_is_not_reused(string content)
    {
        File.WriteAllText(RecordPath, content);
        Assert.Null(StageRecord.TryReuse(RecordPath, Key, Cancellation));
    }

    [Fact]
    public void Random_bytes_and_cut_records_are_not_reused_and_never_throw()
    {
        StageRecord.Write(RecordPath, Key, [Output("a.npy", "a")], Cancellation);
        var whole = File.ReadAllBytes(RecordPath);
        for (var length = 0; length < whole.Length; length++)
        {
            File.WriteAllBytes(RecordPath, whole[..length]);
            Assert.Null(StageRecord.TryReuse(RecordPath, Key, Cancellation));
        }
        Gen.Byte.Array[0, 200]
            .Sample(
                bytes =>
                {
                    File.WriteAllBytes(RecordPath, bytes);
                    Assert.Null(StageRecord.TryReuse(RecordPath, Key, Cancellation));
                },
                iter: 200,
                threads: 1
            );
    }

    [Fact]
    public void No_record_and_a_folder_in_its_place_are_not_reused()
    {
        Assert.Null(StageRecord.TryReuse(RecordPath, Key, Cancellation));
        Directory.CreateDirectory(RecordPath);
        Assert.Null(StageRecord.TryReuse(RecordPath, Key, Cancellation));
    }

    [Fact]
    public void A_record_never_reaches_outside_its_folder()
    {
        var outside = Output("outside.txt", "secret");
        var digest = FileDigest.Of(outside, Cancellation);
        var record = Path.Combine(_folder, "inner", "x" + StageRecord.Extension);
        Directory.CreateDirectory(Path.GetDirectoryName(record)!);
        foreach (var name in new[] { "../outside.txt", outside })
        {
            File.WriteAllText(
                record,
                JsonSerializer.Serialize(
                    new
                    {
                        key = Key,
                        outputs = new Dictionary<string, object> { [name] = new { size = digest.Size, sha256 = digest.Sha256 } },
                    }
                )
            );
            Assert.Null(StageRecord.TryReuse(record, Key, Cancellation));
        }
        Assert.Throws<ArgumentException>(() => StageRecord.Write(record, Key, [outside], Cancellation));
    }

    [Fact]
    public void The_key_changes_with_stage_version_settings_and_inputs_and_with_nothing_else()
    {
        var inputs = new Dictionary<string, string> { ["model"] = "aa", ["vocab"] = "bb" };
        var key = StageRecord.KeyOf("quantize", 1, new { samples = 100, seed = 42 }, inputs);
        string[] others =
        [
            StageRecord.KeyOf("calibrate", 1, new { samples = 100, seed = 42 }, inputs),
            StageRecord.KeyOf("quantize", 2, new { samples = 100, seed = 42 }, inputs),
            StageRecord.KeyOf("quantize", 1, new { samples = 101, seed = 42 }, inputs),
            StageRecord.KeyOf("quantize", 1, null, inputs),
            StageRecord.KeyOf(
                "quantize",
                1,
                new { samples = 100, seed = 42 },
                new Dictionary<string, string> { ["model"] = "bb", ["vocab"] = "aa" }
            ),
            StageRecord.KeyOf("quantize", 1, new { samples = 100, seed = 42 }, new Dictionary<string, string> { ["model"] = "aa" }),
        ];
        Assert.Equal(others.Length + 1, others.Append(key).Distinct().Count());
        Assert.Equal(
            key,
            StageRecord.KeyOf(
                "quantize",
                1,
                new { seed = 42, samples = 100 },
                new Dictionary<string, string> { ["vocab"] = "bb", ["model"] = "aa" }
            )
        );
        Assert.Matches("^[0-9a-f]{64}$", key);
    }

    [Fact]
    public void A_digest_is_that_of_the_whole_file()
    {
        // Two blocks and a bit, so that block borders count.
        var bytes = new byte[(2 << 20) + 3];
        new Random(1).NextBytes(bytes);
        var path = Path.Combine(_folder, "large");
        File.WriteAllBytes(path, bytes);
        Assert.Equal(
            new(bytes.Length, Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(bytes))),
            FileDigest.Of(path, Cancellation)
        );
        Assert.Throws<OperationCanceledException>(() => FileDigest.Of(path, new(canceled: true)));
    }

    private string Output(string name, string content)
    {
        var path = Path.Combine(_folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, content);
        return path;
    }
}
