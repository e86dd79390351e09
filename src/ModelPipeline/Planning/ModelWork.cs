using ModelPipeline.Core;

namespace ModelPipeline.Planning;

/// <summary>What a model has to do at each shape, and how large it is: from its graph, or from config.json alone.</summary>
/// <param name="Sizes">Elements of its parts.</param>
/// <param name="Narrow">Operators at [1, <see cref="NarrowTokens"/>].</param>
/// <param name="Wide">The same operators at [1, <see cref="WideTokens"/>]: each size grows with the length or not at all.</param>
public sealed record ModelWork(ModelSizes Sizes, IReadOnlyList<OperatorWork> Narrow, IReadOnlyList<OperatorWork> Wide)
{
    public const int NarrowTokens = 32,
        WideTokens = 64;

    public static ModelWork Of(EncoderShape encoder) =>
        new(
            new(
                (double)(encoder.Vocabulary + encoder.Positions) * encoder.Hidden,
                encoder.LayerParameters,
                encoder.Intermediate > ModelSizes.CutLength ? (double)encoder.Layers * encoder.Intermediate * encoder.Hidden : 0,
                encoder.Layers * encoder.Heads,
                Math.Max(encoder.Intermediate, encoder.Hidden)
            ),
            encoder.At(new(1, NarrowTokens)),
            encoder.At(new(1, WideTokens))
        );

    /// <summary>One run. Rows of a batch are done together and share the read of the weights.</summary>
    public IReadOnlyList<OperatorWork> At(InputShape shape) =>
        [
            .. Narrow.Zip(
                Wide,
                (narrow, wide) =>
                    narrow with
                    {
                        Rows = At(narrow.Rows, wide.Rows, shape.Sequence) * (narrow.Class == OperatorClass.Host ? 1 : shape.Batch),
                        Inner = At(narrow.Inner, wide.Inner, shape.Sequence),
                        Columns = At(narrow.Columns, wide.Columns, shape.Sequence),
                    }
            ),
        ];

    private static long At(long narrow, long wide, int tokens) =>
        narrow + ((wide - narrow) * (tokens - NarrowTokens) / (WideTokens - NarrowTokens));
}

/// <summary>
/// How large a model is, and from that how large its .rknn file and its memory: fits toolkit 2.5.0's files of a 12-layer model (fp16 69.2
/// MB for one shape, 86.0 for two, 105.7 for three, 177.6 for seven; int8 36.4 and 39.4) within 3 %, and what the compiler and the vendor's
/// runtime say of its memory.
/// </summary>
/// <param name="Tables">Elements of what is gathered from.</param>
/// <param name="Matrices">Elements of all matrices.</param>
/// <param name="LongMatrices">Of these, of those whose rows are longer than <see cref="CutLength"/>: fp16 files have them again for each
/// shape, cut in another way.</param>
/// <param name="Heads">Attention heads of all layers.</param>
/// <param name="WidestRow">Elements of the widest activation's row.</param>
public sealed record ModelSizes(double Tables, double Matrices, double LongMatrices, int Heads, double WidestRow)
{
    public const int CutLength = 512;
    private const double Header = 0.4e6;
    private const double CommandsAHead = 21e3;
    private const double InternalARow = 4.2;

    /// <summary>MB of one file for some shapes.</summary>
    public double FileMb(int bytes, int shapes) =>
        ((bytes * (Tables + Matrices)) + Header + (CommandsAHead * Heads * shapes) + (bytes > 1 ? bytes * LongMatrices * (shapes - 1) : 0))
        / 1e6;

    /// <summary>MB on disk: one file for all shapes, or a file a shape.</summary>
    public double DiskMb(int bytes, int shapes, bool oneFile) => oneFile ? FileMb(bytes, shapes) : shapes * FileMb(bytes, 1);

    /// <summary>MB in memory: the weights once, and for each context the activations of each shape.</summary>
    /// <param name="bytes">Of an element.</param>
    /// <param name="rows">Of each shape: batch times tokens.</param>
    /// <param name="contexts">At least one.</param>
    /// <param name="oneFile">As above.</param>
    public double MemoryMb(int bytes, IReadOnlyList<int> rows, int contexts, bool oneFile) =>
        DiskMb(bytes, rows.Count, oneFile) + (contexts * rows.Sum() * InternalARow * bytes * WidestRow / 1e6);
}
