#include "backend.h"

#include "simulator/simulator.h"
#include "toolkit/toolkit.h"

#include <array>

namespace shim {

namespace {
constexpr std::array kBackends{
    Backend{"onnx", simulator::load_onnx, nullptr},
    Backend{"simulator", simulator::load_artifact, simulator::convert},
    Backend{"rknn-toolkit", nullptr, toolkit::convert},
};
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
