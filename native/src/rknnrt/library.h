#pragma once

#include "abi.h"
#include "error.h"

#include <string>

namespace shim::rknnrt {

/// The vendor's runtime: librknnrt.so and its entry points. Never unloaded: its threads may still run.
struct Library {
    std::string path;
    abi::Init* init = nullptr;
    abi::DupContext* dup_context = nullptr;
    abi::Destroy* destroy = nullptr;
    abi::QueryInfo* query = nullptr;
    abi::InputsSet* inputs_set = nullptr;
    abi::SetCoreMask* set_core_mask = nullptr;
    abi::Run* run = nullptr;
    abi::OutputsGet* outputs_get = nullptr;
    abi::OutputsRelease* outputs_release = nullptr;
    abi::SetInputShapes* set_input_shapes = nullptr; ///< runtimes before 1.5.2 lack it
};

/// Loads `path`, or the loader's librknnrt.so when it is empty. A process uses one: naming a second is an error.
const Library& library(const std::string& path);

/// Throws what a code other than success means and what to do about it.
void check(int32_t code, const std::string& context);

} // namespace shim::rknnrt
