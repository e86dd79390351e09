namespace ModelPipeline.Onnx.Checking;

/// <summary>A formal input or output: the types it may have, and the variable that ties it to the others.</summary>
/// <param name="Variable">Formals of one variable have one type.</param>
/// <param name="Types">What the variable may be.</param>
internal sealed record Formal(string Variable, IReadOnlySet<ElementType> Types, bool Optional, bool Variadic);

/// <summary>What one version of an operator takes and gives.</summary>
/// <param name="Since">First version of its domain's operator set that it holds for.</param>
internal sealed record OperatorSignature(
    string Domain,
    string Name,
    int Since,
    IReadOnlyList<Formal> Inputs,
    IReadOnlyList<Formal> Outputs,
    ShapeRule Shape
)
{
    private static readonly Dictionary<string, ElementType[]> TypeSets = new()
    {
        ["float"] = [ElementType.Float, ElementType.Float16, ElementType.Double, ElementType.BFloat16],
        ["f32"] = [ElementType.Float],
        ["num"] =
        [
            ElementType.Float,
            ElementType.Float16,
            ElementType.Double,
            ElementType.BFloat16,
            ElementType.Int8,
            ElementType.Int16,
            ElementType.Int32,
            ElementType.Int64,
            ElementType.UInt8,
            ElementType.UInt16,
            ElementType.UInt32,
            ElementType.UInt64,
        ],
        ["any"] = [.. Enum.GetValues<ElementType>().Where(type => type.Size() > 0)],
        ["index"] = [ElementType.Int32, ElementType.Int64],
        ["i64"] = [ElementType.Int64],
        ["i32"] = [ElementType.Int32],
        ["byte"] = [ElementType.Int8, ElementType.UInt8],
        ["u8"] = [ElementType.UInt8],
        ["q"] = [ElementType.Int8, ElementType.UInt8, ElementType.Int16, ElementType.UInt16],
        ["dq"] = [ElementType.Int8, ElementType.UInt8, ElementType.Int16, ElementType.UInt16, ElementType.Int32],
        ["f32|i32"] = [ElementType.Float, ElementType.Int32],
        ["float|i32"] = [ElementType.Float, ElementType.Float16, ElementType.BFloat16, ElementType.Int32],
        ["bool"] = [ElementType.Bool],
    };

    /// <summary>
    /// Reads a line such as <c>Gather 1: T:any I:index -> T | gather</c>: name, version, formals, shape rule. <c>?</c> marks an optional
    /// formal,
    /// <c>*</c> a repeated one; a variable's set stands at its first place; a lone set is a variable of its own.
    /// </summary>
    public static OperatorSignature Parse(string domain, string line)
    {
        var (head, types, rule) = (
            line[..line.IndexOf(':')].Split(' '),
            line[(line.IndexOf(':') + 1)..line.LastIndexOf('|')],
            line[(line.LastIndexOf('|') + 1)..].Trim()
        );
        var sets = new Dictionary<string, IReadOnlySet<ElementType>>();
        var sides = types
            .Split("->")
            .Select(side => side.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select((text, index) => Formal(text)).ToList())
            .ToList();
        return new OperatorSignature(domain, head[0], int.Parse(head[1]), sides[0], sides[1], ShapeRules.Named(rule));

        Formal Formal(string text)
        {
            var name = text.TrimEnd('?', '*');
            var (variable, set) = name.Split(':') is [var tied, var declared] ? (tied, declared) : (name, name);
            if (!sets.TryGetValue(variable, out var members))
                sets[variable] = members = TypeSets[set].ToHashSet();
            return new Formal(variable, members, text.EndsWith('?') || text.EndsWith('*'), text.EndsWith('*'));
        }
    }
}
