// librknnrt-sim.so: a stand-in for the vendor's librknnrt.so with its ABI, so that what is written for the board runs without
// one. It runs simulated artifacts on ONNX Runtime, one thread a context, and says so in its version.
//
// RKNNRT_SIM_PLATFORM in the environment is the platform it stands for (default rk3588). A model whose metadata has the key
// rknnrt_sim.fault, "RUN MILLISECONDS STATUS", takes so long for that run of it (counted from 1, over all contexts) and then
// returns that code: how boards hang and fail. One with the key rknnrt_sim.sequences is for several shapes; see sim_model.h.
// rknnrt_sim.layers is the table of layers that it answers with; if it is empty, the query is refused, as older runtimes do.
// A call out of the order that abi.h gives is refused where the vendor's library ends the process.
#include "handle_table.h"
#include "rknnrt/abi.h"
#include "rknnrt/model.h"
#include "sim_model.h"
#include "simulator/layers.h"
#include "simulator/simulator.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <mutex>
#include <new>
#include <thread>

namespace {

using namespace shim;
using namespace shim::rknnrt;

constexpr const char* kVersion = "2.3.2 (simulator, no NPU; modelpipeline " RKNNSHIM_VERSION ")";

/// Where the vendor's library can be searched for its version, so can this one.
[[gnu::used]] const char* const kVersionMark = "librknnrt version: 2.3.2 (simulator, no NPU)";

struct SimContext {
    std::shared_ptr<const SimModel> model;
    std::mutex mutex;             // one call at a time
    const Shape* shape = nullptr; // the current one
    bool shape_set = false;
    bool info_only = false; // made for queries alone
    bool memory_asked = false;
    std::vector<std::vector<int64_t>> inputs;
    std::vector<std::vector<float>> outputs;
    int64_t microseconds = -1;
    std::string table;
};

HandleTable<SimContext>& contexts() {
    static auto& table = *new HandleTable<SimContext>(0x52, "context");
    return table;
}

template <typename Body>
int32_t guard(const char* function, Body body) noexcept {
    const auto failed = [&](Status status, const char* reason) {
        if (*reason != '\0')
            std::cerr << "E RKNN simulator: " << function << ": " << reason << '\n';
        return static_cast<int32_t>(status);
    };
    try {
        body();
        return static_cast<int32_t>(Status::Success);
    } catch (const Refusal& e) {
        return failed(e.status, e.reason.c_str());
    } catch (const Error& e) {
        switch (e.status()) {
        case RKNNSHIM_INVALID_HANDLE: return failed(Status::CtxInvalid, e.what());
        case RKNNSHIM_INVALID_MODEL: return failed(Status::ModelInvalid, e.what());
        default: return failed(Status::Fail, e.what());
        }
    } catch (const std::bad_alloc&) {
        return failed(Status::MallocFail, "out of memory");
    } catch (const std::exception& e) {
        return failed(Status::Fail, e.what());
    }
}

void take_shape(SimContext& context, const Shape& shape) {
    context.shape = &shape;
    context.inputs.clear();
    for (const auto& input : shape.inputs)
        context.inputs.emplace_back(input.count());
    context.outputs.clear();
    for (const auto& output : shape.outputs)
        context.outputs.emplace_back(output.count());
    context.microseconds = -1;
}

std::shared_ptr<SimContext> make(std::shared_ptr<const SimModel> model) {
    auto context = std::make_shared<SimContext>();
    take_shape(*context, model->loaded());
    context->model = std::move(model);
    return context;
}

template <size_t N>
void put(char (&field)[N], const std::string& text) { // NOLINT(cppcoreguidelines-avoid-c-arrays, modernize-avoid-c-arrays)
    const size_t length = std::min(text.size(), N - 1);
    std::memcpy(field, text.data(), length);
    field[length] = '\0';
}

void describe(const std::vector<simulator::Tensor>& tensors, abi::TensorType type, abi::TensorAttr& attr) {
    require(attr.index < tensors.size(), Status::ParamInvalid, "there is no tensor of this index");
    const auto& tensor = tensors[attr.index];
    const uint32_t element = type == abi::TensorType::Int64 ? sizeof(int64_t) : sizeof(float);
    abi::TensorAttr result{};
    result.index = attr.index;
    result.dim_count = static_cast<uint32_t>(tensor.dims.size());
    std::ranges::transform(tensor.dims, std::begin(result.dims), [](int64_t dim) { return static_cast<uint32_t>(dim); });
    put(result.name, tensor.name);
    result.elements = static_cast<uint32_t>(tensor.count());
    result.size = result.elements * element;
    result.size_with_stride = result.size;
    result.format = abi::TensorFormat::Undefined;
    result.type = type;
    result.scale = 1.0F;
    attr = result;
}

template <typename T>
T& answer(void* info, uint32_t size) {
    require(info != nullptr && size >= sizeof(T), Status::ParamInvalid, "the structure to fill is null or too small");
    return *static_cast<T*>(info);
}

/// Dimensions of one input in all shapes.
void describe(const SimModel& model, abi::InputRange& range) {
    if (!model.dynamic)
        throw Refusal{Status::ModelInvalid, ""}; // as asked; nothing failed
    require(range.index < model.session.inputs().size(), Status::ParamInvalid, "there is no tensor of this index");
    const auto index = range.index;
    range = {};
    range.index = index;
    range.shapes = static_cast<uint32_t>(model.shapes.size());
    range.format = abi::TensorFormat::Undefined;
    put(range.name, model.session.inputs()[index].name);
    range.dim_count = static_cast<uint32_t>(model.session.inputs()[index].dims.size());
    for (size_t s = 0; s < model.shapes.size(); ++s)
        std::ranges::transform(model.shapes[s].inputs[index].dims, std::begin(range.dims[s]),
                               [](int64_t dim) { return static_cast<uint32_t>(dim); });
}

/// What is current is known only once it was set, where it can be.
const Shape& current(const SimContext& context) {
    require(!context.model->dynamic || context.shape_set, Status::Fail, "no shape was set yet");
    return *context.shape;
}

void query(SimContext& context, abi::Query what, void* info, uint32_t size) {
    const auto& model = *context.model;
    const auto& session = model.session;
    switch (what) {
    case abi::Query::InOutNum:
        answer<abi::InputOutputNum>(info, size) = {static_cast<uint32_t>(session.inputs().size()),
                                                   static_cast<uint32_t>(session.outputs().size())};
        break;
    case abi::Query::InputAttr: describe(model.loaded().inputs, abi::TensorType::Int64, answer<abi::TensorAttr>(info, size)); break;
    case abi::Query::OutputAttr: describe(model.loaded().outputs, abi::TensorType::Float32, answer<abi::TensorAttr>(info, size)); break;
    case abi::Query::InputDynamicRange: describe(model, answer<abi::InputRange>(info, size)); break;
    case abi::Query::CurrentInputAttr:
        describe(current(context).inputs, abi::TensorType::Int64, answer<abi::TensorAttr>(info, size));
        break;
    case abi::Query::CurrentOutputAttr:
        describe(current(context).outputs, abi::TensorType::Float32, answer<abi::TensorAttr>(info, size));
        break;
    case abi::Query::PerfRun:
        require(context.microseconds >= 0, Status::Fail, "nothing ran yet");
        answer<abi::PerfRun>(info, size) = {context.microseconds};
        break;
    case abi::Query::PerfDetail:
        require(model.profiled, Status::Fail, "the context was made without the flag that collects times");
        require(context.microseconds >= 0, Status::Fail, "nothing ran yet");
        require(!model.layers || !model.layers->empty(), Status::ParamInvalid, "this query is not simulated");
        context.table =
            model.layers ? *model.layers : simulator::layers(context.shape->inputs, context.shape->outputs, context.microseconds);
        answer<abi::PerfDetail>(info, size) = {context.table.data(), context.table.size()};
        break;
    case abi::Query::SdkVersion: {
        auto& version = answer<abi::SdkVersion>(info, size);
        put(version.api, kVersion);
        put(version.driver, "none, ONNX Runtime " + session.runtime().version);
        break;
    }
    case abi::Query::MemSize: {
        context.memory_asked = true;
        auto& memory = answer<abi::MemSize>(info, size);
        memory = {};
        memory.weights = static_cast<uint32_t>(model.bytes);
        break;
    }
    case abi::Query::CustomString:
        put(answer<abi::CustomString>(info, size).text, session.metadata(simulator::kCustomStringKey).value_or(""));
        break;
    default: throw Refusal{Status::ParamInvalid, "this query is not simulated"};
    }
}

void set_shape(SimContext& context, std::span<const abi::TensorAttr> inputs) {
    require(context.model->dynamic && inputs.size() == context.inputs.size(), Status::InputInvalid,
            "the model has one shape or another number of inputs");
    const auto same = [](const simulator::Tensor& tensor, const abi::TensorAttr& attr) {
        return attr.format == abi::TensorFormat::Undefined && attr.dim_count <= abi::kMaxDims &&
               std::ranges::equal(tensor.dims, std::span(attr.dims).first(attr.dim_count));
    };
    const auto found =
        std::ranges::find_if(context.model->shapes, [&](const Shape& shape) { return std::ranges::equal(shape.inputs, inputs, same); });
    require(found != context.model->shapes.end(), Status::InputInvalid, "the model was not built for this shape");
    take_shape(context, *found);
    context.shape_set = true;
}

void set_inputs(SimContext& context, std::span<const abi::Input> inputs) {
    require(inputs.size() == context.inputs.size(), Status::InputInvalid, "the model has another number of inputs");
    for (const auto& input : inputs) {
        require(input.index < context.inputs.size() && input.data != nullptr, Status::InputInvalid,
                "an input has no data or no such index");
        auto& room = context.inputs[input.index];
        require(input.type == abi::TensorType::Int64 && input.pass_through == 0 && input.size == room.size() * sizeof(int64_t),
                Status::InputInvalid, "an input is not int64 or has another size");
        std::memcpy(room.data(), input.data, input.size);
    }
}

void run(SimContext& context) {
    require(!context.info_only, Status::Fail, "the context was made for queries alone");
    static_cast<void>(current(context));
    if (auto* const fault = context.model->fault.get(); fault != nullptr && ++fault->runs == fault->run) {
        std::this_thread::sleep_for(std::chrono::milliseconds(fault->milliseconds));
        require(fault->status == 0, Status{fault->status}, "so the model's metadata has it");
    }
    std::vector<rknnshim_input> inputs;
    std::ranges::transform(context.inputs, std::back_inserter(inputs), [](const auto& room) {
        return rknnshim_input{room.data(), room.size()};
    });
    std::vector<rknnshim_output> outputs;
    std::ranges::transform(context.outputs, std::back_inserter(outputs), [](auto& room) {
        return rknnshim_output{room.data(), room.size(), 0};
    });
    context.microseconds = context.model->session.run(nullptr, inputs, outputs);
}

// NOLINTBEGIN(cppcoreguidelines-no-malloc): the caller's side of this ABI frees through this library
void give_outputs(const SimContext& context, std::span<abi::Output> outputs) {
    require(outputs.size() == context.outputs.size() && context.microseconds >= 0, Status::OutputInvalid,
            "nothing ran yet, or another number of outputs");
    for (auto& output : outputs) {
        require(output.index < context.outputs.size() && output.want_float != 0, Status::OutputInvalid,
                "an output has no such index or is not wanted as float");
        const auto& values = context.outputs[output.index];
        const auto size = static_cast<uint32_t>(values.size() * sizeof(float));
        if (output.preallocated == 0) {
            output.data = std::malloc(size);
            output.size = size;
        }
        require(output.data != nullptr && output.size >= size, Status::OutputInvalid, "an output has no room");
        std::memcpy(output.data, values.data(), size);
    }
}

void release(std::span<abi::Output> outputs) {
    for (auto& output : outputs)
        if (output.preallocated == 0) {
            std::free(output.data);
            output.data = nullptr;
        }
}
// NOLINTEND(cppcoreguidelines-no-malloc)

bool is_mask(abi::CoreMask mask) {
    const auto bits = static_cast<int32_t>(mask);
    return (bits >= 0 && bits <= static_cast<int32_t>(abi::CoreMask::Core012) && bits != 5 && bits != 6) || mask == abi::CoreMask::All;
}

template <typename Body>
int32_t with_context(const char* function, abi::Context handle, Body body) noexcept {
    return guard(function, [&] {
        const auto context = contexts().get(handle);
        const std::lock_guard lock(context->mutex);
        body(*context);
    });
}

} // namespace

#define RKNN_EXPORT __attribute__((visibility("default")))

extern "C" {

RKNN_EXPORT int32_t rknn_init(abi::Context* context, void* model, uint32_t size, uint32_t flags, abi::InitExtend* /*extend*/) {
    return guard("rknn_init", [&] {
        require(context != nullptr && model != nullptr, Status::ParamInvalid, "null");
        auto made = make(load_model(model, size, (flags & abi::kFlagCollectPerf) != 0));
        made->info_only = (flags & abi::kFlagModelInfoOnly) != 0;
        *context = contexts().add(std::move(made));
    });
}

// NOLINTNEXTLINE(readability-non-const-parameter): the vendor's signature
RKNN_EXPORT int32_t rknn_dup_context(abi::Context* source, abi::Context* copy) {
    return guard("rknn_dup_context", [&] {
        require(source != nullptr && copy != nullptr, Status::ParamInvalid, "null");
        const auto origin = contexts().get(*source);
        const std::lock_guard lock(origin->mutex);
        require(!origin->memory_asked && !origin->info_only, Status::Fail,
                "the context was asked for its memory's size, or made for queries alone");
        *copy = contexts().add(make(origin->model));
    });
}

RKNN_EXPORT int32_t rknn_destroy(abi::Context context) {
    return guard("rknn_destroy", [&] { contexts().remove(context); });
}

RKNN_EXPORT int32_t rknn_query(abi::Context context, abi::Query what, void* info, uint32_t size) {
    return with_context("rknn_query", context, [&](SimContext& found) { query(found, what, info, size); });
}

RKNN_EXPORT int32_t rknn_set_input_shapes(abi::Context context, uint32_t count, abi::TensorAttr* inputs) {
    return with_context("rknn_set_input_shapes", context, [&](SimContext& found) {
        require(inputs != nullptr, Status::ParamInvalid, "null");
        set_shape(found, {inputs, count});
    });
}

RKNN_EXPORT int32_t rknn_inputs_set(abi::Context context, uint32_t count, abi::Input* inputs) {
    return with_context("rknn_inputs_set", context, [&](SimContext& found) {
        require(inputs != nullptr, Status::ParamInvalid, "null");
        set_inputs(found, {inputs, count});
    });
}

RKNN_EXPORT int32_t rknn_set_core_mask(abi::Context context, abi::CoreMask mask) {
    return with_context("rknn_set_core_mask", context,
                        [&](SimContext&) { require(is_mask(mask), Status::ParamInvalid, "no such core mask"); });
}

RKNN_EXPORT int32_t rknn_run(abi::Context context, abi::RunExtend* /*extend*/) {
    return with_context("rknn_run", context, [](SimContext& found) { run(found); });
}

RKNN_EXPORT int32_t rknn_outputs_get(abi::Context context, uint32_t count, abi::Output* outputs, abi::OutputExtend* /*extend*/) {
    return with_context("rknn_outputs_get", context, [&](SimContext& found) {
        require(outputs != nullptr, Status::ParamInvalid, "null");
        give_outputs(found, {outputs, count});
    });
}

RKNN_EXPORT int32_t rknn_outputs_release(abi::Context context, uint32_t count, abi::Output* outputs) {
    return with_context("rknn_outputs_release", context, [&](SimContext&) {
        require(outputs != nullptr, Status::ParamInvalid, "null");
        release({outputs, count});
    });
}

} // extern "C"
