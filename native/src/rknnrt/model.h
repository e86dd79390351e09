#pragma once

#include "backend.h"

namespace shim::rknnrt {

/// What the version string of the stand-in runtime says and the vendor's never does.
inline constexpr const char* kSimulatorMark = "simulator";

/// A model on the vendor's runtime: an .rknn, or a simulated artifact on the stand-in.
std::unique_ptr<Model> load(const std::string& path, const ModelOptions& options);

} // namespace shim::rknnrt
