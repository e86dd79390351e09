#include "job.h"

#include <algorithm>
#include <exception>

namespace shim {

namespace {

constexpr size_t kMaxEvents = 4096;
constexpr size_t kMaxCustomString = 1023; // what the vendor's runtime can give back

} // namespace

ConversionRequest parse_job(std::string_view json) {
    Fields fields(json, "job");
    auto source = fields.text("source");
    auto artifact = fields.text("artifact");
    auto target = fields.text("target");
    if (target.size() > 16 || !std::ranges::all_of(target, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }))
        throw Error(RKNNSHIM_INVALID_ARGUMENT, "job: 'target' must be a platform such as rk3588, not '" + target + "'");
    auto custom_string = fields.text("custom_string", "");
    if (custom_string.size() > kMaxCustomString)
        throw Error(RKNNSHIM_INVALID_ARGUMENT, "job: 'custom_string' has " + std::to_string(custom_string.size()) + " bytes; at most " +
                                                   std::to_string(kMaxCustomString) + " fit");
    return {std::move(source), std::move(artifact), std::move(target), std::move(custom_string), std::move(fields)};
}

Job::Job(ConversionRequest request, const Backend& backend)
    : request_(std::move(request)), backend_(backend), thread_([this] { work(); }) {}

void Job::work() {
    try {
        const auto result = backend_.convert(request_, *this);
        end(RKNNSHIM_OK, dump(result));
    } catch (const Error& e) {
        end(e.status(), e.what());
    } catch (const std::exception& e) {
        end(RKNNSHIM_INTERNAL_ERROR, e.what());
    }
}

void Job::progress(const char* activity, int64_t done, int64_t total) {
    push({{"event", "progress"}, {"activity", activity}, {"done", done}, {"total", total}});
}

void Job::log(const char* level, const std::string& message) {
    push({{"event", "log"}, {"level", level}, {"message", message}});
}

void Job::push(const nlohmann::json& event) {
    auto line = dump(event);
    {
        const std::lock_guard lock(mutex_);
        if (events_.size() == kMaxEvents) {
            events_.pop_front();
            ++dropped_;
        }
        events_.push_back(std::move(line));
    }
    changed_.notify_all();
}

void Job::end(rknnshim_status status, std::string text) {
    {
        const std::lock_guard lock(mutex_);
        events_.push_back(
            dump({{"event", "done"}, {"status", status}, {"message", status == RKNNSHIM_OK ? "" : text}, {"dropped", dropped_}}));
        status_ = status;
        text_ = std::move(text);
    }
    changed_.notify_all();
}

rknnshim_status Job::poll(std::chrono::milliseconds timeout, const std::function<rknnshim_status(std::string_view)>& take) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, timeout, [this] { return !events_.empty() || status_ != RKNNSHIM_PENDING; });
    if (events_.empty())
        return status_ == RKNNSHIM_PENDING ? RKNNSHIM_PENDING : RKNNSHIM_END;
    const auto taken = take(events_.front());
    if (taken == RKNNSHIM_OK)
        events_.pop_front();
    return taken;
}

std::string Job::result() const {
    const std::lock_guard lock(mutex_);
    if (status_ == RKNNSHIM_PENDING)
        throw Error(RKNNSHIM_PENDING, "the job has not ended yet");
    if (status_ != RKNNSHIM_OK)
        throw Error(status_, text_);
    return text_;
}

} // namespace shim
