#include "metadata.h"

#include <cstdint>

namespace shim::simulator {

namespace {

void append_varint(std::string& out, uint64_t value) {
    while (value >= 0x80U) {
        out.push_back(static_cast<char>((value & 0x7FU) | 0x80U));
        value >>= 7U;
    }
    out.push_back(static_cast<char>(value));
}

void append_bytes(std::string& out, uint32_t field, std::string_view value) {
    constexpr uint32_t kLengthDelimited = 2;
    append_varint(out, (uint64_t{field} << 3U) | kLengthDelimited);
    append_varint(out, value.size());
    out += value;
}

} // namespace

std::string metadata_entry(std::string_view key, std::string_view value) {
    std::string entry;
    append_bytes(entry, 1, key);
    append_bytes(entry, 2, value);
    std::string result;
    append_bytes(result, 14, entry);
    return result;
}

} // namespace shim::simulator
