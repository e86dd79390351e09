using CsCheck;
using ModelPipeline.Core;
using ModelPipeline.Latency;
using ModelPipeline.Manifest;
using ModelPipeline.Planning;

namespace ModelPipeline.Tests.Latency;

/// <summary>The vendor's table of layers, as its own runtime writes it and as nobody should.</summary>
public sealed class LayerTableTests
{
    private static readonly string Text = StandInTable.Of(new(2, 128, 4, 512), 128, RateTable.LogPriors);

    /// <summary>Of the sample model, by the vendor's runtime 1.5.2 without a board.</summary>
    [Theory]
    [InlineData("tiny-fp16-128", 4, 26, 9, 24, 2, 7)]
    [InlineData("tiny-int8-128", 4, 26, 9, 24, 2, 7)]
    public void The_sample_models_table_is_read_to_its_last_operator(
        string name,
        int attention,
        int linear,
        int norm,
        int elementwise,
        int gather,
        int host
    )
    {
        var table = LayerTable.Parse(File.ReadAllText(RepositoryFiles.Fixture($"rknn/{name}.layers.txt")));
        Assert.Equal([attention, linear, norm, elementwise, gather, host], Counts(table));
        Assert.Equal(0, table.Unread);
    }

    /// <summary>Of the flagship's shape, which is too large to come with the project.</summary>
    [Theory]
    [InlineData("perf-detail-l12-fp16-512-of-7", 224, 12, 98, 25, 80, 2, 7)]
    [InlineData("perf-detail-l12-int8-128", 253, 12, 95, 25, 112, 2, 7)]
    public void The_flagships_table_is_read_to_its_last_operator(
        string name,
        int all,
        int attention,
        int linear,
        int norm,
        int elementwise,
        int gather,
        int host
    )
    {
        var path = Path.GetFullPath(Path.Combine(RepositoryFiles.Root, $"../shared/fixtures/rknn/{name}.txt"));
        Assert.SkipUnless(File.Exists(path), $"{path} is not there");

        var table = LayerTable.Parse(File.ReadAllText(path));

        Assert.Equal((all, 0), (table.Layers.Count, table.Unread));
        Assert.Equal([attention, linear, norm, elementwise, gather, host], Counts(table));
        var tokens = name.Contains("512", StringComparison.Ordinal) ? 512 : 128;
        var operators = OperatorProfile.Of([table], emulated: true).Operators;
        Assert.Equal(
            new OperatorWork(OperatorClass.Attention, 12, tokens, 32) { Count = 12 },
            Assert.Single(operators, each => each.Class == OperatorClass.Attention).Work
        );
        Assert.Equal(
            new OperatorWork(OperatorClass.Linear, tokens, 384, 384) { Count = 36 },
            operators.First(each => each.Type == "Conv" && each.Count == 36).Work
        );
        Assert.Equal(
            new OperatorWork(OperatorClass.Linear, tokens, 384, 1536) { Count = 12, Gelu = true },
            Assert.Single(operators, each => each.Type == "ConvExGelu").Work
        );
        Assert.Equal(
            25 * tokens * 384L,
            operators.Where(each => each.Class == OperatorClass.Norm).Sum(each => each.Count * (long)each.Work!.Outputs)
        );
        Assert.All(
            operators.Where(each => each.Type is "Reshape" or "Split" or "Transpose" or "exDataConvert"),
            each => Assert.Null(each.Work)
        );
        Assert.Equal(
            new OperatorWork(OperatorClass.Gather, tokens, 1, 384) { Count = 2 },
            Assert.Single(operators, each => each.Class == OperatorClass.Gather).Work
        );
    }

    /// <summary>Later runtimes name their columns otherwise and put the time elsewhere.</summary>
    [Fact]
    public void Columns_may_stand_in_another_order()
    {
        var table = LayerTable.Parse(
            """
            ------------------------------------------------
                       Network Layer Information Table
            ------------------------------------------------
            ID   OpType   DataType Target InputShape OutputShape Cycles(DDR/NPU/Total) Time(us) MacUsage(%) WorkLoad(0/1/2) RW(KB) FullName
            ------------------------------------------------
            1    InputOperator INT64 CPU \ (1,128) 0/0/0 5 0.0%/0.0%/0.0% 1 InputOperator:ids
            2    exNorm   FLOAT16  NPU    (1,384,1,128),(1,384,1,1) (1,384,1,128) 5847/0/5847 96.5 \ 100.0%/0.0%/0.0% 99 exNorm:n
            Total Operator Elapsed Time(us): 101
            """
        );
        Assert.Equal([5, 96.5], table.Layers.Select(layer => layer.Microseconds));
        Assert.Equal(new OperatorWork(OperatorClass.Norm, 128, 1, 384), table.Layers[1].Work());
    }

    /// <summary>Rows of the vendor's runtime: queries by keys and probabilities by values where attention is not fused, a product that was
    /// cut, one column, an image's kernel, layout, and what no estimate knows.</summary>
    [Theory]
    [InlineData("exMatMul FLOAT16 NPU (4,32,1,128),(4,32,1,128),(1,1,1,1) (4,128,1,128)", OperatorClass.Linear, 512, 32, 128, true)]
    [InlineData("exMatMul FLOAT16 NPU (4,128,1,32),(4,128,1,128) (4,32,1,128)", OperatorClass.Linear, 512, 128, 32, true)]
    [InlineData("Conv FLOAT16 NPU (1,512,1,512),(384,512,1,1) (1,384,1,512)", OperatorClass.Linear, 512, 512, 384)]
    [InlineData("Conv INT8 NPU (1,384,1,128),(1,384,1,1),(1) (1,1,1,128)", OperatorClass.Linear, 128, 384, 1)]
    [InlineData("exSDPAttention INT8 NPU (48,32,1,64),(48,32,1,64) (48,32,1,64)", OperatorClass.Attention, 48, 64, 32)]
    [InlineData("exSoftmax13 FLOAT16 NPU (4,128,1,64),(1,128,1,1) (4,128,1,64)", OperatorClass.Elementwise, 256, 1, 128)]
    [InlineData("Gather INT8 CPU (30522,384),(1,128) (1,128,384)", OperatorClass.Gather, 128, 1, 384)]
    [InlineData("Conv FLOAT16 NPU (1,3,224,224),(32,3,3,3),(32) (1,32,112,112)", OperatorClass.Linear)]
    [InlineData("exMatMul FLOAT16 NPU (4,32,1,128),(2,32,1,128) (4,128,1,128)", OperatorClass.Linear)]
    [InlineData("Split FLOAT16 NPU (1,1536,1,8) (1,512,1,8),(1,512,1,8),(1,512,1,8)", OperatorClass.Elementwise)]
    [InlineData("Sub INT32 NPU (1,1,1,1),(1,128,1,1) (1,128,1,1)", OperatorClass.Elementwise)]
    [InlineData("Add FLOAT16 CPU (1,8),(1,8) (1,8)", OperatorClass.Host)]
    [InlineData("OutputOperator FLOAT16 CPU (1,1) \\", OperatorClass.Host)]
    public void Shapes_tell_an_operators_work(
        string layer,
        OperatorClass expected,
        long rows = 0,
        long inner = 0,
        long columns = 0,
        bool isDynamic = false
    )
    {
        var read = Assert.Single(LayerTable.Parse($"ID OpType DataType Target InputShape OutputShape Time(us)\n1 {layer} 3").Layers);
        Assert.Equal(expected, read.Class);
        Assert.Equal(rows == 0 ? null : new OperatorWork(expected, rows, inner, columns) { Dynamic = isDynamic }, read.Work());
    }

    [Theory]
    [InlineData("", "has no column 'ID': ''")]
    [InlineData("simulated, no layers: 12 us", "has no column 'ID': 'simulated, no layers: 12 us'")]
    [InlineData(
        "ID OpType DataType Target InputShape OutputShape FullName\n1 Add INT8 NPU (1) (1) x",
        "has no column 'Time(us)': 'ID OpType "
    )]
    [InlineData("ID OpType DataType Target InputShape OutputShape Time(us)", "has no line that can be read: 'ID OpType ")]
    [InlineData(
        "ID OpType DataType Target InputShape OutputShape Time(us)\n1 Add INT8 NPU (1) (1) 1,5",
        "can be read: '1 Add INT8 NPU (1) (1) 1,5'"
    )]
    public void What_is_no_table_is_named_in_one_sentence(string text, string expected)
    {
        var error = Assert.Throws<PipelineException>(() => LayerTable.Parse(text));
        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }

    [Theory]
    [InlineData("(1,128)", true)]
    [InlineData("\\", true)]
    [InlineData("(4),(2147483647)", true)]
    [InlineData("(2147483648)", false)]
    [InlineData("(2147483647,2147483647)", false)]
    [InlineData("(0,4)", false)]
    [InlineData("(-1,4)", false)]
    [InlineData("(1,,2)", false)]
    [InlineData("()", false)]
    [InlineData("(", false)]
    [InlineData("(1,2", false)]
    [InlineData("128", false)]
    public void A_line_with_a_shape_that_cannot_be_is_left_out_and_counted(string shape, bool isRead)
    {
        var table = LayerTable.Parse(
            "ID OpType DataType Target InputShape OutputShape Time(us)\n"
                + $"1 Add FLOAT16 NPU (1,2) (1,2) 3\n2 Add FLOAT16 NPU {shape} {shape} 4\n"
                + "3 Add FLOAT16 NPU (1,2) (1,2) 99999999999999999999"
        );
        Assert.Equal((isRead ? 2 : 1, isRead ? 1 : 2), (table.Layers.Count, table.Unread));
    }

    /// <summary>Cut anywhere, and with any part of it changed: rows, or the product's own exception.</summary>
    [Fact]
    public void A_damaged_table_gives_rows_or_one_sentence() =>
        Gen.Select(Gen.Int[0, Text.Length], Gen.Select(Gen.Int[0, Text.Length - 1], Gen.Char[' ', '~']).Array[0, 40])
            .Sample(
                (length, changes) =>
                {
                    var damaged = Text.ToCharArray();
                    foreach (var (place, value) in changes)
                        damaged[place] = value;
                    Reads(new string(damaged, 0, length));
                },
                iter: 2000
            );

    [Fact]
    public void Any_words_under_the_header_give_rows_or_one_sentence()
    {
        string[] known =
        [
            .. "1 exSDPAttention Conv exNorm Gather FLOAT16 INT8 NPU CPU \\ (1,2,3,4) (1) (9,9,9,9,9) 1e309 NaN -1 0".Split(' '),
        ];
        var word = Gen.OneOf(
            Gen.Int[0, known.Length - 1].Select(index => known[index]),
            Gen.String[Gen.Char["(),0123456789\t\0\u00E9\u0663 "], 0, 12]
        );
        word.Array[0, 40]
            .Sample(
                words =>
                    Reads(
                        "ID OpType DataType Target InputShape OutputShape Time(us)\n1 "
                            + string.Join(' ', words).Replace(" 1 ", "\n1 ", StringComparison.Ordinal)
                    ),
                iter: 2000
            );
    }

    /// <summary>And what was read goes all the way.</summary>
    private static void Reads(string text)
    {
        LayerTable table;
        try
        {
            table = LayerTable.Parse(text);
        }
        catch (PipelineException)
        {
            return;
        }
        var profile = OperatorProfile.Of([table], emulated: false);
        Assert.Equal(table.Layers.Count, profile.Operators.Sum(each => each.Count));
        Assert.Equal(1, profile.Classes.Sum(each => each.Share) + (profile.Ms == 0 ? 1 : 0), 1e-9);
        Assert.All(
            profile.Rows(OperatorProfileTests.Run),
            row =>
                Assert.True(row.Ms > 0 && row.Work.All(work => work is { Rows: > 0, Inner: > 0, Columns: > 0, Count: > 0 }), row.ToString())
        );
    }

    private static IEnumerable<int> Counts(LayerTable table) =>
        Enum.GetValues<OperatorClass>().Select(each => table.Layers.Count(layer => layer.Class == each));
}
