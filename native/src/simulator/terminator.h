#pragma once

#include "ort.h"

#include <mutex>

namespace shim::simulator {

/// Lets cancel() end the run in progress, and no later one. One run at a time.
class Terminator {
public:
    explicit Terminator(const ort::Runtime& runtime);

    /// Calls `run` with run options that cancel() terminates; a run ended so throws RKNNSHIM_CANCELLED.
    template <typename F>
    auto guard(F&& run) {
        begin();
        try {
            auto result = std::forward<F>(run)(options_.get());
            end();
            return result;
        } catch (const Error&) {
            if (end())
                throw Error(RKNNSHIM_CANCELLED, "the run was cancelled");
            throw;
        }
    }

    void cancel() noexcept;

private:
    void begin();
    /// Whether the run was cancelled.
    bool end();

    const OrtApi& api_;
    ort::RunOptions options_;
    std::mutex mutex_;
    bool running_ = false;
    bool cancelled_ = false;
};

} // namespace shim::simulator
