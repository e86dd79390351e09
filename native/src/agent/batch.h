#pragma once

#include "session.h"

#include <chrono>

namespace agent {

/// Passages that several contexts work off together, each on a thread of its own.
class Session::Batch {
public:
    using Send = std::function<void(const std::vector<std::byte>& result)>;

    Batch(const RunRequest& request, std::vector<shim::Model*> contexts, std::vector<uint64_t> output_elements, Send send)
        : request_(request), contexts_(std::move(contexts)), output_elements_(std::move(output_elements)), send_(std::move(send)) {}

    /// Runs all passages; returns microseconds in all. The first failure ends the batch and is thrown.
    int64_t run();

    void cancel();

private:
    void work(uint32_t context);
    [[nodiscard]] std::vector<std::byte> passage(uint32_t index, uint32_t context, std::vector<uint64_t>& output_elements) const;

    const RunRequest& request_;
    std::vector<shim::Model*> contexts_;
    std::vector<uint64_t> output_elements_;
    Send send_;
    std::atomic<uint32_t> next_ = 0;
    std::atomic<bool> cancelled_ = false;
    std::mutex mutex_;
    std::exception_ptr failure_; // the first one; under mutex_
};

} // namespace agent
