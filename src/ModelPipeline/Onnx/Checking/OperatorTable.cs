namespace ModelPipeline.Onnx.Checking;

/// <summary>The operators that exports of BERT-like models and the quantizers here use, after the operator schemas of the ONNX
/// specification and of ONNX Runtime.</summary>
internal static class OperatorTable
{
    private const string Standard = """
        Abs 6: T:num -> T | same
        Add 7: T:num T -> T | broadcast
        And 7: bool bool -> bool | broadcast
        ArgMax 1: T:num -> i64 | reduce-one
        Cast 6: T:any -> U:any | same
        Ceil 6: T:float -> T | same
        Clip 6: T:float -> T | same
        Clip 11: T:num T? T? -> T | same
        Concat 4: T:any* -> T | concat
        Constant 1: -> T:any | constant
        ConstantOfShape 9: i64 -> T:any | shape-operand
        Cos 7: T:float -> T | same
        CumSum 11: T:num I:index -> T | same
        DequantizeLinear 10: Q:dq S:f32 Q? -> S | dequantize
        DequantizeLinear 19: Q:dq S:float Q? -> S | dequantize
        Div 7: T:num T -> T | broadcast
        Dropout 7: T:float -> T T? | same
        Dropout 10: T:float -> T bool? | same
        Dropout 12: T:float R:float? bool? -> T bool? | same
        DynamicQuantizeLinear 11: f32 -> u8 S:f32 u8 | dynamic-quantize
        Einsum 12: T:num* -> T | unknown
        Equal 7: T:any T -> bool | broadcast
        Erf 9: T:num -> T | same
        Exp 6: T:float -> T | same
        Expand 8: T:any i64 -> T | expand
        Flatten 1: T:any -> T | flatten
        Floor 6: T:float -> T | same
        Gather 1: T:any I:index -> T | gather
        Gelu 20: T:float -> T | same
        Gemm 7: T:num T T -> T | gemm
        Gemm 11: T:num T T? -> T | gemm
        Greater 7: T:num T -> bool | broadcast
        GreaterOrEqual 12: T:num T -> bool | broadcast
        Identity 1: T:any -> T | same
        IsInf 10: T:float -> bool | same
        IsNaN 9: T:float -> bool | same
        LayerNormalization 17: T:float T T? -> T U:float? U? | layer-norm
        Less 7: T:num T -> bool | broadcast
        LessOrEqual 12: T:num T -> bool | broadcast
        Log 6: T:float -> T | same
        LogSoftmax 1: T:float -> T | same
        MatMul 1: T:num T -> T | matmul
        MatMulInteger 10: A:byte B:byte A? B? -> i32 | matmul-integer
        Max 8: T:num* -> T | broadcast
        Min 8: T:num* -> T | broadcast
        Mod 10: T:num T -> T | broadcast
        Mul 7: T:num T -> T | broadcast
        Neg 6: T:num -> T | same
        NonZero 9: T:any -> i64 | unknown
        Not 1: bool -> bool | same
        Or 7: bool bool -> bool | broadcast
        Pad 11: T:any i64 T? -> T | unknown
        Pad 18: T:any i64 T? I:index? -> T | unknown
        Pow 7: T:num T -> T | broadcast
        Pow 12: T:num U:num -> T | broadcast
        QLinearMatMul 10: A:byte AS:float A B:byte BS:float B CS:float C:byte -> C | qlinear-matmul
        QuantizeLinear 10: F:f32|i32 S:f32 Q:q? -> Q | quantize
        QuantizeLinear 19: F:float|i32 F Q:q? -> Q | quantize
        Range 11: T:num T T -> T | unknown
        Reciprocal 6: T:float -> T | same
        ReduceL2 1: T:num -> T | reduce
        ReduceL2 18: T:num i64? -> T | reduce
        ReduceMax 1: T:num -> T | reduce
        ReduceMax 18: T:num i64? -> T | reduce
        ReduceMean 1: T:num -> T | reduce
        ReduceMean 18: T:num i64? -> T | reduce
        ReduceMin 1: T:num -> T | reduce
        ReduceMin 18: T:num i64? -> T | reduce
        ReduceSum 1: T:num -> T | reduce
        ReduceSum 13: T:num i64? -> T | reduce
        Relu 6: T:num -> T | same
        Reshape 5: T:any i64 -> T | reshape
        Shape 1: T:any -> i64 | shape-of
        Sigmoid 6: T:float -> T | same
        Sign 9: T:num -> T | same
        Sin 7: T:float -> T | same
        Size 1: T:any -> i64 | scalar
        Slice 1: T:any -> T | slice
        Slice 10: T:any I:index I I? I? -> T | slice
        Softmax 1: T:float -> T | same
        Split 2: T:any -> T* | split
        Split 13: T:any i64? -> T* | split
        Sqrt 6: T:float -> T | same
        Squeeze 1: T:any -> T | squeeze
        Squeeze 13: T:any i64? -> T | squeeze
        Sub 7: T:num T -> T | broadcast
        Sum 8: T:num* -> T | broadcast
        Tanh 6: T:float -> T | same
        Tile 6: T:any i64 -> T | tile
        Transpose 1: T:any -> T | transpose
        Trilu 14: T:any i64? -> T | same
        Unsqueeze 1: T:any -> T | unsqueeze
        Unsqueeze 13: T:any i64 -> T | unsqueeze
        Where 9: bool T:any T -> T | broadcast
        Xor 7: bool bool -> bool | broadcast
        """;

    private const string Microsoft = """
        BiasGelu 1: T:float T -> T | same
        DequantizeLinear 1: Q:dq S:float Q? -> S | dequantize
        DynamicQuantizeMatMul 1: T:f32 B:byte T B? T? -> T | matmul-integer
        FastGelu 1: T:float T? -> T | same
        Gelu 1: T:float -> T | same
        MatMulIntegerToFloat 1: A:byte B:byte T:float T A? B? T? -> T | matmul-integer
        QuantizeLinear 1: F:float S:float Q:q? -> Q | quantize
        SkipLayerNormalization 1: T:float T T T? T? -> T U:float? U? T? | same
        """;

    private static readonly ILookup<(string Domain, string Name), OperatorSignature> Signatures = Lines("", Standard)
        .Concat(Lines("com.microsoft", Microsoft))
        .ToLookup(signature => (signature.Domain, signature.Name));

    private static IEnumerable<OperatorSignature> Lines(string domain, string table) =>
        table.Split('\n').Select(line => OperatorSignature.Parse(domain, line));

    /// <summary>The newest signature up to an operator set version; null if there is none.</summary>
    public static OperatorSignature? Find(string domain, string name, long opset) =>
        Signatures[(domain, name)].Where(signature => signature.Since <= opset).MaxBy(signature => signature.Since);
}
