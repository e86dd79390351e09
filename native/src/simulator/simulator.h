#pragma once

#include "backend.h"

namespace shim::simulator {

/// Keys of the ONNX metadata that mark an artifact as simulated, never to be taken for a .rknn.
inline constexpr const char* kSimulatedKey = "modelpipeline.simulated";
inline constexpr const char* kTargetKey = "modelpipeline.target";
inline constexpr const char* kCustomStringKey = "modelpipeline.custom_string";

/// Any ONNX model, with ONNX Runtime's own optimizations.
std::unique_ptr<Model> load_onnx(const std::string& path, const ModelOptions& options);

/// An artifact that `convert` wrote; quantization computed as written.
std::unique_ptr<Model> load_artifact(const std::string& path, const ModelOptions& options);

nlohmann::json convert(ConversionRequest& request, JobContext& context);

} // namespace shim::simulator
