// librknnrt-sim.so: a stand-in for the vendor's librknnrt.so with its ABI, so that what is written for the board runs without
// one. It runs simulated artifacts on ONNX Runtime, one thread a context, and says so in its version.
//
// RKNNRT_SIM_PLATFORM in the environment is the platform it stands for (default rk3588). A model whose metadata has the key
// rknnrt_sim.fault, "RUN MILLISECONDS STATUS", takes so long for that run of it (counted from 1, over all contexts) and then
// returns that code: how boards hang and fail.
#include "files.h"
#include "handle_table.h"
#include "rknnrt/abi.h"
#include "rknnrt/model.h"
#include "simulator/session.h"
#include "simulator/simulator.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <new>
#include <sstream>
#include <thread>

namespace {

using namespace shim;
using namespace shim::rknnrt;
using abi::Status;

constexpr const char* kVersion = "2.3.2 (simulator, no NPU; modelpipeline " RKNNSHIM_VERSION ")";
constexpr size_t kMaxModelBytes = (size_t{2} << 30U) - 1;

/// Where the vendor's library can be searched for its version, so can this one.
[[gnu::used]] const char* const kVersionMark = "librknnrt version: 2.3.2 (simulator, no NPU)";

struct Fault {
    int64_t run = 0;
    int64_t milliseconds = 0;
    int32_t status = 0;
    std::atomic<int64_t> runs = 0;
};

struct SimContext {
    std::shared_ptr<const simulator::Session> session;
    std::shared_ptr<Fault> fault; // null if there is none
    uint64_t bytes = 0;
    bool profiled = false;
    std::mutex mutex; // one call at a time
    std::vector<std::vector<int64_t>> inputs;
    std::vector<std::vector<float>> outputs;
    int64_t microseconds = -1;
    std::string table;
};

HandleTable<SimContext>& contexts() {
    static auto& table = *new HandleTable<SimContext>(0x52, "context");
    return table;
}

/// A failure in the vendor's terms; the reason goes where the vendor's library writes its own.
struct Refusal {
    Status status;
    std::string reason;
};

template <typename Body>
int32_t guard(const char* function, Body body) noexcept {
    const auto failed = [&](Status status, const char* reason) {
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

void require(bool condition, Status status, const char* reason) {
    if (!condition)
        throw Refusal{status, reason};
}

std::string platform() {
    const char* const name = std::getenv("RKNNRT_SIM_PLATFORM"); // NOLINT(concurrency-mt-unsafe): nothing sets it
    return name == nullptr ? "rk3588" : name;
}

std::shared_ptr<Fault> fault_of(const simulator::Session& session) {
    const auto text = session.metadata("rknnrt_sim.fault");
    if (!text)
        return nullptr;
    auto fault = std::make_shared<Fault>();
    std::istringstream words(*text);
    words >> fault->run >> fault->milliseconds >> fault->status;
    require(!words.fail(), Status::ModelInvalid, "rknnrt_sim.fault must be three numbers");
    return fault;
}

std::shared_ptr<SimContext> make(std::shared_ptr<const simulator::Session> session, std::shared_ptr<Fault> fault, uint64_t bytes, bool profiled) {
    auto context = std::make_shared<SimContext>();
    context->fault = std::move(fault);
    for (const auto& input : session->inputs())
        context->inputs.emplace_back(input.count());
    for (const auto& output : session->outputs())
        context->outputs.emplace_back(output.count());
    context->session = std::move(session);
    context->bytes = bytes;
    context->profiled = profiled;
    return context;
}

std::shared_ptr<SimContext> load(const void* model, uint32_t size, bool profiled) {
    std::vector<std::byte> bytes;
    std::string name = "model in memory";
    if (size == 0) {
        name = static_cast<const char*>(model);
        bytes = read_file(name, kMaxModelBytes);
    } else {
        const auto* const first = static_cast<const std::byte*>(model);
        bytes.assign(first, first + size);
    }
    const auto& runtime = ort::runtime("");
    auto session = std::make_shared<const simulator::Session>(
        simulator::Session::from_bytes(runtime, bytes, {name, simulator::Optimization::QuantizeAsWritten, 1}, std::stop_token()));
    require(session->metadata(simulator::kSimulatedKey) == "true", Status::ModelInvalid, "the model is not marked as simulated; a real .rknn needs a board");
    require(session->metadata(simulator::kTargetKey) == platform(), Status::TargetPlatformUnmatch, "the model was converted for another platform");
    for (const auto* tensors : {&session->inputs(), &session->outputs()})
        for (const auto& tensor : *tensors)
            require(tensor.fixed() && tensor.dims.size() <= abi::kMaxDims && tensor.count() <= UINT32_MAX / sizeof(int64_t), Status::ModelInvalid,
                    "the model has a tensor of no fixed shape");
    auto fault = fault_of(*session);
    return make(std::move(session), std::move(fault), bytes.size(), profiled);
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

void query(SimContext& context, abi::Query what, void* info, uint32_t size) {
    const auto& session = *context.session;
    switch (what) {
    case abi::Query::InOutNum:
        answer<abi::InputOutputNum>(info, size) = {static_cast<uint32_t>(session.inputs().size()), static_cast<uint32_t>(session.outputs().size())};
        break;
    case abi::Query::InputAttr:
    case abi::Query::CurrentInputAttr: describe(session.inputs(), abi::TensorType::Int64, answer<abi::TensorAttr>(info, size)); break;
    case abi::Query::OutputAttr:
    case abi::Query::CurrentOutputAttr: describe(session.outputs(), abi::TensorType::Float32, answer<abi::TensorAttr>(info, size)); break;
    case abi::Query::PerfRun:
        require(context.microseconds >= 0, Status::Fail, "nothing ran yet");
        answer<abi::PerfRun>(info, size) = {context.microseconds};
        break;
    case abi::Query::PerfDetail:
        require(context.profiled, Status::Fail, "the context was made without the flag that collects times");
        context.table = "simulated, no layers: " + std::to_string(context.microseconds) + " us\n";
        answer<abi::PerfDetail>(info, size) = {context.table.data(), context.table.size()};
        break;
    case abi::Query::SdkVersion: {
        auto& version = answer<abi::SdkVersion>(info, size);
        put(version.api, kVersion);
        put(version.driver, "none, ONNX Runtime " + session.runtime().version);
        break;
    }
    case abi::Query::MemSize: {
        auto& memory = answer<abi::MemSize>(info, size);
        memory = {};
        memory.weights = static_cast<uint32_t>(context.bytes);
        break;
    }
    case abi::Query::CustomString: put(answer<abi::CustomString>(info, size).text, session.metadata(simulator::kCustomStringKey).value_or("")); break;
    default: throw Refusal{Status::ParamInvalid, "this query is not simulated"};
    }
}

void set_inputs(SimContext& context, std::span<const abi::Input> inputs) {
    require(inputs.size() == context.inputs.size(), Status::InputInvalid, "the model has another number of inputs");
    for (const auto& input : inputs) {
        require(input.index < context.inputs.size() && input.data != nullptr, Status::InputInvalid, "an input has no data or no such index");
        auto& room = context.inputs[input.index];
        require(input.type == abi::TensorType::Int64 && input.pass_through == 0 && input.size == room.size() * sizeof(int64_t), Status::InputInvalid,
                "an input is not int64 or has another size");
        std::memcpy(room.data(), input.data, input.size);
    }
}

void run(SimContext& context) {
    if (auto* const fault = context.fault.get(); fault != nullptr && ++fault->runs == fault->run) {
        std::this_thread::sleep_for(std::chrono::milliseconds(fault->milliseconds));
        require(fault->status == 0, Status{fault->status}, "so the model's metadata has it");
    }
    std::vector<rknnshim_input> inputs;
    std::ranges::transform(context.inputs, std::back_inserter(inputs), [](const auto& room) { return rknnshim_input{room.data(), room.size()}; });
    std::vector<rknnshim_output> outputs;
    std::ranges::transform(context.outputs, std::back_inserter(outputs), [](auto& room) { return rknnshim_output{room.data(), room.size(), 0}; });
    context.microseconds = context.session->run(nullptr, inputs, outputs);
}

// NOLINTBEGIN(cppcoreguidelines-no-malloc): the caller's side of this ABI frees through this library
void give_outputs(const SimContext& context, std::span<abi::Output> outputs) {
    require(outputs.size() == context.outputs.size() && context.microseconds >= 0, Status::OutputInvalid, "nothing ran yet, or another number of outputs");
    for (auto& output : outputs) {
        require(output.index < context.outputs.size() && output.want_float != 0, Status::OutputInvalid, "an output has no such index or is not wanted as float");
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
        *context = contexts().add(load(model, size, (flags & abi::kFlagCollectPerf) != 0));
    });
}

RKNN_EXPORT int32_t rknn_dup_context(abi::Context* source, abi::Context* copy) { // NOLINT(readability-non-const-parameter): the vendor's signature
    return guard("rknn_dup_context", [&] {
        require(source != nullptr && copy != nullptr, Status::ParamInvalid, "null");
        const auto origin = contexts().get(*source);
        *copy = contexts().add(make(origin->session, origin->fault, origin->bytes, origin->profiled));
    });
}

RKNN_EXPORT int32_t rknn_destroy(abi::Context context) {
    return guard("rknn_destroy", [&] { contexts().remove(context); });
}

RKNN_EXPORT int32_t rknn_query(abi::Context context, abi::Query what, void* info, uint32_t size) {
    return with_context("rknn_query", context, [&](SimContext& found) { query(found, what, info, size); });
}

RKNN_EXPORT int32_t rknn_inputs_set(abi::Context context, uint32_t count, abi::Input* inputs) {
    return with_context("rknn_inputs_set", context, [&](SimContext& found) {
        require(inputs != nullptr, Status::ParamInvalid, "null");
        set_inputs(found, {inputs, count});
    });
}

RKNN_EXPORT int32_t rknn_set_core_mask(abi::Context context, abi::CoreMask mask) {
    return with_context("rknn_set_core_mask", context, [&](SimContext&) { require(is_mask(mask), Status::ParamInvalid, "no such core mask"); });
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
