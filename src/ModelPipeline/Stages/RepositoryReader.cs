using System.Text.RegularExpressions;
using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;
using ModelPipeline.Inspection;
using ModelPipeline.Onnx;
using ModelPipeline.Proposals;
using ModelPipeline.Sources;
using ModelPipeline.Text.Tokenization;

namespace ModelPipeline.Stages;

/// <summary>Gets the files of a repository that say what its model is.</summary>
internal sealed partial class RepositoryReader(ModelRepository repository, StageContext context)
{
    /// <summary>Where fp32 exports lie, the most usual first.</summary>
    private static readonly string[] Usual = ["onnx/model.onnx", "model.onnx"];

    private static readonly string[] SentencePieceNames =
    [
        "sentencepiece.bpe.model",
        "spiece.model",
        "spm.model",
        "sentencepiece.model",
        "tokenizer.model",
    ];

    private readonly List<string> found = [];

    /// <summary>The ONNX file to start from.</summary>
    /// <exception cref="PipelineException">There is none, none in fp32, or several of which none has a usual name.</exception>
    public async Task<(RepositoryFile File, OnnxModel Model)> ModelAsync(long maxBytes)
    {
        var (file, others) = await ChooseAsync(maxBytes).ConfigureAwait(false);
        found.Add(
            $"{repository.Shown}: {file.Name}, {file.File.Bytes / 1e6:0.0} MB{(others.Count > 0 ? $"; left aside: {Few(others)}" : "")}"
        );
        var data = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var location in OnnxModel.ExternalFiles(file.File.Path))
        {
            var name = file.Name[..(file.Name.LastIndexOf('/') + 1)] + location;
            if (await repository.FindAsync(name, maxBytes, context).ConfigureAwait(false) is not { } there)
                throw new PipelineException(
                    $"{repository.Shown}: {file.Name} keeps data in '{location}', and there is no {name}; ask its author for it, or export "
                        + $"the model again."
                );
            data[location] = there.File.Path;
            found.Add($"data of {file.Name}: {name}, {there.File.Bytes / 1e6:0.0} MB");
        }
        return (file, OnnxModel.Load(file.File.Path, data));
    }

    private async Task<(RepositoryFile File, IReadOnlyList<string> Others)> ChooseAsync(long maxBytes)
    {
        if (repository.Named is { } named)
            return ((await repository.FindAsync(named, maxBytes, context).ConfigureAwait(false))!, []);
        if (repository.Models is not { } models)
        {
            foreach (var name in Usual)
            {
                if (await repository.FindAsync(name, maxBytes, context).ConfigureAwait(false) is { } file)
                    return (file, []);
            }
            throw NoModel([]);
        }
        string[] whole = [.. models.Where(name => !Reduced().IsMatch(name))];
        var chosen = Usual.FirstOrDefault(whole.Contains) ?? (whole is [var only] ? only : null);
        if (chosen is null && whole.Length > 1)
            throw new PipelineException(
                $"{repository.Shown} has {whole.Length} ONNX files, and none has the usual name {string.Join(" or ", Usual)}: "
                    + $"{Few(whole)}. Give the one meant by --from=FILE.onnx.",
                PipelineException.ConfigurationError
            );
        if (chosen is null)
            throw NoModel(models);
        return (
            await repository.FindAsync(chosen, maxBytes, context).ConfigureAwait(false) ?? throw NoModel(models),
            [.. models.Where(name => name != chosen)]
        );
    }

    private PipelineException NoModel(IReadOnlyList<string> models)
    {
        var from = repository.IsHub ? repository.Shown.Split(' ')[0][ModelRepository.Hub.Length..] : repository.Shown;
        var there = models.Count > 0 ? $"only reduced ONNX files ({Few(models)}), and quantizing starts from fp32" : "no ONNX file";
        return new PipelineException(
            $"{repository.Shown} has {there}. Export it, then give the folder by --from=exported:\n"
                + $"  pip install 'optimum[exporters]' && optimum-cli export onnx --opset 17 --model {from} exported",
            PipelineException.ConfigurationError
        );
    }

    /// <summary>The tokenizer's files as models.yaml declares them, and as they are read.</summary>
    /// <exception cref="PipelineException">There are none.</exception>
    public async Task<(TokenizerFacts Declared, TokenizerFiles Files)> TokenizerAsync(long maxBytes)
    {
        var (key, kind, main, merges) = await VocabularyAsync(maxBytes).ConfigureAwait(false);
        List<(string Key, RepositoryFile File)> beside = merges is null ? [] : [("merges", merges)];
        foreach (var (name, file) in new[] { ("config", "tokenizer_config.json"), ("special_tokens", "special_tokens_map.json") })
        {
            if (await repository.FindAsync(file, maxBytes, context).ConfigureAwait(false) is { } there)
                beside.Add((name, there));
        }
        var names = string.Join(", ", beside.Select(each => each.File.Name).Prepend(main.Name));
        found.Add($"tokenizer: {names} ({kind})");
        string? PathOf(string name) => beside.Where(each => each.Key == name).Select(each => each.File.File.Path).FirstOrDefault();
        return (
            new TokenizerFacts([(key, main.Source), .. beside.Select(each => (each.Key, each.File.Source))], $"{names}: {kind}"),
            new TokenizerFiles(main.File.Path)
            {
                Merges = PathOf("merges"),
                Config = PathOf("config"),
                SpecialTokens = PathOf("special_tokens"),
            }
        );
    }

    private async Task<(string Key, string Kind, RepositoryFile Main, RepositoryFile? Merges)> VocabularyAsync(long maxBytes)
    {
        if (await Find("tokenizer.json").ConfigureAwait(false) is { } whole)
            return ("file", "tokenizer.json has all of it", whole, null);
        if (await Find("vocab.txt").ConfigureAwait(false) is { } words)
            return ("vocab", "WordPiece", words, null);
        foreach (var name in SentencePieceNames)
        {
            if (await Find(name).ConfigureAwait(false) is { } pieces)
                return ("file", "SentencePiece", pieces, null);
        }
        if (await Find("vocab.json").ConfigureAwait(false) is { } bytes && await Find("merges.txt").ConfigureAwait(false) is { } merges)
            return ("file", "byte-level BPE", bytes, merges);
        throw new PipelineException(
            $"{repository.Shown} has no tokenizer: expected tokenizer.json, vocab.txt, {string.Join(", ", SentencePieceNames)}, or "
                + $"vocab.json with merges.txt beside the model.",
            PipelineException.ConfigurationError
        );

        Task<RepositoryFile?> Find(string name) => repository.FindAsync(name, maxBytes, context);
    }

    /// <summary>What the other files say; without the source and the tokenizer.</summary>
    public async Task<ModelFacts> FactsAsync(OnnxModel model)
    {
        var config = await PathOf("config.json").ConfigureAwait(false) is { } path ? ConfigFacts.Read(path) : null;
        if (config is not null)
            found.Add($"config.json: {config.Type} {config.Architecture}".TrimEnd());
        var sentence = SentenceTransformersFiles.Read(
            await PathOf(SentenceTransformersFiles.ModulesName).ConfigureAwait(false),
            await PathOf(SentenceTransformersFiles.PoolingName).ConfigureAwait(false)
        );
        var prompts = await PathOf("config_sentence_transformers.json").ConfigureAwait(false) is { } prompted
            ? PromptFacts.Read(prompted)
            : PromptFacts.None;
        if (prompts.Others.Count > 0)
            found.Add($"prompts for other uses are left aside: {string.Join(", ", prompts.Others)}");
        return new ModelFacts
        {
            Origin = repository.Shown,
            Name = "",
            Source = new SourceSpec(),
            Tokenizer = new TokenizerFacts([], ""),
            Outputs = model.Graph.Outputs,
            Config = config,
            Sentence = sentence,
            Prompts = prompts,
            MostTokens = await MostTokensAsync(config, model).ConfigureAwait(false),
            Licence = await LicenceAsync().ConfigureAwait(false),
            Found = found,
        };
    }

    /// <summary>The least that positions, tokenizer_config.json and sentence_bert_config.json allow.</summary>
    private async Task<int?> MostTokensAsync(ConfigFacts? config, OnnxModel model)
    {
        List<int?> limits = [config?.Tokens];
        foreach (
            var (name, key) in new[] { ("tokenizer_config.json", "model_max_length"), ("sentence_bert_config.json", "max_seq_length") }
        )
        {
            if (await PathOf(name).ConfigureAwait(false) is not { } path)
                continue;
            using var document = SettingsFile.Parse(path);
            limits.Add(SettingsFile.Number(document.RootElement, key));
        }
        // Rows at the front may be kept for padding.
        if (config?.Tokens is null)
            limits.Add(
                (int?)EmbeddingTable.Of(model.Graph).Where(table => table.IsNamedPosition).Select(table => (long?)table.Rows - 2).Min()
            );
        return limits.Min();
    }

    /// <summary>license: of the front matter of the model's card.</summary>
    private async Task<string?> LicenceAsync()
    {
        if (await PathOf("README.md").ConfigureAwait(false) is not { } path)
            return null;
        var lines = (await File.ReadAllTextAsync(path, context.Cancellation).ConfigureAwait(false)).ReplaceLineEndings("\n").Split('\n');
        if (lines[0] != "---")
            return null;
        var name = lines
            .Skip(1)
            .TakeWhile(line => line != "---")
            .Select(line => Licence().Match(line))
            .FirstOrDefault(match => match.Success)
            ?.Groups[1]
            .Value.ToLowerInvariant();
        return name switch
        {
            null or "other" or "unknown" => null,
            "mit" => "MIT",
            "apache-2.0" => "Apache-2.0",
            "bsd-3-clause" => "BSD-3-Clause",
            _ when name.StartsWith("cc", StringComparison.Ordinal) => name.ToUpperInvariant(),
            _ => name,
        };
    }

    private async Task<string?> PathOf(string name) =>
        (await repository.FindAsync(name, SettingsFile.MaxBytes, context).ConfigureAwait(false))?.File.Path;

    private static string Few(IReadOnlyList<string> names) =>
        string.Join(", ", names.Take(8)) + (names.Count > 8 ? $" and {names.Count - 8} more" : "");

    /// <summary>Quantized, fp16 and optimized exports, by the names that optimum, sentence-transformers and Transformers.js give
    /// them.</summary>
    [GeneratedRegex(@"(quantized|u?int8|qint8|quint8|_q4|_q4f16|bnb4|fp16|float16|bf16|_O[1-4])", RegexOptions.IgnoreCase)]
    private static partial Regex Reduced();

    [GeneratedRegex(@"^licen[cs]e:\s*[""']?([A-Za-z0-9.-]+)[""']?\s*$")]
    private static partial Regex Licence();
}
