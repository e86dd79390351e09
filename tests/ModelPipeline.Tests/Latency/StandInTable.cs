using System.Globalization;
using ModelPipeline.Manifest;
using ModelPipeline.Planning;

namespace ModelPipeline.Tests.Latency;

/// <summary>The table of layers of an encoder in fp16 as the vendor's runtime writes it, from a board whose operators take what a table of
/// rates says.</summary>
internal static class StandInTable
{
    private static readonly int[] Widths = [5, 17, 9, 7, 45, 23, 15, 15, 15, 15, 15, 39, 15, 15, 15];

    public static string Of(EncoderShape encoder, int tokens, double[] logRates)
    {
        var (hidden, wide, heads) = (encoder.Hidden, encoder.Intermediate, encoder.Heads);
        string narrow = $"(1,{hidden},1,{tokens})",
            head = $"({heads},{hidden / heads},1,{tokens})";
        List<string> lines =
        [
            Line([
                "ID",
                "OpType",
                "DataType",
                "Target",
                "InputShape",
                "OutputShape",
                "DDR Cycles",
                "NPU Cycles",
                "Total Cycles",
                "Time(us)",
                "MacUsage(%)",
                "WorkLoad(0/1/2)-ImproveTherical",
                "Task Number",
                "Lut Number",
                "RW(KB)",
                "FullName",
            ]),
        ];
        Layer("InputOperator", "CPU", "\\", $"(1,{tokens})", null);
        Layer("Gather", "CPU", $"(30522,{hidden}),(1,{tokens})", $"(1,{tokens},{hidden})", new(OperatorClass.Gather, tokens, 1, hidden));
        Layer("Add", "NPU", $"{narrow},{narrow}", narrow, new(OperatorClass.Elementwise, tokens, 1, hidden));
        for (var layer = 0; layer < encoder.Layers; layer++)
        {
            for (var product = 0; product < 3; product++)
                Product("Conv", hidden, hidden, "");
            for (var part = 0; part < 3; part++)
                Layer("Reshape", "NPU", $"{narrow},(4)", head, null);
            Layer(
                "exSDPAttention",
                "NPU",
                $"{head},{head},{head},(1,{tokens},1,1)",
                head,
                new(OperatorClass.Attention, heads, tokens, hidden / heads)
            );
            Product("ConvAdd", hidden, hidden, "," + narrow);
            Norm();
            Product("ConvExGelu", hidden, wide, "");
            Product("ConvAdd", wide, hidden, "," + narrow);
            Norm();
        }
        Layer("OutputOperator", "CPU", "(1,1)", "\\", null);
        lines.Add("Total Operator Elapsed Time(us): 1\nTotal Memory RW Amount(MB): 0\n");
        return string.Join('\n', lines);

        void Product(string type, int inner, int outputs, string rest) =>
            Layer(
                type,
                "NPU",
                $"(1,{inner},1,{tokens}),({outputs},{inner},1,1),({outputs}){rest}",
                $"(1,{outputs},1,{tokens})",
                new(OperatorClass.Linear, tokens, inner, outputs) { Gelu = type == "ConvExGelu" }
            );

        void Norm() => Layer("exNorm", "NPU", $"{narrow},(1,{hidden},1,1)", narrow, new(OperatorClass.Norm, tokens, 1, hidden));

        // What is nothing to estimates takes 3 microseconds.
        void Layer(string type, string target, string inputs, string outputs, OperatorWork? work)
        {
            var time = work is null ? 3 : Math.Round(1000 * new OperatorTime(logRates).Of([work], new("rk3588", Precision.Fp16)));
            var id = lines.Count.ToString(CultureInfo.InvariantCulture);
            var took = time.ToString(CultureInfo.InvariantCulture);
            var load = "100.0%/0.0%/0.0% - Up:0.0%";
            lines.Add(
                Line([id, type, "FLOAT16", target, inputs, outputs, "0", "0", "0", took, "\\", load, "1", "0", "0.00", $"{type}:/{id}"])
            );
        }
    }

    /// <summary>A value that fills its column moves the others.</summary>
    private static string Line(string[] values) =>
        string.Concat(values.Take(Widths.Length).Select((value, column) => value.PadRight(Math.Max(Widths[column], value.Length + 1))))
        + values[^1];
}
