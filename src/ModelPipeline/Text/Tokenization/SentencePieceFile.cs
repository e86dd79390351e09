using Google.Protobuf;
using ModelPipeline.Core;
using ModelPipeline.Text.Tokenization.Wire;

namespace ModelPipeline.Text.Tokenization;

/// <summary>
/// A SentencePiece model (sentencepiece.bpe.model, spiece.model, spm.model) in the form that the reference converts it to, which depends on
/// the family: XLM-R, ALBERT and DeBERTa-v2, told by tokenizer_class, else by the first tokens.
/// </summary>
internal static class SentencePieceFile
{
    private const long MaxBytes = 1 << 26;
    private const int MaxPieces = 1_000_000;
    private const char Space = '\u2581';

    public static TokenizerParts Read(string path, TokenizerSettings settings)
    {
        var model = Parse(path);
        var pieces = model.Pieces.Select(piece => (piece.Piece_, (double)piece.Score)).ToList();
        if (model.TrainerSpec is { ModelType: not TrainerSpec.Types.ModelType.Unigram } spec)
            throw new PipelineException(
                $"{path}: trainer_spec.model_type: {spec.ModelType} is not supported, only unigram; declare the model's tokenizer.json "
                    + $"instead."
            );
        if (model.Pieces.FirstOrDefault(piece => piece.Type is Piece.Types.Type.UserDefined or Piece.Types.Type.Byte) is { } special)
            throw new PipelineException(
                $"{path}: token '{special.Piece_}' is {special.Type}, which is not supported here; declare the model's tokenizer.json "
                    + $"instead."
            );
        var map = model.NormalizerSpec?.PrecompiledCharsmap is { Length: > 0 } bytes
            ? new PrecompiledNormalizer(bytes.Span, $"{path}: normalizer_spec.precompiled_charsmap")
            : null;
        var first = pieces.Take(5).Select(piece => piece.Piece_).ToList();
        return FamilyOf(settings, first, path) switch
        {
            Family.XlmRoberta => XlmRoberta(pieces, map, settings, path),
            Family.Albert => Albert(pieces, map, settings, path),
            Family.DebertaV2 => DebertaV2(pieces, map, settings, path),
            var other => throw new ArgumentOutOfRangeException(nameof(settings), other, null),
        };
    }

    private static SentencePieceModel Parse(string path)
    {
        try
        {
            var model = SentencePieceModel.Parser.ParseFrom(TokenizerFile.ReadBytes(path, MaxBytes));
            return model.Pieces.Count is > 4 and <= MaxPieces
                ? model
                : throw new PipelineException(
                    $"{path}: {model.Pieces.Count} tokens; expected a SentencePiece model of at most {MaxPieces}."
                );
        }
        catch (InvalidProtocolBufferException e)
        {
            throw new PipelineException($"{path}: not a SentencePiece model: {e.Message}", inner: e);
        }
    }

    private enum Family
    {
        XlmRoberta,
        Albert,
        DebertaV2,
    }

    private static Family FamilyOf(TokenizerSettings settings, List<string> first, string path)
    {
        settings.RequireClass("XLMRobertaTokenizer", "AlbertTokenizer", "DebertaV2Tokenizer");
        switch (settings.Class)
        {
            case "XLMRobertaTokenizer":
                return Family.XlmRoberta;
            case "AlbertTokenizer":
                return Family.Albert;
            case "DebertaV2Tokenizer":
                return Family.DebertaV2;
        }
        return first switch
        {
            ["<unk>", "<s>", "</s>", ..] => Family.XlmRoberta,
            ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"] => Family.Albert,
            ["[PAD]", "[CLS]", "[SEP]", "[UNK]", ..] => Family.DebertaV2,
            _ => throw new PipelineException(
                $"{path}: begins with {string.Join(' ', first)}, so it is none of XLM-R, ALBERT and DeBERTa-v2; declare the model's "
                    + $"tokenizer.json instead."
            ),
        };
    }

    /// <summary>fairseq's ids: four special tokens, then SentencePiece's from its fourth on, then the mask.</summary>
    private static TokenizerParts XlmRoberta(
        List<(string Token, double Score)> pieces,
        Normalizer? map,
        TokenizerSettings settings,
        string path
    )
    {
        List<(string, double)> moved = [("<s>", 0), ("<pad>", 0), ("</s>", 0), ("<unk>", 0), .. pieces.Skip(3), ("<mask>", 0)];
        var mask = moved.Count - 1;
        AddedToken[] usual =
        [
            new("<s>", 0),
            new("<pad>", 1),
            new("</s>", 2),
            new("<unk>", 3),
            new("<mask>", mask, Normalized: true, LeftStrip: true),
        ];
        Normalizer[] steps =
        [
            .. Optional(map),
            new StripNormalizer(Left: false, Right: true),
            new ReplaceNormalizer(new CodePointRegex(" {2,}", path), $"{Space}"),
        ];
        return Parts(moved, 3, steps, settings.Added() ?? usual, path) with { Template = RowTemplates.Roberta(0, 2), PaddingId = 1 };
    }

    private static TokenizerParts Albert(
        List<(string Token, double Score)> pieces,
        Normalizer? map,
        TokenizerSettings settings,
        string path
    )
    {
        AddedToken[] usual = [new("<pad>", 0), new("<unk>", 1), new("[CLS]", 2), new("[SEP]", 3), new("[MASK]", 4, LeftStrip: true)];
        Normalizer[] accents =
            settings.Find("keep_accents")?.Flag() ?? false ? [] : [new FormNormalizer(UnicodeForm.Nfkd), new StripAccentsNormalizer()];
        Normalizer[] steps =
        [
            new ReplaceNormalizer(new LiteralPattern("``"), "\""),
            new ReplaceNormalizer(new LiteralPattern("''"), "\""),
            .. accents,
            .. Lower(settings, otherwise: true),
            .. Optional(map),
            new ReplaceNormalizer(new CodePointRegex(" {2,}", path), " "),
        ];
        // Tokens of a number and a comma are made unlikely, so that the two stay apart.
        List<(string, double)> weighted =
        [
            .. pieces.Select(piece =>
                piece.Token is [.., var digit, ','] && char.IsDigit(digit) ? (piece.Token, piece.Score - 100) : piece
            ),
        ];
        return Parts(weighted, 1, steps, settings.Added() ?? usual, path) with { Template = RowTemplates.Bert(2, 3), PaddingId = 0 };
    }

    /// <summary>The mask is appended, unless the model has it.</summary>
    private static TokenizerParts DebertaV2(
        List<(string Token, double Score)> pieces,
        Normalizer? map,
        TokenizerSettings settings,
        string path
    )
    {
        if (settings.Find("split_by_punct") is { } split && split.Flag())
            throw split.Refused("true for a SentencePiece model");
        var mask = pieces.FindIndex(piece => piece.Token == "[MASK]");
        AddedToken[] usual =
        [
            new("[PAD]", 0),
            new("[CLS]", 1),
            new("[SEP]", 2),
            new("[UNK]", 3, Normalized: true),
            new("[MASK]", mask < 0 ? pieces.Count : mask),
        ];
        Normalizer[] steps =
        [
            .. Lower(settings, otherwise: false),
            new StripNormalizer(Left: true, Right: true),
            .. Optional(map),
            new ReplaceNormalizer(new CodePointRegex(" {2,}", path), " "),
        ];
        return Parts(pieces, 3, steps, settings.Added() ?? usual, path) with { Template = RowTemplates.Bert(1, 2), PaddingId = 0 };
    }

    private static TokenizerParts Parts(
        List<(string, double)> pieces,
        int unknown,
        Normalizer[] steps,
        IReadOnlyList<AddedToken> added,
        string path
    )
    {
        var model = new UnigramModel(pieces, unknown, byteFallback: false, path);
        return added.Where(token => token.Id < pieces.Count).FirstOrDefault(token => pieces[token.Id].Item1 != token.Content) is { } foreign
            ? throw new PipelineException(
                $"{path}: the added token '{foreign.Content}' has id {foreign.Id}, which is '{pieces[foreign.Id].Item1}' there; declare "
                    + $"the model's tokenizer.json instead."
            )
            : new TokenizerParts(
                new NormalizerSequence(steps),
                new MetaspacePreTokenizer(Space, Prepend: true, SplitWords: true),
                model,
                added,
                StepReader.Template(null)
            )
            {
                PaddingId = 0,
            };
    }

    private static Normalizer[] Optional(Normalizer? step) => step is null ? [] : [step];

    private static Normalizer[] Lower(TokenizerSettings settings, bool otherwise) =>
        settings.Find("do_lower_case")?.Flag() ?? otherwise ? [new LowercaseNormalizer()] : [];
}
