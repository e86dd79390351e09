using System.Diagnostics;
using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;

namespace ModelPipeline.Benchmarks;

/// <summary>Downloads from Kestrel on loopback, sha256 included, against <c>curl</c>, which hashes nothing. Both write to the same
/// folder.</summary>
internal static class Downloads
{
    private const int LimitedBytesPerSecond = 50_000_000;

    public static IEnumerable<Row> Run(Arguments arguments)
    {
        var folder = Directory.CreateTempSubdirectory("modelpipeline-");
        try
        {
            return Measure(folder.FullName, arguments.Megabytes);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static List<Row> Measure(string folder, int megabytes)
    {
        var (served, taken, cache) = (Path.Combine(folder, "served"), Path.Combine(folder, "taken"), Path.Combine(folder, "cache"));
        var content = new byte[megabytes * 1_000_000];
        new Random(1).NextBytes(content);
        File.WriteAllBytes(served, content);
        var sha256 = FileDigest.Of(served).Sha256;
        using var server = FileServer.Start(served, LimitedBytesPerSecond);

        var one = Pair("/file", 1, rounds: 11);
        var limited = Pair("/limited", 4, rounds: 3);
        return
        [
            new("curl", megabytes * 1e3 / one.FirstMilliseconds, "MB/s"),
            new("one stream, with sha256", megabytes * 1e3 / one.SecondMilliseconds, "MB/s"),
            new("one stream to curl", 1 / one.Ratio, "x", ">= 0.90"),
            new("curl, each stream limited", megabytes * 1e3 / limited.FirstMilliseconds, "MB/s"),
            new("four streams, each limited", megabytes * 1e3 / limited.SecondMilliseconds, "MB/s"),
            new("four streams to curl", 1 / limited.Ratio, "x", "> 1"),
        ];

        PairedRuns Pair(string path, int streams, int rounds) => PairedRuns.Measure(_ => Curl(path), _ => Fetch(path, streams), rounds);

        void Curl(string path)
        {
            File.Delete(taken);
            // Not CliWrap: what it does would be timed too.
            using var curl = Process.Start("curl", ["--silent", "--fail", "--output", taken, new Uri(server.Address, path).AbsoluteUri]);
            curl.WaitForExit();
            if (curl.ExitCode != 0)
                throw new PipelineException($"curl failed with exit code {curl.ExitCode}.");
        }

        void Fetch(string path, int streams)
        {
            if (Directory.Exists(cache))
                Directory.Delete(cache, recursive: true);
            using var fetcher = new SourceFetcher(new SourceSettings { Cache = cache, Streams = streams });
            fetcher.FetchAsync(new SourceSpec { Url = new Uri(server.Address, path), Sha256 = sha256 }).GetAwaiter().GetResult();
        }
    }
}
