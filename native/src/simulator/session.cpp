#include "session.h"

#include <onnxruntime_session_options_config_keys.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>

namespace shim::simulator {

namespace {

ort::SessionOptions session_options(const ort::Runtime& runtime, const Session::Settings& settings) {
    OrtSessionOptions* raw = nullptr;
    ort::check(runtime.api->CreateSessionOptions(&raw), RKNNSHIM_RUNTIME_ERROR, "session options");
    ort::SessionOptions options(raw);
    ort::check(runtime.api->SetIntraOpNumThreads(raw, settings.threads), RKNNSHIM_RUNTIME_ERROR, "threads");
    if (settings.optimization == Optimization::QuantizeAsWritten)
        ort::check(runtime.api->AddSessionConfigEntry(raw, kOrtSessionOptionsDisableQuantQDQ, "1"), RKNNSHIM_RUNTIME_ERROR,
                   "session options");
    return options;
}

std::string loading(const Session::Settings& settings) {
    return "'" + settings.name + "' is not an ONNX model that ONNX Runtime can load; check that the file is complete";
}

const char* element_name(ONNXTensorElementDataType type) {
    switch (type) {
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT: return "float32";
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16: return "float16";
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8: return "int8";
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8: return "uint8";
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32: return "int32";
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64: return "int64";
    default: return "of another type";
    }
}

} // namespace

bool Tensor::fixed() const {
    return std::ranges::all_of(dims, [](int64_t dim) { return dim >= 0; });
}

uint64_t Tensor::count() const {
    uint64_t result = 1;
    for (const int64_t dim : dims) {
        uint64_t product = 0;
        if (__builtin_mul_overflow(result, static_cast<uint64_t>(dim), &product))
            throw Error(RKNNSHIM_INVALID_MODEL, "'" + name + "' has more elements than can be addressed: " + shape());
        result = product;
    }
    return result;
}

std::string Tensor::shape() const {
    std::string result = "[";
    for (const int64_t dim : dims) {
        result += result.size() > 1 ? "," : "";
        result += dim < 0 ? "?" : std::to_string(dim);
    }
    return result + "]";
}

Tensor Tensor::resolved(uint64_t count, int64_t batch) const {
    Tensor result = *this;
    const auto last = std::find(result.dims.rbegin(), result.dims.rend(), -1);
    if (last == result.dims.rend())
        return result;
    *last = 1;
    if (result.dims.front() == -1)
        result.dims.front() = batch;
    std::ranges::replace(result.dims, -1, 1);
    const uint64_t rest = result.count();
    if (rest != 0 && count % rest == 0 && count / rest <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
        *last = static_cast<int64_t>(count / rest);
    return result;
}

Session::Session(const ort::Runtime& runtime, Settings settings, ort::Session session)
    : runtime_(&runtime), settings_(std::move(settings)), session_(std::move(session)), inputs_(read(true)), outputs_(read(false)) {}

Session Session::from_file(const ort::Runtime& runtime, const std::string& path, const Settings& settings) {
    const auto options = session_options(runtime, settings);
    OrtSession* session = nullptr;
    ort::check(runtime.api->CreateSession(runtime.env, path.c_str(), options.get(), &session), RKNNSHIM_INVALID_MODEL, loading(settings));
    return {runtime, settings, ort::Session(session)};
}

Session Session::from_bytes(const ort::Runtime& runtime, std::span<const std::byte> bytes, const Settings& settings,
                            const std::stop_token& stop) {
    const auto options = session_options(runtime, settings);
    const std::stop_callback on_stop(stop, [&]() noexcept {
        if (OrtStatus* const status = runtime.api->SessionOptionsSetLoadCancellationFlag(options.get(), true))
            runtime.api->ReleaseStatus(status); // loading then ends in its own time
    });
    OrtSession* session = nullptr;
    ort::check(runtime.api->CreateSessionFromArray(runtime.env, bytes.data(), bytes.size(), options.get(), &session),
               RKNNSHIM_INVALID_MODEL, loading(settings));
    return {runtime, settings, ort::Session(session)};
}

std::vector<Tensor> Session::read(bool inputs) const {
    const OrtApi& api = *runtime_->api;
    const auto expected = inputs ? ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
    const std::string context = "'" + settings_.name + "': its " + (inputs ? "inputs" : "outputs");
    const auto require = [&](OrtStatus* status) { ort::check(status, RKNNSHIM_INVALID_MODEL, context); };

    OrtAllocator* allocator = nullptr;
    require(api.GetAllocatorWithDefaultOptions(&allocator));
    size_t count = 0;
    require(inputs ? api.SessionGetInputCount(session_.get(), &count) : api.SessionGetOutputCount(session_.get(), &count));
    std::vector<Tensor> result(count);
    for (size_t i = 0; i < count; ++i) {
        Tensor& tensor = result[i];
        char* name = nullptr;
        require(inputs ? api.SessionGetInputName(session_.get(), i, allocator, &name)
                       : api.SessionGetOutputName(session_.get(), i, allocator, &name));
        tensor.name = name;
        require(api.AllocatorFree(allocator, name));

        OrtTypeInfo* raw = nullptr;
        require(inputs ? api.SessionGetInputTypeInfo(session_.get(), i, &raw) : api.SessionGetOutputTypeInfo(session_.get(), i, &raw));
        const ort::TypeInfo type(raw);
        const OrtTensorTypeAndShapeInfo* shape = nullptr; // owned by `type`
        require(api.CastTypeInfoToTensorInfo(raw, &shape));
        if (shape == nullptr)
            throw Error(RKNNSHIM_INVALID_MODEL, context + " must be tensors; '" + tensor.name + "' is not");
        ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
        require(api.GetTensorElementType(shape, &element));
        if (element != expected)
            throw Error(RKNNSHIM_INVALID_MODEL, context + " must be " + element_name(expected) + "; '" + tensor.name + "' is " +
                                                    element_name(element) + "; export the model with such " +
                                                    (inputs ? "inputs" : "outputs"));
        size_t rank = 0;
        require(api.GetDimensionsCount(shape, &rank));
        tensor.dims.resize(rank);
        require(api.GetDimensions(shape, tensor.dims.data(), rank));
        for (int64_t& dim : tensor.dims)
            dim = dim < 0 ? -1 : dim;
    }
    return result;
}

std::optional<std::string> Session::metadata(const char* key) const {
    const OrtApi& api = *runtime_->api;
    const auto require = [&](OrtStatus* status) { ort::check(status, RKNNSHIM_INVALID_MODEL, "'" + settings_.name + "': its metadata"); };
    OrtModelMetadata* raw = nullptr;
    require(api.SessionGetModelMetadata(session_.get(), &raw));
    const ort::Metadata owned(raw);
    OrtAllocator* allocator = nullptr;
    require(api.GetAllocatorWithDefaultOptions(&allocator));
    char* text = nullptr;
    require(api.ModelMetadataLookupCustomMetadataMap(raw, allocator, key, &text));
    if (text == nullptr)
        return std::nullopt;
    std::string result = text;
    require(api.AllocatorFree(allocator, text));
    return result;
}

std::vector<int64_t> Session::resolve(const Tensor& tensor, const rknnshim_input& input) const {
    auto result = tensor.resolved(input.count, settings_.batch);
    if (result.count() != input.count)
        throw Error(RKNNSHIM_INVALID_ARGUMENT, "'" + settings_.name + "': input '" + tensor.name + "' is " + tensor.shape() + " and got " +
                                                   std::to_string(input.count) + " elements");
    return result.dims;
}

ort::Value Session::wrap(void* data, uint64_t bytes, std::span<const int64_t> dims, ONNXTensorElementDataType type) const {
    OrtValue* value = nullptr;
    ort::check(runtime_->api->CreateTensorWithDataAsOrtValue(runtime_->cpu, data, bytes, dims.data(), dims.size(), type, &value),
               RKNNSHIM_RUNTIME_ERROR, "'" + settings_.name + "': a tensor");
    return ort::Value(value);
}

Session::Bound Session::bind(std::span<const rknnshim_input> inputs) const {
    if (inputs.size() != inputs_.size())
        throw Error(RKNNSHIM_INVALID_ARGUMENT,
                    "'" + settings_.name + "' has " + std::to_string(inputs_.size()) + " inputs and got " + std::to_string(inputs.size()));
    Bound bound(inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) {
        const auto dims = resolve(inputs_[i], inputs[i]);
        // ONNX Runtime does not write to inputs; its C API just has no const.
        auto* const data = const_cast<int64_t*>(inputs[i].data); // NOLINT(cppcoreguidelines-pro-type-const-cast)
        bound.set(i, inputs_[i], wrap(data, inputs[i].count * sizeof(int64_t), dims, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64));
    }
    return bound;
}

Session::Bound Session::bind(std::span<rknnshim_output> outputs) const {
    if (outputs.size() != outputs_.size())
        throw Error(RKNNSHIM_INVALID_ARGUMENT, "'" + settings_.name + "' has " + std::to_string(outputs_.size()) +
                                                   " outputs and got room for " + std::to_string(outputs.size()));
    for (size_t i = 0; i < outputs.size(); ++i)
        outputs[i].count = outputs_[i].fixed() ? outputs_[i].count() : 0;
    require_room(outputs);
    Bound bound(outputs.size());
    for (size_t i = 0; i < outputs.size(); ++i)
        // What has no fixed shape is allocated by ONNX Runtime and copied afterwards.
        bound.set(i, outputs_[i],
                  outputs_[i].fixed()
                      ? wrap(outputs[i].data, outputs[i].count * sizeof(float), outputs_[i].dims, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT)
                      : ort::Value());
    return bound;
}

void Session::require_room(std::span<const rknnshim_output> outputs) const {
    for (size_t i = 0; i < outputs.size(); ++i)
        if (outputs[i].count > outputs[i].capacity)
            throw Error(RKNNSHIM_BUFFER_TOO_SMALL, "'" + settings_.name + "': output '" + outputs_[i].name + "' has " +
                                                       std::to_string(outputs[i].count) + " elements and got room for " +
                                                       std::to_string(outputs[i].capacity));
}

int64_t Session::run(OrtRunOptions* options, std::span<const rknnshim_input> inputs, std::span<rknnshim_output> outputs) const {
    const Bound in = bind(inputs);
    Bound out = bind(outputs);

    const auto begin = std::chrono::steady_clock::now();
    OrtStatus* const status = runtime_->api->Run(session_.get(), options, in.names.data(), in.raw.data(), in.raw.size(), out.names.data(),
                                                 out.names.size(), out.raw.data());
    const auto elapsed = std::chrono::steady_clock::now() - begin;
    out.adopt();
    ort::check(status, RKNNSHIM_RUNTIME_ERROR, "'" + settings_.name + "' failed to run");

    for (size_t i = 0; i < outputs.size(); ++i)
        if (!outputs_[i].fixed())
            outputs[i].count = element_count(out.raw[i]);
    require_room(outputs);
    for (size_t i = 0; i < outputs.size(); ++i)
        if (!outputs_[i].fixed() && outputs[i].count != 0)
            std::memcpy(outputs[i].data, elements(out.raw[i]), outputs[i].count * sizeof(float));
    return std::chrono::duration_cast<std::chrono::microseconds>(elapsed).count();
}

uint64_t Session::element_count(const OrtValue* value) const {
    const std::string context = "'" + settings_.name + "': an output";
    OrtTensorTypeAndShapeInfo* raw = nullptr;
    ort::check(runtime_->api->GetTensorTypeAndShape(value, &raw), RKNNSHIM_RUNTIME_ERROR, context);
    const ort::ShapeInfo shape(raw);
    size_t count = 0;
    ort::check(runtime_->api->GetTensorShapeElementCount(raw, &count), RKNNSHIM_RUNTIME_ERROR, context);
    return count;
}

const void* Session::elements(OrtValue* value) const {
    void* data = nullptr;
    ort::check(runtime_->api->GetTensorMutableData(value, &data), RKNNSHIM_RUNTIME_ERROR, "'" + settings_.name + "': an output");
    return data;
}

void Session::Bound::set(size_t index, const Tensor& tensor, ort::Value value) {
    names[index] = tensor.name.c_str();
    raw[index] = value.get();
    values[index] = std::move(value);
}

void Session::Bound::adopt() {
    for (size_t i = 0; i < values.size(); ++i)
        if (values[i] == nullptr)
            values[i].reset(raw[i]);
}

nlohmann::json to_json(const std::vector<Tensor>& tensors, const char* type) {
    auto result = nlohmann::json::array();
    for (const auto& tensor : tensors)
        result.push_back({{"name", tensor.name},
                          {"type", type},
                          {"dims", tensor.dims},
                          {"quantization", {{"type", "none"}, {"scale", 1.0}, {"zero_point", 0}}}});
    return result;
}

} // namespace shim::simulator
