using ModelPipeline.Toolkit;

namespace ModelPipeline.Tests.Toolkit;

public class ToolkitFailureTests
{
    [Theory]
    [InlineData("dyn", "load_onnx", "The input shape ['batch_size', 'sequence_length'] of 'input_ids' is not support!", "declare 'shapes'")]
    [InlineData("badtarget", "config", "Invalid target_platform 'rk9999'!", "Set 'target'")]
    [InlineData("nofile", "load_onnx", "Model file nope.onnx not exists!", "Run Prepare again")]
    [InlineData("garbage", "load_onnx", "Error parsing message", "no ONNX model")]
    [InlineData(
        "dq",
        "build",
        "The DynamicQuantizeLinear('/embeddings/LayerNorm/LayerNormalization_output_0_QuantizeLinear') will cause",
        "Start from the fp32 ONNX"
    )]
    public void The_exceptions_of_real_failures_become_one_sentence_and_a_hint(string recording, string stage, string sentence, string hint)
    {
        var failure = ToolkitFailure.Of(stage, Exception(Recordings.Failure(recording)), Recordings.Failure(recording));

        Assert.StartsWith(sentence, failure.Reason);
        Assert.DoesNotContain("\n", failure.Reason);
        Assert.DoesNotContain("File \"", failure.Reason);
        Assert.DoesNotContain('\e', failure.Reason);
        Assert.Contains(hint, failure.Hint);
    }

    [Fact]
    public void A_return_code_is_explained_by_the_log()
    {
        var failure = ToolkitFailure.Of("build", "returned -1", Recordings.Failure("badds"));

        Assert.Equal(("Dataset file nope.txt not found!", true), (failure.Reason, failure.Hint?.Contains("Calibrate again")));
        Assert.Equal(
            "model.onnx: rknn-toolkit2 failed in build: Dataset file nope.txt not found! Calibrate again: the calibration set is missing; "
                + "delete its folder if only a part of it is there. Its whole log is x.log",
            failure.Text("model.onnx", "x.log")
        );
    }

    [Fact]
    public void Error_lines_of_a_successful_build_explain_nothing()
    {
        Assert.Equal("returned -1", ToolkitFailure.Of("build", "returned -1", Recordings.Text("tiny-int8-verbose.log")).Reason);
    }

    [Theory]
    [InlineData("ended by signal 9 (Killed)", "want of memory")]
    [InlineData("ModuleNotFoundError: No module named 'pkg_resources'", "setuptools<80")]
    [InlineData("OSError: [Errno 28] No space left on device", "Free some disk space")]
    public void Deaths_and_known_sentences_have_a_hint(string message, string hint) =>
        Assert.Contains(hint, ToolkitFailure.Of("build", message, "").Hint);

    /// <summary>The text of the exception as it reached the caller; the log shows it once more, coloured.</summary>
    private static string Exception(string log)
    {
        var begin = log.IndexOf("Traceback (most recent call last):", StringComparison.Ordinal);
        return log[begin..log.IndexOf("\e[0m", begin, StringComparison.Ordinal)];
    }
}
