#pragma once

#include "backend.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace shim {

/// Checks what all backends take; throws RKNNSHIM_INVALID_ARGUMENT. The backend checks the rest.
[[nodiscard]] ConversionRequest parse_job(std::string_view json);

/// One conversion on its own thread. The destructor cancels it and waits.
class Job final : private JobContext {
public:
    /// The backend converts.
    Job(ConversionRequest request, const Backend& backend);

    /// Waits for an event and gives it to `take`, which keeps it in the queue by
    /// returning anything but RKNNSHIM_OK. RKNNSHIM_PENDING or RKNNSHIM_END when there is none.
    rknnshim_status poll(std::chrono::milliseconds timeout, const std::function<rknnshim_status(std::string_view)>& take);

    ~Job() override { cancel(); }
    Job(const Job&) = delete;
    Job& operator=(const Job&) = delete;

    void cancel() { stop_.request_stop(); }

    /// Throws the job's own error if it failed, RKNNSHIM_PENDING while it runs.
    [[nodiscard]] std::string result() const;

private:
    void progress(const char* activity, int64_t done, int64_t total) override;
    void log(const char* level, const std::string& message) override;
    [[nodiscard]] std::stop_token stop_token() const override { return stop_.get_token(); }

    void work();
    void push(const nlohmann::json& event);
    void end(rknnshim_status status, std::string text);

    ConversionRequest request_;
    const Backend& backend_;
    std::stop_source stop_;

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::string> events_;
    size_t dropped_ = 0;
    rknnshim_status status_ = RKNNSHIM_PENDING;
    std::string text_; // the result's JSON, or the error

    std::jthread thread_; // last: it uses all of the above
};

} // namespace shim
