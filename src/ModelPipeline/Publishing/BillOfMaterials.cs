using System.Text.Json.Nodes;
using ModelPipeline.Artifacts;
using ModelPipeline.Core;
using ModelPipeline.Packaging;

namespace ModelPipeline.Publishing;

/// <summary>What a release is made of, as CycloneDX 1.6 JSON (https://cyclonedx.org/docs/1.6/json): its files, the model and texts they
/// were built from, the tools that built them.</summary>
internal static class BillOfMaterials
{
    /// <summary>Of a manifest that names the released files but not the bill itself. Without times and serial number: the same build gives
    /// the same bytes.</summary>
    public static string Text(PackageManifest manifest)
    {
        var release = $"pkg:generic/{Uri.EscapeDataString(manifest.Name)}@{Uri.EscapeDataString(manifest.Version)}";
        var files = manifest.Files.Select(file =>
            Component(
                file.Role == PackageRole.Model ? "machine-learning-model" : "file",
                $"file:{file.Name}",
                file.Name,
                manifest.Version,
                file.Digest.Sha256
            )
        );
        var inputs = manifest.Inputs.Select(input =>
            input.Key == "model"
                ? WithLicence(Component("machine-learning-model", "input:model", manifest.Origin, null, input.Value), manifest.Licence)
                : Component("data", $"input:{input.Key}", input.Key, null, input.Value)
        );
        return ReportJson.Text(
            new JsonObject
            {
                ["bomFormat"] = "CycloneDX",
                ["specVersion"] = "1.6",
                ["version"] = 1,
                ["metadata"] = new JsonObject
                {
                    ["tools"] = new JsonObject
                    {
                        ["components"] = new JsonArray([
                            .. manifest.Tools.Select(tool => Component("application", $"tool:{tool.Key}", tool.Key, tool.Value, null)),
                        ]),
                    },
                    ["component"] = WithLicence(
                        Component("machine-learning-model", release, manifest.Name, manifest.Version, null),
                        manifest.Licence
                    ),
                },
                ["components"] = new JsonArray([.. files, .. inputs]),
                ["dependencies"] = new JsonArray([
                    DependsOn(release, manifest.Files.Select(file => $"file:{file.Name}")),
                    .. manifest
                        .Files.Where(file => file.Role == PackageRole.Model)
                        .Select(file => DependsOn($"file:{file.Name}", manifest.Inputs.Keys.Select(input => $"input:{input}"))),
                ]),
            }
        );
    }

    private static JsonObject Component(string type, string reference, string name, string? version, string? sha256)
    {
        var component = new JsonObject
        {
            ["type"] = type,
            ["bom-ref"] = reference,
            ["name"] = name,
        };
        if (version is not null)
            component["version"] = version;
        if (sha256 is not null)
            component["hashes"] = new JsonArray(new JsonObject { ["alg"] = "SHA-256", ["content"] = sha256 });
        return component;
    }

    /// <summary>An expression may be any SPDX identifier; <c>license.id</c> only one of the schema's list.</summary>
    private static JsonObject WithLicence(JsonObject component, string? licence)
    {
        if (licence is not null)
            component["licenses"] = new JsonArray(new JsonObject { ["expression"] = licence });
        return component;
    }

    private static JsonObject DependsOn(string reference, IEnumerable<string> others) =>
        new() { ["ref"] = reference, ["dependsOn"] = new JsonArray([.. others.Select(other => (JsonNode?)other)]) };
}
