#include "files.h"
#include "metadata.h"
#include "session.h"
#include "simulator.h"
#include "terminator.h"

#include <string_view>

namespace shim::simulator {

namespace {

constexpr size_t kMaxModelBytes = (size_t{2} << 30U) - 1; // protobuf's own limit for one message
constexpr const char* kSuffix = ".sim.onnx";

void require_static(const std::string& source, const Session& session) {
    for (const auto& input : session.inputs())
        if (input.dims.size() != 2 || input.dims[0] < 1 || input.dims[1] < 1)
            throw Error(RKNNSHIM_INVALID_MODEL, "'" + source + "': input '" + input.name + "' is " + input.shape() +
                                                    "; an NPU needs a fixed shape [B,S]: pin the model's shapes first");
    for (const auto& output : session.outputs())
        if (!output.fixed())
            throw Error(RKNNSHIM_INVALID_MODEL, "'" + source + "': output '" + output.name + "' is " + output.shape() +
                                                    "; an NPU needs fixed shapes: pin the model's shapes first");
}

int64_t run_on_zeros(const Session& session, JobContext& context) {
    std::vector<std::vector<int64_t>> zeros;
    std::vector<rknnshim_input> inputs;
    for (const auto& input : session.inputs()) {
        zeros.emplace_back(input.count());
        inputs.push_back({zeros.back().data(), zeros.back().size()});
    }
    std::vector<std::vector<float>> room;
    std::vector<rknnshim_output> outputs;
    for (const auto& output : session.outputs()) {
        room.emplace_back(output.count());
        outputs.push_back({room.back().data(), room.back().size(), 0});
    }
    Terminator terminator(session.runtime());
    return terminator.guard([&](OrtRunOptions* options) {
        const std::stop_callback on_stop(context.stop_token(), [&]() noexcept { terminator.cancel(); });
        return session.run(options, inputs, outputs);
    });
}

} // namespace

nlohmann::json convert(ConversionRequest& request, JobContext& context) {
    const auto library = request.fields.text("onnxruntime", "");
    const auto threads = static_cast<int>(request.fields.integer("threads", 0, 0, 1024));
    request.fields.finish();
    if (!request.artifact.ends_with(kSuffix))
        throw Error(RKNNSHIM_INVALID_ARGUMENT,
                    "artifact '" + request.artifact + "' must end in " + kSuffix + ", so that nobody takes it for a real .rknn");

    constexpr int64_t kSteps = 3;
    const auto begin = [&](const char* activity, int64_t done) {
        context.throw_if_cancelled();
        context.progress(activity, done, kSteps);
    };
    begin("load", 0);
    const std::string mark = metadata_entry(kSimulatedKey, "true") + metadata_entry(kTargetKey, request.target) +
                             metadata_entry(kCustomStringKey, request.custom_string);
    auto bytes = read_file(request.source, kMaxModelBytes - mark.size(), mark.size());
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (text.find(kSimulatedKey) != std::string_view::npos)
        throw Error(RKNNSHIM_INVALID_MODEL,
                    "'" + request.source + "' is itself a simulated artifact; start from the ONNX model it was made of");

    // What is written is what is proved: the marked bytes.
    const auto mark_bytes = std::as_bytes(std::span(mark));
    bytes.insert(bytes.end(), mark_bytes.begin(), mark_bytes.end());
    const auto& runtime = ort::runtime(library);
    const Session artifact =
        Session::from_bytes(runtime, bytes, {request.source, Optimization::QuantizeAsWritten, threads}, context.stop_token());
    if (artifact.metadata(kSimulatedKey) != "true" || artifact.metadata(kCustomStringKey) != request.custom_string)
        throw Error(RKNNSHIM_INVALID_MODEL,
                    "'" + request.source + "' ends in a damaged part: the simulator's mark cannot be read back behind it");
    require_static(request.source, artifact);

    begin("run", 1);
    const int64_t microseconds = run_on_zeros(artifact, context);
    context.log("info", "ran once on zeros in " + std::to_string(microseconds) + " us on ONNX Runtime " + runtime.version);

    begin("write", 2);
    write_file_atomically(request.artifact, bytes);
    context.progress("write", kSteps, kSteps);
    return {{"artifact", request.artifact},
            {"bytes", bytes.size()},
            {"simulated", true},
            {"run_microseconds", microseconds},
            {"inputs", to_json(artifact.inputs(), "int64")},
            {"outputs", to_json(artifact.outputs(), "float32")}};
}

} // namespace shim::simulator
