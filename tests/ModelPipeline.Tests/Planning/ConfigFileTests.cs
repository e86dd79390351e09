using ModelPipeline.Core;
using ModelPipeline.Planning;

namespace ModelPipeline.Tests.Planning;

/// <summary>config.json alone.</summary>
public sealed class ConfigFileTests
{
    private const string Bert =
        """{"model_type": "bert", "architectures": ["BertForSequenceClassification"], "num_hidden_layers": 12, "hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536, "vocab_size": 30522, "max_position_embeddings": 512}""";

    [Fact]
    public void Sizes_and_risks_are_read()
    {
        var config = Read(Bert);
        Assert.Equal(new EncoderShape(12, 384, 12, 1536) { Vocabulary = 30522, Positions = 512 }, config.Encoder);
        Assert.Contains(config.Risks, risk => risk.Contains("Tanh", StringComparison.Ordinal));
        Assert.Contains(config.Risks, risk => risk.Contains("opset", StringComparison.Ordinal));
        var large = Read(
            Bert.Replace("bert", "xlm-roberta", StringComparison.Ordinal).Replace("30522", "250002", StringComparison.Ordinal)
        );
        Assert.Contains(large.Risks, risk => risk.Contains("int16", StringComparison.Ordinal));
        Assert.Contains(large.Risks, risk => risk.Contains("Positions", StringComparison.Ordinal));
        Assert.Equal(
            6,
            Read(
                """{"model_type": "distilbert", "n_layers": 6, "dim": 768, "n_heads": 12, "hidden_dim": 3072, "vocab_size": 30522}"""
            ).Encoder.Layers
        );
    }

    [Theory]
    [InlineData("{}", "'num_hidden_layers' or 'n_layers' is missing")]
    [InlineData("[1]", "no JSON object")]
    [InlineData("{\"num_hidden_layers\": -1}", "'num_hidden_layers' is no whole number")]
    [InlineData("{\"num_hidden_layers\": 1e9}", "'num_hidden_layers' is no whole number")]
    [InlineData("nonsense", "not the config.json of an encoder")]
    public void What_is_none_is_refused_by_name(string text, string expected)
    {
        var error = Assert.Throws<PipelineException>(() => Read(text));
        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
        Assert.Equal(PipelineException.ConfigurationError, error.ExitCode);
    }

    private static ConfigFile Read(string text)
    {
        using var folder = new TemporaryFolder();
        var path = Path.Combine(folder.Path, "config.json");
        File.WriteAllText(path, text);
        return ConfigFile.Read(path);
    }
}
