using System.Diagnostics;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using ModelPipeline.Core;

namespace ModelPipeline.Benchmarks;

/// <summary>Kestrel in a process of its own: <c>/file</c> as fast as it goes, <c>/limited</c> at so many bytes a second for each
/// connection. With ranges.</summary>
internal sealed class FileServer : IDisposable
{
    public const string Command = "serve";

    private const int BurstBytes = 1 << 18;

    private readonly Process process;

    private FileServer(Process process, Uri address) => (this.process, Address) = (process, address);

    public Uri Address { get; }

    public static int Run(string path, int bytesPerSecond)
    {
        var content = File.ReadAllBytes(path);
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        var app = builder.Build();
        app.MapGet("/file", () => Results.Bytes(content, enableRangeProcessing: true));
        app.MapGet(
            "/limited",
            (HttpContext context) =>
            {
                context.Response.Body = new LimitedStream(context.Response.Body, bytesPerSecond);
                return Results.Bytes(content, enableRangeProcessing: true);
            }
        );
        app.Start();
        Console.WriteLine(app.Urls.Single());
        // Ends with the process that started it.
        Console.In.ReadToEnd();
        return 0;
    }

    public static FileServer Start(string path, int bytesPerSecond)
    {
        var process = OwnProcess.Start(Command, path, $"{bytesPerSecond}");
        return process.StandardOutput.ReadLine() is { } address
            ? new FileServer(process, new Uri(address))
            : throw new PipelineException("The server did not start; its message stands above.");
    }

    public void Dispose()
    {
        process.StandardInput.Close();
        process.WaitForExit();
        process.Dispose();
    }

    private sealed class LimitedStream(Stream body, int bytesPerSecond) : MemoryStream
    {
        private readonly Stopwatch watch = Stopwatch.StartNew();
        private long sent;

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            for (; buffer.Length > 0; buffer = buffer[Math.Min(BurstBytes, buffer.Length)..])
            {
                var early = TimeSpan.FromSeconds((double)sent / bytesPerSecond) - watch.Elapsed;
                if (early > TimeSpan.Zero)
                    await Task.Delay(early, cancellationToken);
                await body.WriteAsync(buffer[..Math.Min(BurstBytes, buffer.Length)], cancellationToken);
                sent += Math.Min(BurstBytes, buffer.Length);
            }
        }

        public override Task FlushAsync(CancellationToken cancellationToken) => body.FlushAsync(cancellationToken);
    }
}
