#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace shim {

/// The whole file, with room reserved for `extra` more bytes. Refuses a file above `max_bytes` before allocating.
std::vector<std::byte> read_file(const std::string& path, size_t max_bytes, size_t extra = 0);

/// Writes to `path`.<unique>.partial, flushes it to the disk and renames it; on failure the temporary file is removed.
void write_file_atomically(const std::string& path, std::span<const std::byte> bytes);

} // namespace shim
