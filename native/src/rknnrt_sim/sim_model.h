#pragma once

#include "rknnrt/abi.h"
#include "simulator/session.h"

#include <atomic>
#include <memory>
#include <optional>

namespace shim::rknnrt {

using abi::Status;

/// A failure in the vendor's terms; the reason goes where the vendor's library writes its own.
struct Refusal {
    Status status;
    std::string reason;
};

inline void require(bool condition, Status status, const char* reason) {
    if (!condition)
        throw Refusal{status, reason};
}

/// How a model fails; see rknnrt_sim.cpp.
struct Fault {
    int64_t run = 0;
    int64_t milliseconds = 0;
    int32_t status = 0;
    std::atomic<int64_t> runs = 0;
};

/// A model's tensors at one of its shapes, all dimensions fixed.
struct Shape {
    std::vector<simulator::Tensor> inputs;
    std::vector<simulator::Tensor> outputs;
};

/// What contexts share.
struct SimModel {
    simulator::Session session;
    std::shared_ptr<Fault> fault; // null if there is none
    uint64_t bytes = 0;
    bool profiled = false;
    std::optional<std::string> layers; // in the place of a table of layers
    bool dynamic = false;              // whether one of the shapes can be set
    std::vector<Shape> shapes;

    /// The shape that a file is loaded with is its largest.
    [[nodiscard]] const Shape& loaded() const;
};

/// A model from a file, or from memory if `size` is not 0. One whose metadata has the key rknnrt_sim.sequences, "LENGTH LENGTH ...", is for
/// several shapes: the open dimension of its inputs takes these lengths. Each is run once on zeros, which tells the sizes of the outputs.
[[nodiscard]] std::shared_ptr<const SimModel> load_model(const void* model, uint32_t size, bool profiled);

} // namespace shim::rknnrt
