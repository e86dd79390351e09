using System.Globalization;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace ModelPipeline.Toolkit;

/// <summary>The toolkit's <c>.quantization.cfg</c>: every tensor of its optimised graph with its range.</summary>
/// <param name="Tensors">In order of execution, constants behind.</param>
public sealed record QuantizationConfig(IReadOnlyList<QuantizedTensor> Tensors)
{
    private const int MaxCharacters = 16 << 20;

    public IReadOnlyList<string> Names => [.. Tensors.Select(tensor => tensor.Name)];

    /// <exception cref="PipelineException">It is not what hybrid_quantization_step1 writes.</exception>
    public static QuantizationConfig Parse(string text)
    {
        if (text.Length > MaxCharacters)
            throw Bad($"{text.Length} characters; at most {MaxCharacters} are accepted");
        try
        {
            var yaml = new YamlStream();
            yaml.Load(new StringReader(text));
            return yaml.Documents is [{ RootNode: YamlMappingNode root }] && root.Children.TryGetValue("quantize_parameters", out var parameters) && parameters is YamlMappingNode map
                ? new QuantizationConfig([.. map.Children.Select(entry => Tensor(((YamlScalarNode)entry.Key).Value!, (YamlMappingNode)entry.Value))])
                : throw Bad("there is no map 'quantize_parameters'");
        }
        catch (Exception failure) when (failure is YamlException or InvalidCastException or FormatException or OverflowException)
        {
            throw Bad(failure.Message, failure);
        }
    }

    private static QuantizedTensor Tensor(string name, YamlMappingNode settings)
    {
        string? Text(string key) => settings.Children.TryGetValue(key, out var value) ? (value as YamlScalarNode)?.Value : null;
        double? Number(string key) => settings.Children.TryGetValue(key, out var value) && value is YamlSequenceNode { Children: [YamlScalarNode number] }
            ? double.Parse(number.Value!, CultureInfo.InvariantCulture)
            : null;
        return new QuantizedTensor(name, Text("dtype") ?? "", Number("min"), Number("max"), Number("scale"), Number("zero_point"));
    }

    private static PipelineException Bad(string problem, Exception? inner = null) =>
        new($"The toolkit's .quantization.cfg cannot be read: {problem}. Convert again with --keep-scratch and look at the file.", inner: inner);
}

/// <summary>One tensor's entry; numbers are null where the toolkit gives none or one a channel.</summary>
/// <param name="Name">In the toolkit's optimised graph.</param>
/// <param name="Type">int8, int16, float16 ...</param>
/// <param name="Min">Of the quantized range.</param>
/// <param name="Max">Of the quantized range.</param>
/// <param name="Scale">real = scale * (stored - zero point).</param>
/// <param name="ZeroPoint">The stored integer of 0.</param>
public sealed record QuantizedTensor(string Name, string Type, double? Min, double? Max, double? Scale, double? ZeroPoint);
