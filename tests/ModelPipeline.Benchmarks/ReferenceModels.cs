using System.IO.Compression;
using ModelPipeline.Core;

namespace ModelPipeline.Benchmarks;

/// <summary>Everything about quantization in one table: the sample model, a 12-layer reranker and a 6-layer embedder.</summary>
internal static class ReferenceModels
{
    public static IEnumerable<Row> Run(Arguments arguments)
    {
        var reference = arguments.Reference ?? throw new PipelineException("Name the folder of the full-size models: --reference=FOLDER.");
        var folder = Directory.CreateTempSubdirectory("modelpipeline-");
        try
        {
            var reranker = new Arguments
            {
                Model = Unpacked("minilm-l12-reranker"),
                Vocabulary = Path.Combine(reference, "models", "minilm-l12-reranker", "vocab.txt"),
                Corpus = Path.Combine(reference, "data", "debian"),
            };
            var embedder = new Arguments
            {
                Model = Unpacked("all-minilm-l6-v2"),
                Vocabulary = Path.Combine(reference, "models", "all-minilm-l6-v2", "vocab.txt"),
                Sequence = 256,
            };
            return
            [
                .. Named("L12", CpuInt8.Run(reranker)),
                .. Named("L12", NpuEmulated.Run(reranker)),
                .. Named("sample", ToolkitAgreement.Run(arguments)),
                .. Named("embedder", CpuInt8.Run(embedder)),
                .. Named("embedder", NpuEmulated.Run(embedder)),
            ];
        }
        finally
        {
            folder.Delete(recursive: true);
        }

        static IEnumerable<Row> Named(string model, IEnumerable<Row> rows) =>
            rows.Select(row => row with { What = $"{model}: {row.What}" });

        string Unpacked(string model)
        {
            var path = Path.Combine(reference, "models", model, "model.onnx");
            if (File.Exists(path))
                return path;
            var unpacked = Path.Combine(folder.FullName, $"{model}.onnx");
            using var packed = new GZipStream(File.OpenRead($"{path}.gz"), CompressionMode.Decompress);
            using var file = File.Create(unpacked);
            packed.CopyTo(file);
            return unpacked;
        }
    }
}
