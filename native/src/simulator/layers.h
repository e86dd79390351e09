#pragma once

#include "session.h"

#include <string>
#include <vector>

namespace shim::simulator {

/// A table of layers as the vendor's runtime writes it, of one run by ONNX Runtime: the whole graph is one operator, on the CPU.
[[nodiscard]] std::string layers(const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs, int64_t microseconds);

} // namespace shim::simulator
