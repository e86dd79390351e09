#pragma once

#include <string>

namespace shim::rknnrt {

/// A copy of the vendor's runtime as a file; nothing of it is loaded or run.
struct Installed {
    std::string path;    ///< "" if there is none: the loader may still know one
    std::string version; ///< as 2.3.2 (429f97ae6b); "" if the file does not tell
};

/// What lies at `path`, or where boards have their runtime if that is empty.
[[nodiscard]] Installed installed(const std::string& path);

} // namespace shim::rknnrt
