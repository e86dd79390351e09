#include "registry.h"

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

} // namespace

const Backend& runner(std::string_view name) {
    const Backend& backend = find_backend(name);
    if (backend.load == nullptr)
        throw Error(RKNNSHIM_UNSUPPORTED, std::string("backend '") + backend.name + "' converts models but runs none");
    return backend;
}

const Backend& converter(std::string_view name) {
    const Backend& backend = find_backend(name);
    if (backend.convert == nullptr)
        throw Error(RKNNSHIM_UNSUPPORTED, std::string("backend '") + backend.name + "' runs models but converts none");
    return backend;
}

} // namespace shim
