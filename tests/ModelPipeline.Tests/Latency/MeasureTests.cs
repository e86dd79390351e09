using System.Text.RegularExpressions;
using System.Xml.Linq;
using ModelPipeline.Core;
using ModelPipeline.Decision;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Onnx;
using ModelPipeline.Planning;
using ModelPipeline.Reports;
using ModelPipeline.Stages;
using ModelPipeline.Tests.Stages;
using ModelPipeline.Validation;

namespace ModelPipeline.Tests.Latency;

/// <summary>Measuring on a device: this machine, whose CPU runs what it would run on a board.</summary>
public sealed partial class MeasureTests
{
    private const string Settings = """
            shapes: [[1, 32], [1, 64]]
            latency: { passages: 3, requests: 4, warm_up: 1 }
            variants:
              cpu: { backend: onnx, precision: w8a8, gates: { kendall_tau: { min: 0.5 }, latency_p95_ms: { max: 100000 }, request_p50_ms: { max: 0.000001 } } }
        """;

    private static readonly string Model = RepositoryFiles.Sample("tiny-reranker/model.onnx");

    [Fact]
    public async Task A_device_gives_the_figures_that_gates_on_latency_judge()
    {
        using var sample = new SampleBuild("rerank", Model, Settings, device: "here");
        var latency = await MeasureStage.RunAsync(sample.Build, sample.Stage);

        Assert.Equal(
            [("fp32", "1x32"), ("fp32", "1x64"), ("cpu", "1x32"), ("cpu", "1x64")],
            latency.Reference.Concat(latency.Artifacts).Select(artifact => (artifact.Variant, artifact.Shape))
        );
        Assert.All(
            latency.Reference.Concat(latency.Artifacts),
            artifact =>
            {
                Assert.True(artifact.OnDevice);
                var plan = Assert.Single(artifact.Plans);
                Assert.Equal(("sequence", 12, 4), (plan.Plan, plan.Passage.Figures.Runs, plan.Request.Figures.Runs));
                // A request holds its passages' runs, and the harness besides.
                Assert.All(
                    plan.Request.Microseconds.Zip(plan.Passage.Microseconds.Chunk(3)),
                    request => Assert.True(request.First >= request.Second.Sum() - 3)
                );
            }
        );
        Assert.Equal(
            latency.Artifacts[1].Sequential!.Passage.Figures.P50.Value / latency.Reference[1].Sequential!.Passage.Figures.P50.Value,
            latency.Artifacts[1].RatioToFp32!.Value,
            1e-6
        );

        var judged = ValidateStage.Judge(sample.Build, await ValidateAsync(sample), latency);
        ValidateStage.Write(sample.Build, judged);
        Assert.All(
            judged,
            report =>
            {
                Assert.Equal([GateResult.Passed, GateResult.Passed, GateResult.Failed], report.Gates.Select(gate => gate.Result));
                var artifact = latency.Of("cpu", report.Subject.Shape)!;
                Assert.Equal(artifact.Sequential!.Passage.Figures.P95.Value, report.Figures[Metric.LatencyP95Ms], 1e-6);
                Assert.Equal(artifact.Fastest!.Request.Figures.P50.Value, report.Figures[Metric.RequestP50Ms], 1e-6);
                Assert.Equal(
                    latency.ReferenceAt(report.Subject.Shape)!.Figures[Metric.LatencyP95Ms],
                    report.Reference[Metric.LatencyP95Ms]
                );
                var path = Path.Combine(
                    sample.Build.ValidationFolder(
                        sample.Build.Model.Variants[0],
                        sample.Build.Model.Shapes.Single(shape => shape.ToString() == report.Subject.Shape)
                    ),
                    "validation.json"
                );
                Assert.Equal(report.Gates, ReportJson.Read<ValidationReport>(path).Gates);
            }
        );
    }

    [Fact]
    public async Task What_was_measured_is_kept_until_it_is_to_be_measured_again()
    {
        using var sample = new SampleBuild("rerank", Model, Settings, device: "here");
        var path = Path.Combine(sample.Build.Folder, "latency", MeasureStage.FileName);
        await MeasureStage.RunAsync(sample.Build, sample.Stage);
        var first = await File.ReadAllTextAsync(path, TestContext.Current.CancellationToken);
        Assert.Equal(ReportJson.Text(await MeasureStage.RunAsync(sample.Build, sample.Stage)), first);
        Assert.Equal(first, await File.ReadAllTextAsync(path, TestContext.Current.CancellationToken));

        var model = sample.Build.Model;
        await MeasureStage.RunAsync(sample.Again(model with { Latency = model.Latency with { Again = true } }), sample.Stage);
        Assert.NotEqual(first, await File.ReadAllTextAsync(path, TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task The_page_shows_what_a_device_measured_and_its_charts_are_well_formed()
    {
        using var sample = new SampleBuild("rerank", Model, Settings, device: "here");
        var latency = await MeasureStage.RunAsync(sample.Build, sample.Stage);
        latency = latency with
        {
            Artifacts =
            [
                latency.Artifacts[0] with
                {
                    Doubts = ["the NPU is <hot>"],
                    Operators = OperatorProfileTests.Profile(RateTable.LogPriors, 256).Expecting((_, _) => 1.25),
                },
                .. latency.Artifacts.Skip(1),
            ],
        };
        var judged = ValidateStage.Judge(sample.Build, await ValidateAsync(sample), latency);
        var routings = await RouteStage.RunAsync(sample.Build, judged, latency, sample.Stage);
        var routing = Assert.Single(routings);
        Assert.Equal([latency.Buckets[0].Expected[0]], routing.Expected);
        Assert.Equal(routing.Expected[0].PassageP95Ms, routing.Figures[Metric.LatencyP95Ms], 1e-6);

        var page = HtmlReport.Render(judged, new ReportContext { Latency = new(latency, routings) });
        Assert.Contains("Measured on here (linux-", page);
        Assert.Contains("cpu 1x32: the NPU is &lt;hot&gt;", page);
        Assert.Contains("Served by length", page);
        var operators = page[page.IndexOf("aria-label=\"Operators by class\"", StringComparison.Ordinal)..];
        Assert.Matches(
            @"<td>cpu 1x32</td><td class=""words"">attention</td><td>12</td><td>\d+\.\d\d</td><td>\d+\.\d&thinsp;%</td><td>1\.25</td>"
                + @"<td class=""words"">12 on NPU</td>",
            operators
        );
        Assert.Matches(
            @"<td></td><td class=""words"">linear</td><td>72</td><td>\d+\.\d\d</td><td>\d+\.\d&thinsp;%</td><td>5\.00</td>",
            operators
        );
        Assert.DoesNotContain("emulated", page);
        var emulated = latency with
        {
            Artifacts = [latency.Artifacts[0] with { Operators = latency.Artifacts[0].Operators! with { Emulated = true } }],
        };
        Assert.Contains(
            "<td>cpu 1x32 <span class=\"tag simulated\">emulated, times mean nothing</span></td>",
            HtmlReport.Render(judged, new ReportContext { Latency = new(emulated, routings) })
        );
        var charts = Figures().Matches(page).Select(match => XElement.Parse(match.Value)).ToArray();
        foreach (
            var caption in new[]
            {
                "Passage latency in sequence",
                "Latency of 3 passages",
                "Lengths of 50 passages",
                "cpu: 3 passages expected",
            }
        )
            Assert.Contains(charts, chart => ((string)chart.Element("figcaption")!).StartsWith(caption, StringComparison.Ordinal));
        foreach (var rectangle in charts.Descendants("rect"))
        {
            Assert.InRange((double)rectangle.Attribute("x")! + (double)rectangle.Attribute("width")!, 0, 460);
            Assert.InRange((double)rectangle.Attribute("y")! + (double)rectangle.Attribute("height")!, 0, 320);
        }
        Assert.Null(ProductionDecision.Make(sample.Build.Model, judged, routings).Winner);
    }

    /// <summary>Where no board is, the whole way is gone and nothing is learnt of it.</summary>
    [Theory]
    [InlineData("simulator")]
    [InlineData("loopback")]
    public async Task Operators_of_what_stands_in_for_a_board_are_told_marked_and_forgotten(string device)
    {
        const string Profiled = """
                shapes: [[1, 32]]
                latency: { passages: 3, requests: 4, warm_up: 1, profile: true }
                variants:
                  sim: { backend: simulator, precision: fp16 }
                  cpu: { backend: onnx, precision: w8a8 }
            """;
        using var sample = new SampleBuild("rerank", Model, Profiled, device);

        var latency = await MeasureStage.RunAsync(sample.Build, sample.Stage);

        var profile = latency.Of("sim", "1x32")!.Operators!;
        Assert.Equal((true, 0, "host 100 %"), (profile.Emulated, profile.Unread, profile.Shares));
        Assert.Equal(5, Assert.Single(profile.Classes).Count);
        Assert.Null(latency.Of("cpu", "1x32")!.Operators);
        Assert.Equal(ReportJson.Text(latency), ReportJson.Text(await MeasureStage.RunAsync(sample.Build, sample.Stage)));
        Assert.False(File.Exists(LatencyData.PathFor(sample.Build.Manifest)));
        Assert.DoesNotContain(sample.Warnings, warning => warning.Contains("operators", StringComparison.Ordinal));

        var model = sample.Build.Model;
        var plain = await MeasureStage.RunAsync(
            sample.Again(model with { Latency = model.Latency with { Profile = false } }),
            sample.Stage
        );
        Assert.DoesNotContain("\"operators\"", ReportJson.Text(plain));
    }

    /// <summary>What is emulated, or hides its chip, would spoil the rates.</summary>
    [Theory]
    [InlineData("rockchip,rk3588", 1)]
    [InlineData("linux,dummy-virt", 0)]
    public async Task Boards_of_Rockchips_refine_estimates_and_other_machines_do_not(string chip, int rows)
    {
        using var sample = new SampleBuild(
            "rerank",
            Model,
            """
                shapes: [[1, 32]]
                latency: { passages: 3, requests: 4, warm_up: 1 }
                variants:
                  npu: { backend: simulator, precision: fp16 }
            """
        );
        var report = await MeasureStage.RunAsync(sample.Build, sample.Stage);
        var measured = report.Artifacts[0] with { Backend = Backend.Rknn, OnDevice = true };
        report = report with { Machine = report.Machine with { Soc = ["vendor,board", chip] }, Artifacts = [measured] };
        var source = OnnxModel.Load(Model);
        var work = GraphWork.Of(source);

        Estimates.Learn(sample.Build, report, new Dictionary<AttentionForm, ModelWork> { [AttentionForm.Fused] = work }, sample.Stage);

        var own = Estimates.Of(sample.Build, work).Rows.Where(row => row.Own).ToList();
        Assert.Equal(rows, own.Count);
        Assert.All(own, row => Assert.Equal(measured.Sequential!.Passage.Figures.Mean.Value, row.Ms, 1e-6));
        Assert.Equal(1 - rows, sample.Warnings.Count(warning => warning.Contains("refines no estimate", StringComparison.Ordinal)));
    }

    /// <summary>A table with all that an encoder has comes through; one that the runtime does not keep, or that nobody can read, is a
    /// warning, and what was timed stands.</summary>
    [Theory]
    [InlineData(null, null)]
    [InlineData("", "its table of layers: RKNN_ERR_PARAM_INVALID")]
    [InlineData("?\u001b[2J", "has no column 'ID': '?\uFFFD[2J'")]
    public async Task A_runtimes_table_is_shown_or_warned_of(string? table, string? warning)
    {
        const string Profiled = """
                shapes: [[1, 32]]
                latency: { passages: 3, requests: 4, warm_up: 1, profile: true }
                variants:
                  sim: { backend: simulator, precision: fp16 }
            """;
        using var folder = new TemporaryFolder();
        var layers = table ?? StandInTable.Of(new(4, 128, 4, 512), 32, RateTable.LogPriors);
        OnnxModel.Load(Model).WithMetadata(("rknnrt_sim.layers", layers)).Save(folder.File("model.onnx"));
        using var sample = new SampleBuild("rerank", folder.File("model.onnx"), Profiled, "loopback");

        var measured = Assert.Single((await MeasureStage.RunAsync(sample.Build, sample.Stage)).Artifacts);

        Assert.NotEmpty(measured.Plans);
        if (warning is null)
        {
            Assert.Equal(
                new OperatorWork(OperatorClass.Attention, 4, 32, 32) { Count = 4 },
                Assert.Single(measured.Operators!.Operators, each => each.Class == OperatorClass.Attention).Work
            );
            var attention = measured.Operators.Classes.Single(each => each.Class == OperatorClass.Attention);
            Assert.InRange(attention.ExpectedMs!.Value, 0.01, 0.2);
            return;
        }
        Assert.Null(measured.Operators);
        Assert.Contains(
            warning,
            Assert.Single(
                sample.Warnings,
                each => each.StartsWith("operators of sim at 1x32 on loopback not timed: ", StringComparison.Ordinal)
            ),
            StringComparison.Ordinal
        );
    }

    private static async Task<IReadOnlyList<ValidationReport>> ValidateAsync(SampleBuild sample)
    {
        var reports = new List<ValidationReport>();
        foreach (var (variant, shape) in sample.Build.Artifacts)
            reports.Add(await ValidateStage.RunAsync(sample.Build, variant, shape, sample.Stage));
        return reports;
    }

    [GeneratedRegex("<figure>.*?</figure>", RegexOptions.Singleline)]
    private static partial Regex Figures();
}
