#include "installed.h"

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
#include <vector>

namespace shim::rknnrt {

namespace {

namespace fs = std::filesystem;

constexpr std::array kFolders{"/usr/lib", "/usr/lib/aarch64-linux-gnu", "/usr/local/lib", "/lib"};

/// Folders in the loader's order.
std::vector<std::string> folders() {
    std::vector<std::string> result;
    const char* const first = std::getenv("LD_LIBRARY_PATH"); // NOLINT(concurrency-mt-unsafe): nothing sets it
    std::istringstream named(first == nullptr ? "" : first);
    for (std::string folder; std::getline(named, folder, ':');)
        if (!folder.empty())
            result.push_back(folder);
    result.insert(result.end(), kFolders.begin(), kFolders.end());
    return result;
}

std::string version(const std::string& path) {
    constexpr std::string_view kMark = "librknnrt version: ";
    constexpr size_t kMaxLibrary = size_t{64} << 20U;
    constexpr size_t kMaxVersion = 128;
    std::error_code error;
    const auto size = fs::file_size(path, error);
    if (error || size > kMaxLibrary)
        return "";
    std::ifstream file(path, std::ios::binary);
    std::string bytes(size, '\0');
    file.read(bytes.data(), static_cast<std::streamsize>(size));
    const size_t at = bytes.find(kMark);
    if (at == std::string::npos)
        return "";
    const auto rest = bytes.substr(at + kMark.size(), kMaxVersion);
    return rest.substr(0, rest.find_first_of(std::string_view("\0\n", 2)));
}

} // namespace

Installed installed(const std::string& path) {
    if (!path.empty())
        return {path, version(path)};
    std::error_code error;
    for (const auto& folder : folders())
        if (const auto file = folder + "/librknnrt.so"; fs::is_regular_file(file, error))
            return {file, version(file)};
    return {};
}

} // namespace shim::rknnrt
