#include "terminator.h"

namespace shim::simulator {

Terminator::Terminator(const ort::Runtime& runtime) : api_(*runtime.api) {
    OrtRunOptions* raw = nullptr;
    ort::check(api_.CreateRunOptions(&raw), RKNNSHIM_RUNTIME_ERROR, "run options");
    options_.reset(raw);
}

void Terminator::begin() {
    const std::lock_guard lock(mutex_);
    ort::check(api_.RunOptionsUnsetTerminate(options_.get()), RKNNSHIM_RUNTIME_ERROR, "run options");
    running_ = true;
    cancelled_ = false;
}

bool Terminator::end() {
    const std::lock_guard lock(mutex_);
    running_ = false;
    return cancelled_;
}

void Terminator::cancel() noexcept {
    const std::lock_guard lock(mutex_);
    if (!running_)
        return;
    cancelled_ = true;
    if (OrtStatus* const status = api_.RunOptionsSetTerminate(options_.get()))
        api_.ReleaseStatus(status); // the run then ends in its own time
}

} // namespace shim::simulator
