using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json.Nodes;

namespace ModelPipeline.Tests.Publishing;

/// <summary>
/// Octokit's own server of recorded GitHub traffic, from npm as tests/github-fixtures pins it, installed to artifacts once. It answers the
/// recorded requests in the recorded order and no others. Where there is no npm, or nothing to install from, its tests are skipped.
/// </summary>
public sealed class FixturesServer : IAsyncLifetime
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    private Process? _server;
    private Uri? _address;

    /// <summary>Why there is none; null if it runs.</summary>
    public string? Missing { get; private set; }

    public async ValueTask InitializeAsync()
    {
        (var installed, Missing) = await NodePackages.InstallAsync("github-fixtures");
        if (Missing is not null)
            return;
        using var free = new TcpListener(IPAddress.Loopback, 0);
        free.Start();
        var port = ((IPEndPoint)free.LocalEndpoint).Port;
        free.Stop();
        _address = new Uri($"http://localhost:{port}/");
        // Not CliWrap, which gives a program up only by its end: this one is read while it serves.
        _server = Process.Start(
            new ProcessStartInfo(
                "node",
                [Path.Combine(installed, "node_modules", "@octokit", "fixtures-server", "bin", "server.js"), "--port", $"{port}"]
            )
            {
                WorkingDirectory = installed,
                RedirectStandardOutput = true,
            }
        )!;
        using var patience = new CancellationTokenSource(Patience);
        // It says where it listens once it does.
        Assert.Contains($"{port}", await _server.StandardOutput.ReadLineAsync(patience.Token));
    }

    public ValueTask DisposeAsync()
    {
        if (_server is { HasExited: false })
            _server.Kill(entireProcessTree: true);
        _server?.Dispose();
        return ValueTask.CompletedTask;
    }

    /// <summary>Begins a recorded scenario; what it plays lies below the address.</summary>
    public async Task<Uri> PlayAsync(string scenario)
    {
        using var client = new HttpClient { BaseAddress = _address };
        using var answer = await client.PostAsJsonAsync("fixtures", new { scenario }, TestContext.Current.CancellationToken);
        var url = (string)
            (await answer.EnsureSuccessStatusCode().Content.ReadFromJsonAsync<JsonNode>(TestContext.Current.CancellationToken))!["url"]!;
        return new Uri(url + "/");
    }
}
