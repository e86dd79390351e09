namespace ModelPipeline.Tests.Manifest;

public sealed class EnvironmentReferenceTests
{
    private static string? Environment(string name) =>
        name switch
        {
            "HOST" => "10.0.0.7",
            "EMPTY" => "",
            "YAML" => "x, port: 1 }",
            "SECRET" => "hunter2 hunter2",
            "LINES" => "a\nb",
            _ => null,
        };

    [Theory]
    [InlineData("${HOST}", "10.0.0.7")]
    [InlineData("a.${HOST}.b-${HOST}", "a.10.0.0.7.b-10.0.0.7")]
    [InlineData("${NONE:-rk.local}", "rk.local")]
    [InlineData("${EMPTY:-rk.local}", "rk.local")]
    [InlineData("${HOST:-rk.local}", "10.0.0.7")]
    [InlineData("x${NONE:-}", "x")]
    [InlineData("$${HOST}", "${HOST}")]
    [InlineData("$HOST and $$", "$HOST and $$")]
    [InlineData("${YAML}", "x, port: 1 }")]
    public void Strings_are_expanded_after_parsing(string written, string expected) =>
        Assert.Equal(expected, ManifestFile.Load(ManifestFile.With(("rk.local", $"'{written}'")), Environment).Devices["board"].Host);

    [Theory]
    [InlineData("${NONE}", "the environment variable NONE is not set; set it or write ${NONE:-text}")]
    [InlineData("${none such}", "'${' starts neither ${NAME} nor ${NAME:-text}; write $${ for a literal ${")]
    [InlineData("${HOST", "'${' starts neither ${NAME} nor ${NAME:-text}; write $${ for a literal ${")]
    [InlineData("${LINES}", "line breaks and other control characters are not allowed in values")]
    public void What_cannot_be_expanded_is_an_error_at_its_place(string written, string expected) =>
        Assert.Equal(
            [$"models.yaml:6:29: devices.board.host: {expected}"],
            ManifestFile.Errors(ManifestFile.With(("rk.local", $"'{written}'")), Environment)
        );

    [Fact]
    public void Messages_show_what_is_written_and_never_the_variables_value() =>
        Assert.Equal(
            ["models.yaml:15:14: models.tiny.version: '${SECRET}' is not a semantic version such as 1.2.0"],
            ManifestFile.Errors(ManifestFile.With(("0.1.0", "${SECRET}")), Environment)
        );

    [Fact]
    public void A_literal_reference_does_not_pass_for_a_value_of_another_form() =>
        Assert.Equal(
            ["models.yaml:15:14: models.tiny.version: '$${HOST}' is not a semantic version such as 1.2.0"],
            ManifestFile.Errors(ManifestFile.With(("0.1.0", "$${HOST}")), Environment)
        );
}
