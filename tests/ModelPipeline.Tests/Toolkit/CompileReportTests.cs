using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Toolkit;

namespace ModelPipeline.Tests.Toolkit;

public class CompileReportTests
{
    [Theory]
    [InlineData("tiny-int8-verbose.log", 72, 103_067, 3_258, 281.375, 4855.75, "INT8")]
    [InlineData("tiny-fp16-verbose.log", 72, 204_953, 6_437, 553.312, 5637.12, "FLOAT16")]
    public void A_real_log_gives_layers_cycles_traffic_and_memory(
        string log,
        int layers,
        long cycles,
        long traffic,
        double internalKb,
        double weightKb,
        string type
    )
    {
        var report = CompileReport.Parse(Recordings.Text(log));

        Assert.True(report.Complete);
        Assert.Equal("2.3.2", report.Compiler);
        Assert.Equal((layers, cycles, traffic), (report.Layers.Count, report.Cycles, report.TrafficKb));
        Assert.Equal((internalKb, weightKb), (report.InternalKb, report.WeightKb));
        Assert.Equal(["Cast", "Gather", "InputOperator", "OutputOperator", "Reshape"], report.CpuOperators);
        var attention = Assert.Single(report.Layers, layer => layer.Id == 21);
        Assert.Equal(
            ("exSDPAttention", type, "NPU", "exSDPAttention:/layer.0/attention/self/MatMul_1_2sdpa"),
            (attention.Operator, attention.Type, attention.Target, attention.Name)
        );
        Assert.Equal((4, 0), (report.FusedAttentions, report.OpenAttentions));
        Assert.All(report.Layers, layer => Assert.Equal(layer.Cycles, Math.Max(layer.DdrCycles, layer.NpuCycles)));
    }

    [Theory]
    [InlineData("exSDPAttention:/layer", "exSDPAttention:/layer", GateResult.Passed, "4 of 4 attentions are fused")]
    [InlineData(
        "exSDPAttention ",
        "exSoftmax13    ",
        GateResult.Failed,
        "0 of 4 attentions are fused, all were to be; prepare.json says what its rewrites found"
    )]
    [InlineData("Network Layer", "Nothing", GateResult.NotMeasured, "the toolkit's log has no table of layers")]
    public void Attention_that_is_not_fused_breaks_its_gate(string from, string to, GateResult result, string statement)
    {
        var log = Recordings.Text("tiny-int8-verbose.log").Replace(from, to);
        var outcome = Assert.Single(CompileSummary.Of(CompileReport.Parse(log)).Judge(new CompileLimits { FusesAllAttention = true }));
        Assert.Equal((Metric.CompileFusedAttention, result), (outcome.Metric, outcome.Result));
        Assert.EndsWith(statement, outcome.Statement);
    }

    [Fact]
    public void Memory_tables_tell_where_every_weight_lies()
    {
        var report = CompileReport.Parse(Recordings.Text("tiny-int8-verbose.log"));

        var table = Assert.Single(report.Constants, tensor => tensor.Name == "bert.embeddings.word_embeddings.weight");
        Assert.Equal(
            (7, "Gather", "INT8", null, "(8000,128)", 0L, 0x3e8000L),
            (table.Layer, table.Operator, table.Type, table.Format, table.Shape, table.Start, table.Size)
        );
        Assert.Contains(
            report.Features,
            tensor =>
                tensor
                    is { Name: "/embeddings/word_embeddings/Gather_output_0_exSecondary", Format: "NC1HWC2", Size: 0x4000, Start: 0x8c00 }
        );
        Assert.Equal((121, 98), (report.Features.Count, report.Constants.Count));
        Assert.InRange(report.WeightKb!.Value - report.Constants.Max(tensor => tensor.Start + tensor.Size) / 1024.0, 0, 4);
    }

    [Fact]
    public void A_log_cut_anywhere_gives_the_rows_before_the_cut_and_nothing_else()
    {
        var log = Recordings.Text("tiny-int8-verbose.log");
        var whole = CompileReport.Parse(log);
        var begin = log.IndexOf("Network Layer Information Table", StringComparison.Ordinal);

        for (var cut = begin; cut < log.Length; cut += 389)
        {
            var part = CompileReport.Parse(log[..cut]);
            Assert.Equal(whole.Layers.Take(part.Layers.Count), part.Layers);
            Assert.Equal(whole.Features.Take(part.Features.Count), part.Features);
            Assert.Equal(whole.Constants.Take(part.Constants.Count), part.Constants);
            Assert.True(part.WeightKb is null || part.WeightKb == whole.WeightKb);
            Assert.Equal(part.WeightKb is not null, part.Complete);
        }
    }

    [Fact]
    public void A_log_without_a_report_gives_an_empty_one()
    {
        var report = CompileReport.Parse(Recordings.Text("failures.log"));

        Assert.Equal((false, 0, null, null), (report.Complete, report.Layers.Count, report.InternalKb, report.Compiler));
    }

    [Fact]
    public void Of_a_bar_drawn_over_itself_the_last_drawing_counts_and_colours_go()
    {
        Assert.Equal(
            ["I Loading : 100%|##| 73/73", "E build: bad"],
            ToolkitLog.Lines("\rI Loading :   0%|  | 0/73\rI Loading : 100%|##| 73/73\n\e[1;31mE\e[0m \e[1;31mbuild: bad\e[0m\ncut off")
        );
    }
}
