#include "model.h"

#include "context.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <functional>
#include <iterator>

namespace shim::rknnrt {

namespace {

const char* type_name(abi::TensorType type) {
    constexpr std::array kNames{"float32", "float16", "int8",  "uint8", "int16", "uint16",
                                "int32",   "uint32",  "int64", "bool",  "int4",  "bfloat16"};
    const auto index = static_cast<uint32_t>(type);
    return index < kNames.size() ? kNames.at(index) : "unknown";
}

nlohmann::json to_json(const Tensors& attrs) {
    auto result = nlohmann::json::array();
    for (const auto& attr : attrs) {
        const bool affine = attr.quantization == abi::QuantizationType::AffineAsymmetric;
        result.push_back({{"name", bounded(attr.name)},
                          {"type", type_name(attr.type)},
                          {"dims", dims(attr)},
                          {"quantization",
                           {{"type", affine ? "affine" : "none"},
                            {"scale", affine ? attr.scale : 1.0F},
                            {"zero_point", affine ? attr.zero_point : 0}}}});
    }
    return result;
}

/// One for all inputs if they are the same, else each.
std::string joined(std::vector<std::string> inputs) {
    if (std::ranges::adjacent_find(inputs, std::ranges::not_equal_to()) == inputs.end())
        inputs.resize(1);
    std::string result;
    for (const auto& input : inputs)
        result.append(result.empty() ? "" : " ").append(input);
    return result;
}

/// As [1,64] or [1,128].
std::string text(const std::vector<Tensors>& shapes) {
    std::string result;
    for (const auto& shape : shapes) {
        std::vector<std::string> inputs;
        std::ranges::transform(shape, std::back_inserter(inputs), [](const auto& attr) { return nlohmann::json(dims(attr)).dump(); });
        result.append(result.empty() ? "" : " or ").append(joined(std::move(inputs)));
    }
    return result;
}

std::string text(std::span<const rknnshim_input> inputs) {
    std::vector<std::string> counts;
    std::ranges::transform(inputs, std::back_inserter(counts), [](const auto& input) { return std::to_string(input.count); });
    return joined(std::move(counts)) + " elements";
}

class RknnModel final : public Model {
public:
    RknnModel(std::shared_ptr<Context> context, int core_mask, bool profiled)
        : context_(std::move(context)), count_(context_->query<abi::InputOutputNum>(abi::Query::InOutNum, "number of inputs and outputs")),
          inputs_(context_->tensors(abi::Query::InputAttr, count_.inputs, "inputs")),
          outputs_(context_->tensors(abi::Query::OutputAttr, count_.outputs, "outputs")), shapes_(context_->shapes(inputs_)),
          profiled_(profiled) {
        if (shapes_.empty())
            current_ = {inputs_, outputs_};
        if (core_mask != 0) // single-core chips do not know masks
            check(context_->library().set_core_mask(context_->get(), static_cast<abi::CoreMask>(core_mask)),
                  "'" + context_->name() + "': core mask " + std::to_string(core_mask));
    }

    [[nodiscard]] nlohmann::json describe() const override {
        const auto version = context_->query<abi::SdkVersion>(abi::Query::SdkVersion, "runtime version");
        const auto memory = memory_size(context_->library(), context_->name());
        const auto custom = context_->query<abi::CustomString>(abi::Query::CustomString, "custom string");
        const auto api = bounded(version.api);
        return {{"simulated", api.find(kSimulatorMark) != std::string::npos},
                {"sdk_version", "RKNN runtime " + api + ", driver " + bounded(version.driver)},
                {"driver", bounded(version.driver)},
                {"target", ""}, // the runtime does not tell it, and runs nothing that is for another platform
                {"custom_string", bounded(custom.text)},
                {"memory", {{"weights", memory.weights}, {"internal", memory.internal}}},
                {"inputs", to_json(inputs_)},
                {"outputs", to_json(outputs_)}};
    }

    int64_t run(std::span<const rknnshim_input> inputs, std::span<rknnshim_output> outputs) override {
        const Library& library = context_->library();
        take_shape(inputs);
        const auto in = bind(inputs);
        auto out = bind(outputs);
        cancelled_ = false;
        const std::string failed = "'" + context_->name() + "' failed to run";
        // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast)
        check(library.inputs_set(context_->get(), static_cast<uint32_t>(in.size()), const_cast<abi::Input*>(in.data())),
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
            throw Error(RKNNSHIM_UNSUPPORTED,
                        "'" + context_->name() + "' was loaded without the option 'profile': no table of layers was kept");
        const auto detail = context_->query<abi::PerfDetail>(abi::Query::PerfDetail, "table of layers");
        constexpr uint64_t kMaxTable = uint64_t{4} << 20U;
        return detail.text == nullptr ? "" : std::string(detail.text, strnlen(detail.text, std::min(detail.length, kMaxTable)));
    }

private:
    /// Of a file for several shapes: sets the one whose inputs have these sizes, unless it is set.
    void take_shape(std::span<const rknnshim_input> inputs) {
        const auto fits = [&](const Tensors& shape) {
            return std::ranges::equal(inputs, shape, {}, &rknnshim_input::count, &abi::TensorAttr::elements);
        };
        if (shapes_.empty() || inputs.size() != inputs_.size() || fits(current_.inputs))
            return;
        const auto found = std::ranges::find_if(shapes_, fits);
        if (found == shapes_.end())
            throw Error(RKNNSHIM_INVALID_ARGUMENT, "'" + context_->name() + "' was built for inputs of " + text(shapes_) + " and got " +
                                                       text(inputs) +
                                                       "; pad to one of these shapes, or build the model for another one too");
        current_ = {}; // unknown if this fails
        auto attrs = *found;
        check(context_->library().set_input_shapes(context_->get(), count_.inputs, attrs.data()),
              "'" + context_->name() + "' does not take the shape " + text({*found}));
        current_ = {*found, context_->tensors(abi::Query::CurrentOutputAttr, count_.outputs, "outputs")};
    }

    [[nodiscard]] std::vector<abi::Input> bind(std::span<const rknnshim_input> inputs) const {
        if (inputs.size() != inputs_.size())
            throw Error(RKNNSHIM_INVALID_ARGUMENT, "'" + context_->name() + "' has " + std::to_string(inputs_.size()) + " inputs and got " +
                                                       std::to_string(inputs.size()));
        std::vector<abi::Input> bound(inputs.size());
        for (uint32_t i = 0; i < inputs.size(); ++i) {
            const auto& attr = current_.inputs[i];
            if (inputs[i].count != attr.elements)
                throw Error(RKNNSHIM_INVALID_ARGUMENT, "'" + context_->name() + "': input '" + bounded(attr.name) + "' has " +
                                                           std::to_string(attr.elements) + " elements and got " +
                                                           std::to_string(inputs[i].count));
            // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): the runtime only reads it
            auto* const data = const_cast<int64_t*>(inputs[i].data);
            bound[i] = {i, data, static_cast<uint32_t>(attr.elements * sizeof(int64_t)), 0, abi::TensorType::Int64, attr.format};
        }
        return bound;
    }

    [[nodiscard]] std::vector<abi::Output> bind(std::span<rknnshim_output> outputs) const {
        if (outputs.size() != outputs_.size())
            throw Error(RKNNSHIM_INVALID_ARGUMENT, "'" + context_->name() + "' has " + std::to_string(outputs_.size()) +
                                                       " outputs and got room for " + std::to_string(outputs.size()));
        std::vector<abi::Output> bound(outputs.size());
        for (uint32_t i = 0; i < outputs.size(); ++i) {
            outputs[i].count = current_.outputs[i].elements;
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
    Tensors inputs_; // as loaded
    Tensors outputs_;
    std::vector<Tensors> shapes_;
    struct {
        Tensors inputs;
        Tensors outputs;
    } current_; // of the next run; empty until a shape is set
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
