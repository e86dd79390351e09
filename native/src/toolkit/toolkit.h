#pragma once

#include "../backend.h"

namespace shim::toolkit {

/// Runs pipeline/rknn/driver.py and with it rknn-toolkit2 in a scratch folder beside the artifact.
nlohmann::json convert(ConversionRequest& request, JobContext& context);

} // namespace shim::toolkit
