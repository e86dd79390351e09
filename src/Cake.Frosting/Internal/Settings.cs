using Cake.Core.IO;

namespace Cake.Frosting.Internal;

/// <summary>Default of the working directory, set by the build's program.</summary>
internal sealed record WorkingDirectory(DirectoryPath Path);

/// <summary>Default of one configuration value, set by the build's program.</summary>
internal sealed record CakeSetting(string Key, string Value);
