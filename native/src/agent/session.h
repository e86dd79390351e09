#pragma once

#include "backend.h"
#include "machine.h"
#include "message.h"
#include "store.h"

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>

namespace agent {

/// One client's session: answers its requests. `cancel` comes from any thread, everything else from one.
class Session {
public:
    /// `send` takes one answer at a time; `lock` is the file that keeps a second process off the NPU;
    /// `root` stands in front of /proc and /sys.
    Session(std::string folder, std::string lock, const std::string& root, std::function<void(Kind, std::span<const std::byte>)> send);

    /// Answers one request; what is wrong with it becomes an Error. False after Quit.
    bool handle(const Message& message);

    /// Seconds for which the client may say nothing, 0 for ever; it may outlive the session.
    [[nodiscard]] std::shared_ptr<const std::atomic<int64_t>> silence() const { return silence_; }

    /// The client is gone: the run in progress ends, and so does any that begins.
    void cancel();

private:
    struct Context {
        int core_mask;
        std::unique_ptr<shim::Model> model;
    };
    class Batch;

    void hello(std::string_view json);
    void load(std::string_view json);
    void store(std::string_view json);
    void chunk(std::span<const std::byte> bytes);
    void run(const RunRequest& request);
    void governor(std::string_view json);
    void status(const std::string& note);
    void profile();

    [[nodiscard]] std::vector<shim::Model*> contexts(std::span<const int32_t> core_masks);
    void send(Kind kind, const nlohmann::json& json);
    void fail(rknnshim_status status, const char* message);

    std::string lock_path_;
    std::function<void(Kind, std::span<const std::byte>)> send_;
    shim::Machine machine_;
    Store store_;
    bool greeted_ = false;
    std::shared_ptr<std::atomic<int64_t>> silence_ = std::make_shared<std::atomic<int64_t>>(0);
    bool upload_refused_ = false;
    std::unique_ptr<shim::Model> model_;
    std::vector<uint64_t> output_elements_;
    std::vector<Context> contexts_;
    std::mutex mutex_;
    Batch* batch_ = nullptr; // the one in progress; under mutex_
    bool cancelled_ = false; // under mutex_
};

} // namespace agent
