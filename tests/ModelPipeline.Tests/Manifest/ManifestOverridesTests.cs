using ModelPipeline.Core;
using ModelPipeline.Manifest;

namespace ModelPipeline.Tests.Manifest;

public sealed class ManifestOverridesTests
{
    private static Func<string, string?> Values(params (string Name, string Value)[] values) =>
        name => values.Where(value => value.Name == name).Select(value => value.Value).FirstOrDefault();

    [Fact]
    public void The_environment_overrides_the_file()
    {
        var overrides = ManifestOverrides.FromEnvironment(
            Values(
                ("QUANTIZE", "1"),
                ("CALIBRATION_SAMPLES", "7"),
                ("REGENERATE_DATASET", "true"),
                ("FORCE_CONVERT", "1"),
                ("MEASURE_AGAIN", "1")
            )
        );
        Assert.Equal(new ManifestOverrides(true, 7, true, true, true), overrides);
        var model = ManifestFile.Load(ManifestFile.Text, overrides: overrides).Models[0];
        Assert.Equal(7, model.Calibration.Samples);
        Assert.True(model.Calibration.Regenerate);
        Assert.True(model.Latency.Again);
        Assert.All(model.Variants, variant => Assert.True(variant.Force));
    }

    [Fact]
    public void Without_overrides_the_file_has_its_say()
    {
        var overrides = ManifestOverrides.FromEnvironment(Values(("QUANTIZE", ""), ("CALIBRATION_SAMPLES", "")));
        Assert.Equal(new ManifestOverrides(), overrides);
        var model = ManifestFile.Load(ManifestFile.Text, overrides: overrides).Models[0];
        Assert.Equal(100, model.Calibration.Samples);
        Assert.False(model.Calibration.Regenerate);
        Assert.All(model.Variants, variant => Assert.False(variant.Force));
    }

    [Fact]
    public void The_command_line_overrides_the_environment_where_it_speaks()
    {
        var environment = ManifestOverrides.FromEnvironment(
            Values(("QUANTIZE", "1"), ("CALIBRATION_SAMPLES", "7"), ("FORCE_CONVERT", "1"), ("MEASURE_AGAIN", "1"))
        );
        var arguments = ManifestOverrides.FromArguments(Values(("quantize", "0"), ("regenerate-dataset", ""), ("force-convert", "false")));
        Assert.Equal(new ManifestOverrides(false, 7, true, false, true), arguments.Over(environment));
    }

    [Theory]
    [InlineData("QUANTIZE", "2", "QUANTIZE: '2' is not 0, 1, true or false")]
    [InlineData("FORCE_CONVERT", "yes", "FORCE_CONVERT: 'yes' is not 0, 1, true or false")]
    [InlineData("REGENERATE_DATASET", " 1", "REGENERATE_DATASET: ' 1' is not 0, 1, true or false")]
    [InlineData("CALIBRATION_SAMPLES", "many", "CALIBRATION_SAMPLES: 'many' is not a whole number from 1 to 100000")]
    [InlineData("CALIBRATION_SAMPLES", "0", "CALIBRATION_SAMPLES: '0' is not a whole number from 1 to 100000")]
    [InlineData("CALIBRATION_SAMPLES", "-5", "CALIBRATION_SAMPLES: '-5' is not a whole number from 1 to 100000")]
    [InlineData("CALIBRATION_SAMPLES", "99999999999", "CALIBRATION_SAMPLES: '99999999999' is not a whole number from 1 to 100000")]
    public void A_bad_value_is_an_error_that_names_the_variable(string name, string value, string expected)
    {
        var error = Assert.Throws<PipelineException>(() => ManifestOverrides.FromEnvironment(Values((name, value))));
        Assert.Equal(expected, error.Message);
        Assert.Equal(PipelineException.ConfigurationError, error.ExitCode);
    }

    [Fact]
    public void A_bad_argument_is_an_error_that_names_the_argument() =>
        Assert.Equal(
            "--calibration-samples: 'many' is not a whole number from 1 to 100000",
            Assert.Throws<PipelineException>(() => ManifestOverrides.FromArguments(Values(("calibration-samples", "many")))).Message
        );
}
