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
    /// `send` takes one answer at a time; `lock` is the file that keeps a second agent off the NPU.
    Session(std::string folder, std::string lock, std::function<void(Kind, std::span<const std::byte>)> send);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    /// Answers one request; what is wrong with it becomes an Error. False after Quit.
    bool handle(const Message& message);

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

    /// Whoever holds the lock, "" if it is now this process.
    [[nodiscard]] std::string take_lock();
    [[nodiscard]] std::vector<shim::Model*> contexts(std::span<const int32_t> core_masks);
    void send(Kind kind, const nlohmann::json& json);
    void fail(rknnshim_status status, const char* message);

    std::string lock_path_;
    std::function<void(Kind, std::span<const std::byte>)> send_;
    shim::Machine machine_{""};
    Store store_;
    int lock_ = -1;
    bool greeted_ = false;
    bool upload_refused_ = false;
    std::unique_ptr<shim::Model> model_;
    std::vector<uint64_t> output_elements_;
    std::vector<Context> contexts_;
    std::mutex mutex_;
    Batch* batch_ = nullptr; // the one in progress; under mutex_
};

} // namespace agent
