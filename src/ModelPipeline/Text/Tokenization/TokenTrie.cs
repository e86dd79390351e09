namespace ModelPipeline.Text.Tokenization;

/// <summary>A prefix tree over UTF-16 units, in one open-addressed table of edges. Immutable.</summary>
internal sealed class TokenTrie
{
    public const int Root = 0;

    private readonly ulong[] _edges;
    private readonly int[] _targets;
    private readonly int[] _values;
    private readonly int _shift;

    /// <param name="tokens">Non-empty; of equal ones the first counts. Values are at least 0.</param>
    public TokenTrie(IEnumerable<(string Token, int Value)> tokens)
    {
        var edges = new Dictionary<ulong, int>();
        List<int> values = [-1];
        foreach (var (token, value) in tokens)
        {
            var node = Root;
            foreach (var c in token)
            {
                if (!edges.TryGetValue(Edge(node, c), out var target))
                {
                    edges.Add(Edge(node, c), target = values.Count);
                    values.Add(-1);
                }
                node = target;
            }
            if (values[node] < 0)
                values[node] = value;
        }
        _values = [.. values];
        var bits = 64 - System.Numerics.BitOperations.LeadingZeroCount((ulong)edges.Count * 2 + 1);
        (_edges, _targets, _shift) = (new ulong[1 << bits], new int[1 << bits], 64 - bits);
        foreach (var (edge, target) in edges)
        {
            var slot = Slot(edge);
            while (_edges[slot] != 0)
                slot = (slot + 1) & (_edges.Length - 1);
            (_edges[slot], _targets[slot]) = (edge, target);
        }
    }

    /// <summary>The node behind <paramref name="node"/> by <paramref name="c"/>; -1 if there is none.</summary>
    public int Step(int node, char c)
    {
        var edge = Edge(node, c);
        for (var slot = Slot(edge); _edges[slot] != 0; slot = (slot + 1) & (_edges.Length - 1))
        {
            if (_edges[slot] == edge)
                return _targets[slot];
        }
        return -1;
    }

    /// <summary>Of the token that ends at <paramref name="node"/>; -1 if none does.</summary>
    public int Value(int node) => _values[node];

    /// <summary>Never 0, which marks a free slot.</summary>
    private static ulong Edge(int node, char c) => ((ulong)(uint)(node + 1) << 16) | c;

    /// <summary>Fibonacci hashing (Knuth, volume 3, section 6.4).</summary>
    private int Slot(ulong edge) => (int)((edge * 0x9E3779B97F4A7C15) >> _shift);
}
