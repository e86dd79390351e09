#include "batch.h"

#include <thread>

namespace agent {

using shim::Error;

int64_t Session::Batch::run() {
    const auto begin = std::chrono::steady_clock::now();
    {
        std::vector<std::jthread> others;
        for (uint32_t context = 1; context < contexts_.size(); ++context)
            others.emplace_back([this, context] { work(context); });
        work(0);
    }
    const auto elapsed = std::chrono::steady_clock::now() - begin;
    if (failure_)
        std::rethrow_exception(failure_);
    return std::chrono::duration_cast<std::chrono::microseconds>(elapsed).count();
}

void Session::Batch::cancel() {
    cancelled_ = true;
    for (auto* const context : contexts_)
        context->cancel();
}

void Session::Batch::work(uint32_t context) {
    try {
        auto output_elements = output_elements_; // grow where they follow from the inputs
        for (uint32_t index = next_++; index < request_.passages; index = next_++) {
            if (cancelled_)
                throw Error(RKNNSHIM_CANCELLED, "the run was cancelled");
            const auto result = passage(index, context, output_elements);
            const std::lock_guard lock(mutex_);
            if (!failure_)
                send_(result);
        }
    } catch (...) {
        const std::lock_guard lock(mutex_);
        if (!failure_)
            failure_ = std::current_exception();
        next_ = request_.passages;
    }
}

std::vector<std::byte> Session::Batch::passage(uint32_t index, uint32_t context, std::vector<uint64_t>& output_elements) const {
    std::vector<rknnshim_input> inputs(request_.inputs);
    for (uint32_t i = 0; i < request_.inputs; ++i)
        inputs[i] = {request_.values.data() + (size_t{index} * request_.inputs + i) * request_.elements, request_.elements};
    std::vector<std::vector<float>> room;
    room.reserve(output_elements.size());
    for (const auto elements : output_elements)
        room.emplace_back(elements);
    std::vector<rknnshim_output> outputs;
    const auto bind = [&] {
        outputs.clear();
        for (auto& values : room)
            outputs.push_back({values.data(), values.size(), 0});
    };
    int64_t microseconds = 0;
    bind();
    try {
        microseconds = contexts_[context]->run(inputs, outputs);
    } catch (const Error& e) {
        if (e.status() != RKNNSHIM_BUFFER_TOO_SMALL)
            throw;
        for (size_t i = 0; i < room.size(); ++i) {
            if (outputs[i].count > kMaxMessage / sizeof(float))
                throw Error(RKNNSHIM_RUNTIME_ERROR, "an output of " + std::to_string(outputs[i].count) + " elements is too large to send");
            output_elements[i] = std::max(outputs[i].count, output_elements[i]);
            room[i].resize(output_elements[i]);
        }
        bind();
        microseconds = contexts_[context]->run(inputs, outputs);
    }
    Writer writer;
    writer.put(index).put(context).put(microseconds).put(static_cast<uint32_t>(outputs.size()));
    for (const auto& output : outputs)
        writer.put(static_cast<uint32_t>(output.count)).put(std::span<const float>(output.data, output.count));
    if (writer.bytes().size() >= kMaxMessage)
        throw Error(RKNNSHIM_RUNTIME_ERROR, "the outputs of one passage have " + std::to_string(writer.bytes().size()) +
                                                " bytes; at most " + std::to_string(kMaxMessage) + " can be sent");
    return writer.bytes();
}

} // namespace agent
