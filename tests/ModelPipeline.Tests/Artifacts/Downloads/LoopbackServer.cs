using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;

namespace ModelPipeline.Tests.Artifacts.Downloads;

/// <summary>A real HTTP server on a free loopback port that answers every request with one delegate and remembers what was asked.</summary>
internal sealed class LoopbackServer : IAsyncDisposable
{
    private readonly WebApplication _app;

    private LoopbackServer(WebApplication app) => _app = app;

    public Uri Address => new(_app.Urls.Single());

    public ConcurrentQueue<(string Method, string Path, string? Authorization)> Requests { get; } = new();

    /// <param name="answer">To every request.</param>
    /// <param name="certificate">Makes it https.</param>
    /// <param name="at">Instead of a free port of 127.0.0.1.</param>
    public static async Task<LoopbackServer> StartAsync(RequestDelegate answer, X509Certificate2? certificate = null, IPEndPoint? at = null)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel =>
            kestrel.Listen(
                at ?? new IPEndPoint(IPAddress.Loopback, 0),
                listen =>
                {
                    listen.Protocols = HttpProtocols.Http1;
                    if (certificate is not null)
                        listen.UseHttps(certificate);
                }
            )
        );
        var server = new LoopbackServer(builder.Build());
        server._app.Run(context =>
        {
            server.Requests.Enqueue((context.Request.Method, context.Request.Path, context.Request.Headers.Authorization));
            return answer(context);
        });
        await server._app.StartAsync(TestContext.Current.CancellationToken);
        return server;
    }

    public Uri At(string path) => new(Address, path);

    /// <summary>Drops all connections and listens no more.</summary>
    public Task StopAsync() => _app.StopAsync(new CancellationToken(canceled: true));

    public ValueTask DisposeAsync() => _app.DisposeAsync();
}
