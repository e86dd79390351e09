#include "layers.h"
#include "session.h"
#include "simulator.h"
#include "terminator.h"

#include <filesystem>

namespace shim::simulator {

namespace {

class OrtModel final : public Model {
public:
    OrtModel(std::shared_ptr<const Session> session, bool simulated, bool profiled)
        : session_(std::move(session)), terminator_(session_->runtime()), simulated_(simulated), profiled_(profiled) {
        if (simulated && session_->metadata(kSimulatedKey) != "true")
            throw Error(RKNNSHIM_INVALID_MODEL,
                        "'" + session_->name() +
                            "' is not a simulated artifact: it lacks the mark that the simulator's conversion writes; "
                            "convert the model first, or load it with the backend onnx");
    }

    [[nodiscard]] nlohmann::json describe() const override {
        const auto target = session_->metadata(kTargetKey).value_or("");
        const auto runtime = "ONNX Runtime " + session_->runtime().version;
        return {{"simulated", simulated_},
                {"sdk_version", simulated_ ? runtime + " (simulates " + target + ", no NPU)" : runtime},
                {"target", target},
                {"custom_string", session_->metadata(kCustomStringKey).value_or("")},
                {"inputs", to_json(session_->inputs(), "int64")},
                {"outputs", to_json(session_->outputs(), "float32")}};
    }

    int64_t run(std::span<const rknnshim_input> inputs, std::span<rknnshim_output> outputs) override {
        return microseconds_ = terminator_.guard([&](OrtRunOptions* options) { return session_->run(options, inputs, outputs); });
    }

    void cancel() override { terminator_.cancel(); }

    [[nodiscard]] std::unique_ptr<Model> duplicate(int /*core_mask*/) const override {
        return std::make_unique<OrtModel>(session_, simulated_, profiled_);
    }

    [[nodiscard]] std::string profile() const override {
        if (!simulated_ || !profiled_)
            throw Error(RKNNSHIM_UNSUPPORTED, "'" + session_->name() +
                                                  "': no table of layers was kept: that takes the option 'profile', and the backend "
                                                  "rknnrt or simulator");
        if (microseconds_ < 0)
            throw Error(RKNNSHIM_UNSUPPORTED, "'" + session_->name() + "': no table of layers before its first run");
        return layers(session_->inputs(), session_->outputs(), microseconds_);
    }

private:
    std::shared_ptr<const Session> session_;
    Terminator terminator_;
    bool simulated_;
    bool profiled_;
    int64_t microseconds_ = -1; // of the last run
};

std::shared_ptr<const Session> open(const std::string& path, const ModelOptions& options, Optimization optimization) {
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error))
        throw Error(RKNNSHIM_NOT_FOUND, "model '" + path + "' does not exist or is no file");
    return std::make_shared<const Session>(
        Session::from_file(ort::runtime(options.onnxruntime), path, {path, optimization, options.threads, options.batch}));
}

} // namespace

std::unique_ptr<Model> load_onnx(const std::string& path, const ModelOptions& options) {
    return std::make_unique<OrtModel>(open(path, options, Optimization::Full), false, options.profile);
}

std::unique_ptr<Model> load_artifact(const std::string& path, const ModelOptions& options) {
    return std::make_unique<OrtModel>(open(path, options, Optimization::QuantizeAsWritten), true, options.profile);
}

} // namespace shim::simulator
