using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;

namespace ModelPipeline.Devices;

/// <summary>Host keys of one host from files in the format of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT". Certificate authorities are not
/// used.</summary>
internal sealed record KnownHosts(IReadOnlyList<KnownHosts.Key> Keys)
{
    /// <param name="Type">As in the file, such as ssh-ed25519.</param>
    /// <param name="Blob">The public key.</param>
    /// <param name="Revoked">Never to be accepted.</param>
    internal sealed record Key(string Type, byte[] Blob, bool Revoked);

    /// <summary>The keys of this host and port in files that exist; lines that cannot be read are skipped, as OpenSSH does.</summary>
    public static KnownHosts Of(string host, int port, IEnumerable<string> files)
    {
        var name = port == 22 ? host.ToLowerInvariant() : $"[{host.ToLowerInvariant()}]:{port}";
        return new KnownHosts([.. files.Where(File.Exists).SelectMany(File.ReadLines).Select(line => Parse(line, name)).OfType<Key>()]);
    }

    /// <summary>SHA256:... as ssh-keygen -l prints it.</summary>
    public static string Fingerprint(byte[] key) => "SHA256:" + Convert.ToBase64String(SHA256.HashData(key)).TrimEnd('=');

    /// <summary>Whether this is one of the host's keys, and not a revoked one.</summary>
    public bool Accept(byte[] key) =>
        Keys.Any(known => known.Blob.AsSpan().SequenceEqual(key))
        && !Keys.Any(known => known.Revoked && known.Blob.AsSpan().SequenceEqual(key));

    private static Key? Parse(string line, string name)
    {
        var fields = line.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
        var marker = fields is [var first, ..] && first.StartsWith('@') ? first : "";
        if (marker.Length > 0)
            fields = fields[1..];
        if (fields.Length < 3 || line.StartsWith('#') || marker is not ("" or "@revoked") || !Matches(fields[0], name))
            return null;
        var blob = new byte[fields[2].Length];
        return Convert.TryFromBase64String(fields[2], blob, out var length) ? new Key(fields[1], blob[..length], marker.Length > 0) : null;
    }

    private static bool Matches(string patterns, string name)
    {
        if (patterns.StartsWith("|1|", StringComparison.Ordinal))
            return MatchesHash(patterns.Split('|'), name);
        var list = patterns.Split(',');
        return list.Any(pattern => MatchesPattern(pattern, name))
            && !list.Any(pattern => pattern.StartsWith('!') && MatchesPattern(pattern[1..], name));
    }

    private static bool MatchesHash(string[] fields, string name)
    {
        try
        {
            // SHA-1 is what the format has; it hides names here and protects nothing.
#pragma warning disable CA5350
            return fields.Length == 4
                && HMACSHA1
                    .HashData(Convert.FromBase64String(fields[2]), Encoding.UTF8.GetBytes(name))
                    .AsSpan()
                    .SequenceEqual(Convert.FromBase64String(fields[3]));
#pragma warning restore CA5350
        }
        catch (FormatException)
        {
            return false;
        }
    }

    private static bool MatchesPattern(string pattern, string name) =>
        Regex.IsMatch(
            name,
            "^"
                + Regex
                    .Escape(pattern.ToLowerInvariant())
                    .Replace("\\*", ".*", StringComparison.Ordinal)
                    .Replace("\\?", ".", StringComparison.Ordinal)
                + "$",
            RegexOptions.NonBacktracking
        );
}
