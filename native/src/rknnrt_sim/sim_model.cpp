#include "sim_model.h"

#include "files.h"
#include "simulator/simulator.h"

#include <algorithm>
#include <cstdlib>
#include <sstream>

namespace shim::rknnrt {

namespace {

constexpr size_t kMaxModelBytes = (size_t{2} << 30U) - 1;
constexpr uint32_t kMaxLength = 65536;

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

std::vector<uint64_t> output_sizes(const simulator::Session& session, const std::vector<simulator::Tensor>& inputs) {
    std::vector<std::vector<int64_t>> zeros;
    std::vector<rknnshim_input> in;
    for (const auto& input : inputs) {
        const auto& values = zeros.emplace_back(input.count());
        in.push_back({values.data(), values.size()});
    }
    std::vector<std::vector<float>> room(session.outputs().size());
    std::vector<rknnshim_output> out(room.size());
    for (size_t i = 0; i < room.size(); ++i) {
        room[i].resize(session.outputs()[i].fixed() ? session.outputs()[i].count() : 0);
        out[i] = {room[i].data(), room[i].size(), 0};
    }
    try {
        session.run(nullptr, in, out);
    } catch (const Error& e) {
        if (e.status() != RKNNSHIM_BUFFER_TOO_SMALL) // there is no room for outputs of open shape
            throw;
    }
    std::vector<uint64_t> sizes(out.size());
    std::ranges::transform(out, sizes.begin(), &rknnshim_output::count);
    return sizes;
}

Shape shape(const simulator::Session& session, uint64_t length) {
    const auto resolved = [](const simulator::Tensor& tensor, uint64_t count) {
        auto result = tensor.resolved(count);
        if (result.count() != count)
            throw Error(RKNNSHIM_INVALID_MODEL,
                        "'" + tensor.name + "' is " + tensor.shape() + " and cannot have " + std::to_string(count) + " elements");
        return result;
    };
    Shape result;
    for (const auto& input : session.inputs())
        result.inputs.push_back(resolved(input, length));
    const auto sizes = output_sizes(session, result.inputs);
    for (size_t i = 0; i < sizes.size(); ++i)
        result.outputs.push_back(resolved(session.outputs()[i], sizes[i]));
    return result;
}

/// Of an artifact for several shapes, in its order; none of any other.
std::vector<Shape> listed_shapes(const simulator::Session& session) {
    const auto text = session.metadata("rknnrt_sim.sequences");
    if (!text)
        return {};
    std::vector<Shape> result;
    std::istringstream words(*text);
    for (uint32_t length = 0; words >> length;) {
        require(length > 0 && length <= kMaxLength && result.size() < abi::kMaxDynamicShapes, Status::ModelInvalid,
                "rknnrt_sim.sequences has too many or too long ones");
        result.push_back(shape(session, length));
    }
    require(!result.empty() && words.eof(), Status::ModelInvalid, "rknnrt_sim.sequences must be numbers");
    return result;
}

} // namespace

const Shape& SimModel::loaded() const {
    return *std::ranges::max_element(shapes, {}, [](const Shape& shape) { return shape.inputs.empty() ? 0 : shape.inputs[0].count(); });
}

std::shared_ptr<const SimModel> load_model(const void* model, uint32_t size, bool profiled) {
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
    auto session = simulator::Session::from_bytes(runtime, bytes, {name, simulator::Optimization::QuantizeAsWritten, 1}, std::stop_token());
    require(session.metadata(simulator::kSimulatedKey) == "true", Status::ModelInvalid,
            "the model is not marked as simulated; a real .rknn needs a board");
    require(session.metadata(simulator::kTargetKey) == platform(), Status::TargetPlatformUnmatch,
            "the model was converted for another platform");
    auto shapes = listed_shapes(session);
    const bool dynamic = !shapes.empty();
    if (!dynamic)
        shapes.push_back({session.inputs(), session.outputs()});
    for (const auto& shape : shapes)
        for (const auto* tensors : {&shape.inputs, &shape.outputs})
            for (const auto& tensor : *tensors)
                require(tensor.fixed() && tensor.dims.size() <= abi::kMaxDims && tensor.count() <= UINT32_MAX / sizeof(int64_t),
                        Status::ModelInvalid, "the model has a tensor of no fixed shape");
    auto fault = fault_of(session);
    auto layers = session.metadata("rknnrt_sim.layers");
    return std::make_shared<const SimModel>(
        SimModel{std::move(session), std::move(fault), bytes.size(), profiled, std::move(layers), dynamic, std::move(shapes)});
}

} // namespace shim::rknnrt
