#include "model.h"

#include "library.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <limits>
#include <vector>

namespace shim::rknnrt {

namespace {

constexpr uint32_t kMaxTensors = 64;

/// One context of the runtime. A duplicate keeps the context whose weights it shares.
class Context {
public:
    Context(const Library& library, const std::string& path, uint32_t flags) : library_(library), name_(path) {
        std::string copy = path; // the runtime takes a pointer that is not const
        check(library.init(&context_, copy.data(), 0, flags, nullptr), "'" + path + "' cannot be loaded");
    }

    explicit Context(std::shared_ptr<Context> origin) : library_(origin->library_), name_(origin->name_), origin_(std::move(origin)) {
        check(library_.dup_context(&origin_->context_, &context_), "'" + name_ + "': a second context");
    }

    ~Context() { library_.destroy(context_); }
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;

    template <typename T>
    T query(abi::Query what, const char* noun, T info = {}) const {
        check(library_.query(context_, what, &info, sizeof info), "'" + name_ + "': its " + noun);
        return info;
    }

    [[nodiscard]] const Library& library() const { return library_; }
    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] abi::Context get() const { return context_; }

private:
    const Library& library_;
    std::string name_;
    std::shared_ptr<Context> origin_;
    abi::Context context_ = 0;
};

template <size_t N>
std::string bounded(const char (&text)[N]) { // NOLINT(cppcoreguidelines-avoid-c-arrays, modernize-avoid-c-arrays)
    return {text, strnlen(text, N)};
}

const char* type_name(abi::TensorType type) {
    constexpr std::array kNames{"float32", "float16", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "bool", "int4", "bfloat16"};
    const auto index = static_cast<uint32_t>(type);
    return index < kNames.size() ? kNames.at(index) : "unknown";
}

std::vector<abi::TensorAttr> tensors(const Context& context, abi::Query what, uint32_t count, const char* noun) {
    if (count == 0 || count > kMaxTensors)
        throw Error(RKNNSHIM_INVALID_MODEL, "'" + context.name() + "': the runtime tells of " + std::to_string(count) + " " + noun + "; 1 to " +
                                                std::to_string(kMaxTensors) + " are possible");
    std::vector<abi::TensorAttr> result(count);
    for (uint32_t i = 0; i < count; ++i) {
        abi::TensorAttr attr{};
        attr.index = i;
        result[i] = context.query(what, noun, attr);
        uint64_t product = 1;
        for (uint32_t d = 0; d < std::min(result[i].dim_count, abi::kMaxDims); ++d)
            product = std::min<uint64_t>(product * result[i].dims[d], std::numeric_limits<uint32_t>::max());
        if (result[i].dim_count > abi::kMaxDims || product != result[i].elements || product == 0 ||
            product > std::numeric_limits<uint32_t>::max() / sizeof(int64_t))
            throw Error(RKNNSHIM_INVALID_MODEL, "'" + context.name() + "': " + noun + ": tensor " + std::to_string(i) + " '" + bounded(result[i].name) +
                                                    "' has dimensions that cannot be; the file or the runtime is damaged");
    }
    return result;
}

nlohmann::json to_json(const std::vector<abi::TensorAttr>& attrs) {
    auto result = nlohmann::json::array();
    for (const auto& attr : attrs) {
        const bool affine = attr.quantization == abi::QuantizationType::AffineAsymmetric;
        auto dims = nlohmann::json::array();
        for (uint32_t d = 0; d < attr.dim_count; ++d)
            dims.push_back(attr.dims[d]);
        result.push_back({{"name", bounded(attr.name)},
                          {"type", type_name(attr.type)},
                          {"dims", std::move(dims)},
                          {"quantization", {{"type", affine ? "affine" : "none"}, {"scale", affine ? attr.scale : 1.0F}, {"zero_point", affine ? attr.zero_point : 0}}}});
    }
    return result;
}

class RknnModel final : public Model {
public:
    RknnModel(std::shared_ptr<Context> context, int core_mask, bool profiled)
        : context_(std::move(context)), count_(context_->query<abi::InputOutputNum>(abi::Query::InOutNum, "number of inputs and outputs")),
          inputs_(tensors(*context_, abi::Query::InputAttr, count_.inputs, "inputs")),
          outputs_(tensors(*context_, abi::Query::OutputAttr, count_.outputs, "outputs")), profiled_(profiled) {
        if (core_mask != 0) // single-core chips do not know masks
            check(context_->library().set_core_mask(context_->get(), static_cast<abi::CoreMask>(core_mask)),
                  "'" + context_->name() + "': core mask " + std::to_string(core_mask));
    }

    [[nodiscard]] nlohmann::json describe() const override {
        const auto version = context_->query<abi::SdkVersion>(abi::Query::SdkVersion, "runtime version");
        const auto memory = context_->query<abi::MemSize>(abi::Query::MemSize, "memory size");
        const auto custom = context_->query<abi::CustomString>(abi::Query::CustomString, "custom string");
        const auto api = bounded(version.api);
        return {{"simulated", api.find(kSimulatorMark) != std::string::npos},
                {"sdk_version", "RKNN runtime " + api + ", driver " + bounded(version.driver)},
                {"target", ""}, // the runtime does not tell it, and runs nothing that is for another platform
                {"custom_string", bounded(custom.text)},
                {"memory", {{"weights", memory.weights}, {"internal", memory.internal}, {"dma_allocated", memory.dma_allocated}}},
                {"inputs", to_json(inputs_)},
                {"outputs", to_json(outputs_)}};
    }

    int64_t run(std::span<const rknnshim_input> inputs, std::span<rknnshim_output> outputs) override {
        const Library& library = context_->library();
        const auto in = bind(inputs);
        auto out = bind(outputs);
        cancelled_ = false;
        const std::string failed = "'" + context_->name() + "' failed to run";
        check(library.inputs_set(context_->get(), static_cast<uint32_t>(in.size()), const_cast<abi::Input*>(in.data())), // NOLINT(cppcoreguidelines-pro-type-const-cast)
              failed + ": inputs");
        check(library.run(context_->get(), nullptr), failed);
        check(library.outputs_get(context_->get(), static_cast<uint32_t>(out.size()), out.data(), nullptr), failed + ": outputs");
        check(library.outputs_release(context_->get(), static_cast<uint32_t>(out.size()), out.data()), failed + ": outputs");
        if (cancelled_)
            throw Error(RKNNSHIM_CANCELLED, "the run was cancelled");
        return context_->query<abi::PerfRun>(abi::Query::PerfRun, "run time").microseconds;
    }

    /// The vendor's runtime has no way to stop the NPU: a run ends in its own time and is then reported as cancelled.
    void cancel() override { cancelled_ = true; }

    [[nodiscard]] std::unique_ptr<Model> duplicate(int core_mask) const override {
        return std::make_unique<RknnModel>(std::make_shared<Context>(context_), core_mask, profiled_);
    }

    [[nodiscard]] std::string profile() const override {
        if (!profiled_)
            throw Error(RKNNSHIM_UNSUPPORTED, "'" + context_->name() + "' was loaded without the option 'profile': no table of layers was kept");
        const auto detail = context_->query<abi::PerfDetail>(abi::Query::PerfDetail, "table of layers");
        constexpr uint64_t kMaxTable = uint64_t{16} << 20U;
        return detail.text == nullptr ? "" : std::string(detail.text, strnlen(detail.text, std::min(detail.length, kMaxTable)));
    }

private:
    [[nodiscard]] std::vector<abi::Input> bind(std::span<const rknnshim_input> inputs) const {
        if (inputs.size() != inputs_.size())
            throw Error(RKNNSHIM_INVALID_ARGUMENT,
                        "'" + context_->name() + "' has " + std::to_string(inputs_.size()) + " inputs and got " + std::to_string(inputs.size()));
        std::vector<abi::Input> bound(inputs.size());
        for (uint32_t i = 0; i < inputs.size(); ++i) {
            const auto& attr = inputs_[i];
            if (inputs[i].count != attr.elements)
                throw Error(RKNNSHIM_INVALID_ARGUMENT, "'" + context_->name() + "': input '" + bounded(attr.name) + "' has " + std::to_string(attr.elements) +
                                                           " elements and got " + std::to_string(inputs[i].count));
            auto* const data = const_cast<int64_t*>(inputs[i].data); // NOLINT(cppcoreguidelines-pro-type-const-cast): the runtime only reads it
            bound[i] = {i, data, static_cast<uint32_t>(attr.elements * sizeof(int64_t)), 0, abi::TensorType::Int64, attr.format};
        }
        return bound;
    }

    [[nodiscard]] std::vector<abi::Output> bind(std::span<rknnshim_output> outputs) const {
        if (outputs.size() != outputs_.size())
            throw Error(RKNNSHIM_INVALID_ARGUMENT,
                        "'" + context_->name() + "' has " + std::to_string(outputs_.size()) + " outputs and got room for " + std::to_string(outputs.size()));
        std::vector<abi::Output> bound(outputs.size());
        for (uint32_t i = 0; i < outputs.size(); ++i) {
            outputs[i].count = outputs_[i].elements;
            if (outputs[i].count > outputs[i].capacity)
                throw Error(RKNNSHIM_BUFFER_TOO_SMALL, "'" + context_->name() + "': output '" + bounded(outputs_[i].name) + "' has " +
                                                           std::to_string(outputs[i].count) + " elements and got room for " +
                                                           std::to_string(outputs[i].capacity));
            bound[i] = {1, 1, i, outputs[i].data, static_cast<uint32_t>(outputs[i].count * sizeof(float))};
        }
        return bound;
    }

    std::shared_ptr<Context> context_;
    abi::InputOutputNum count_;
    std::vector<abi::TensorAttr> inputs_;
    std::vector<abi::TensorAttr> outputs_;
    bool profiled_;
    std::atomic<bool> cancelled_ = false;
};

} // namespace

std::unique_ptr<Model> load(const std::string& path, const ModelOptions& options) {
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error))
        throw Error(RKNNSHIM_NOT_FOUND, "model '" + path + "' does not exist or is no file");
    const auto& runtime = library(options.rknnrt);
    const uint32_t flags = options.profile ? abi::kFlagCollectPerf : 0U;
    return std::make_unique<RknnModel>(std::make_shared<Context>(runtime, path, flags), options.core_mask, options.profile);
}

} // namespace shim::rknnrt
