using System.Text.Json.Nodes;
using ModelPipeline.Core;
using ModelPipeline.Packaging;

namespace ModelPipeline.Publishing;

/// <summary>How a release came to be, as an in-toto statement (https://in-toto.io/Statement/v1) with SLSA's provenance predicate
/// (https://slsa.dev/provenance/v1). Unsigned: an attestation service signs it.</summary>
internal static class Provenance
{
    private const string Builder = "https://github.com/modelpipeline/modelpipeline";

    /// <summary>Names each file by its digest, what it was built from, and by which settings and tools. Without times: the same build gives
    /// the same bytes.</summary>
    public static string Text(PackageManifest manifest, IEnumerable<ReleaseFile> files) =>
        ReportJson.Text(
            new JsonObject
            {
                ["_type"] = "https://in-toto.io/Statement/v1",
                ["subject"] = new JsonArray([
                    .. files.OrderBy(file => file.Name, StringComparer.Ordinal).Select(file => Resource(file.Name, file.Digest.Sha256)),
                ]),
                ["predicateType"] = "https://slsa.dev/provenance/v1",
                ["predicate"] = new JsonObject
                {
                    ["buildDefinition"] = new JsonObject
                    {
                        ["buildType"] = Builder + "#models.yaml",
                        ["externalParameters"] = new JsonObject
                        {
                            ["model"] = manifest.Name,
                            ["version"] = manifest.Version,
                            ["origin"] = manifest.Origin,
                            ["settings"] = manifest.Settings.DeepClone(),
                        },
                        ["resolvedDependencies"] = new JsonArray([.. manifest.Inputs.Select(input => Resource(input.Key, input.Value))]),
                    },
                    ["runDetails"] = new JsonObject
                    {
                        ["builder"] = new JsonObject
                        {
                            ["id"] = Builder,
                            ["version"] = new JsonObject(
                                manifest.Tools.Select(tool => KeyValuePair.Create(tool.Key, (JsonNode?)tool.Value))
                            ),
                        },
                    },
                },
            }
        );

    private static JsonObject Resource(string name, string sha256) =>
        new()
        {
            ["name"] = name,
            ["digest"] = new JsonObject { ["sha256"] = sha256 },
        };
}
