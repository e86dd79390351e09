#pragma once

#include <string>
#include <string_view>

namespace shim::simulator {

/// One ONNX metadata entry as the bytes to append to a serialized model: ModelProto.metadata_props (field 14) holding
/// StringStringEntryProto {key = 1, value = 2}. Concatenation is how protobuf merges messages, so no parser is needed.
[[nodiscard]] std::string metadata_entry(std::string_view key, std::string_view value);

} // namespace shim::simulator
