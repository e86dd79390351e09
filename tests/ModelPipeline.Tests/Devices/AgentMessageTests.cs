using System.Text.Json;
using CsCheck;
using ModelPipeline.Core;
using ModelPipeline.Devices;
using ModelPipeline.Npu;

namespace ModelPipeline.Tests.Devices;

/// <summary>What a board answers is not trusted.</summary>
public class AgentMessageTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    [Fact]
    public void Any_bytes_are_a_result_or_none() =>
        Gen
            .Byte.Array[0, 80]
            .Sample(
                bytes =>
                {
                    if (RunMessages.Result(bytes, 4) is var (index, run))
                        Assert.Equal(bytes.Length, 20 + run.Outputs.Sum(output => 4 + (output.Length * 4)) + (index >= 4 ? -1 : 0));
                },
                iter: 20_000
            );

    [Fact]
    public void A_result_of_huge_counts_is_none()
    {
        byte[] result = [0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 128, 63];
        Assert.Equal(1f, RunMessages.Result(result, 1)!.Value.Run.Outputs[0][0]);

        foreach (var at in new[] { 3, 15, 19, 23 })
        {
            var wild = result.ToArray();
            wild[at] = 0xFF;
            Assert.Null(RunMessages.Result(wild, 1));
        }
        Assert.Null(RunMessages.Result(result.AsSpan(..^1), 1));
        Assert.Null(RunMessages.Result([.. result, 0], 1));
    }

    [Fact]
    public void Any_stream_ends_in_messages_an_error_or_a_lost_link() =>
        Gen.Byte[0, 12]
            .Array[0, 64]
            .Sample(
                bytes =>
                {
                    using var channel = new AgentChannel("board", new MemoryStream(bytes), Stream.Null);
                    Assert.True(Received(channel) is PipelineException or LinkLostException);
                },
                iter: 500
            );

    [Fact]
    public void No_text_of_a_device_moves_the_terminal() =>
        Gen.String.Sample(
            text =>
            {
                var reply = JsonSerializer.Deserialize(
                    $$"""{"status":6,"message":{{JsonSerializer.Serialize("\u001b[2J\u009b\u202e" + text)}}}""",
                    AgentJson.Default.AgentFailure
                )!;
                Assert.DoesNotContain(reply.Message, c => char.IsControl(c) && c is not ('\n' or '\t'));
                Assert.StartsWith("\uFFFD[2J\uFFFD\uFFFD", reply.Message);
            },
            iter: 500
        );

    /// <summary>How a stream ends.</summary>
    private static Exception Received(AgentChannel channel)
    {
        try
        {
            while (true)
                _ = channel.ReceiveAsync(Limit, TestContext.Current.CancellationToken).GetAwaiter().GetResult();
        }
        catch (Exception e)
        {
            return e;
        }
    }

    [Fact]
    public void A_batch_fits_into_one_message_whatever_the_rows()
    {
        ReadOnlyMemory<long>[] row = [new long[200_000], new long[200_000], new long[200_000]];
        var rows = Enumerable.Repeat(row, 10).ToList();

        var count = RunMessages.BatchSize(rows, 0);

        Assert.InRange(count, 1, 9);
        Assert.InRange(RunMessages.Request([NpuCores.Auto], rows[..count]).Length, 1, AgentChannel.MaxMessage - 1);
    }
}
