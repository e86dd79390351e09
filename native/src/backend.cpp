#include "backend.h"

#include "rknnrt/model.h"
#include "simulator/simulator.h"
#include "toolkit/toolkit.h"

#include <array>

namespace shim {

namespace {
constexpr std::array kBackends{
    Backend{"onnx", simulator::load_onnx, nullptr},
    Backend{"rknnrt", rknnrt::load, nullptr},
    Backend{"simulator", simulator::load_artifact, simulator::convert},
    Backend{"rknn-toolkit", nullptr, toolkit::convert},
};
}

void check_core_mask(int64_t mask) {
    constexpr int64_t kAllCores = 65535;
    constexpr int64_t kThreeCores = 7;
    if (mask < 0 || (mask > kThreeCores && mask != kAllCores))
        throw Error(RKNNSHIM_INVALID_ARGUMENT, "'core_mask' must be 0 to 7, or 65535 for all cores");
}

std::span<const Backend> backends() {
    return kBackends;
}

const Backend& find_backend(std::string_view name) {
    std::string known;
    for (const auto& backend : kBackends) {
        if (backend.name == name)
            return backend;
        known += known.empty() ? "" : ", ";
        known += backend.name;
    }
    throw Error(RKNNSHIM_UNSUPPORTED, "backend '" + std::string(name) + "' is not in this library; it has " + known);
}

} // namespace shim
