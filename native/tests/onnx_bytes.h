#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// Small ONNX models written as protobuf bytes; field numbers are those of onnx.proto.
namespace onnx {

enum Type { kFloat = 1, kInt32 = 6, kInt64 = 7 };

inline std::string varint(uint64_t value) {
    std::string out;
    for (; value >= 0x80U; value >>= 7U)
        out.push_back(static_cast<char>((value & 0x7FU) | 0x80U));
    out.push_back(static_cast<char>(value));
    return out;
}

inline std::string field(uint32_t number, uint64_t value) {
    return varint(uint64_t{number} << 3U) + varint(value);
}

inline std::string field(uint32_t number, std::string_view value) {
    return varint((uint64_t{number} << 3U) | 2U) + varint(value.size()) + std::string(value);
}

/// A dimension of 0 is not fixed.
inline std::string value_info(std::string_view name, Type type, const std::vector<uint64_t>& dims) {
    std::string shape;
    for (const uint64_t dim : dims)
        shape += field(1, dim == 0 ? field(2, "n") : field(1, dim));
    return field(1, name) + field(2, field(1, field(1, type) + field(2, shape)));
}

inline std::string node(std::string_view op, const std::vector<std::string>& inputs, std::string_view output,
                        const std::string& attributes = {}) {
    std::string out;
    for (const auto& input : inputs)
        out += field(1, input);
    return field(1, out + field(2, output) + field(4, op) + attributes);
}

inline std::string cast(std::string_view input, std::string_view output, Type to) {
    return node("Cast", {std::string(input)}, output, field(5, field(1, "to") + field(3, to) + field(20, uint64_t{2})));
}

inline std::string zeros(std::string_view name, uint64_t rows, uint64_t columns) {
    return field(5, field(1, rows) + field(1, columns) + field(2, uint64_t{kFloat}) + field(8, name) +
                        field(9, std::string(rows * columns * 4, '\0')));
}

inline std::string model(const std::string& graph) {
    return field(1, uint64_t{8}) + field(8, field(1, "") + field(2, uint64_t{14})) + field(7, field(2, "g") + graph);
}

/// logits[1,1] = sum of ids[1,S]; S = 0 leaves it open.
inline std::string sum(uint64_t sequence) {
    return model(cast("ids", "x", kFloat) + node("ReduceSum", {"x"}, "logits") + field(11, value_info("ids", kInt64, {1, sequence})) +
                 field(12, value_info("logits", kFloat, {1, 1})));
}

/// y[1,S] = ids[1,S] as floats.
inline std::string echo(uint64_t sequence) {
    return model(cast("ids", "y", kFloat) + field(11, value_info("ids", kInt64, {1, sequence})) +
                 field(12, value_info("y", kFloat, {1, sequence})));
}

/// `steps` products of 512 x 512 matrices, some milliseconds each.
inline std::string slow(int steps) {
    std::string graph = cast("ids", "x", kFloat) + node("MatMul", {"column", "x"}, "m0") + zeros("column", 512, 1) + zeros("w", 512, 512);
    for (int i = 0; i < steps; ++i)
        graph += node("MatMul", {"m" + std::to_string(i), "w"}, i + 1 == steps ? "logits" : "m" + std::to_string(i + 1));
    return model(graph + field(11, value_info("ids", kInt64, {1, 512})) + field(12, value_info("logits", kFloat, {512, 512})));
}

} // namespace onnx
