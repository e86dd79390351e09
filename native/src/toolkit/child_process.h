#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace shim::toolkit {

/// An open file, closed at the end.
class Descriptor {
public:
    explicit Descriptor(int number = -1) : number_(number) {}
    Descriptor(Descriptor&& other) noexcept : number_(other.release()) {}
    Descriptor& operator=(Descriptor&& other) noexcept;
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor();

    [[nodiscard]] int get() const { return number_; }
    int release();

private:
    int number_;
};

struct ChildOptions {
    std::vector<std::string> command;     ///< The first is the program's path.
    std::vector<std::string> environment; ///< All of it, NAME=value.
    std::string folder;                   ///< Its current one.
    std::string input;                    ///< File that is its standard input.
    uint64_t max_bytes = 0;               ///< Of address space; 0 does not limit it.
};

/// A program in a process group of its own, all of which ends with this object, with the job's thread and with its leader.
/// Its descriptor 3 is a pipe for events; its standard output and error are another pipe.
class ChildProcess {
public:
    static constexpr int kEvents = 3;

    explicit ChildProcess(const ChildOptions& options);
    ~ChildProcess();
    ChildProcess(const ChildProcess&) = delete;
    ChildProcess& operator=(const ChildProcess&) = delete;

    struct Text {
        std::string_view events;
        std::string_view output;
    };

    /// What came since the last call, waiting up to `timeout`; views are valid until the next call.
    Text read(std::chrono::milliseconds timeout);

    /// How the leader ended, in words, empty after exit code 0; nothing while it runs or has text to read.
    std::optional<std::string> end();

private:
    pid_t leader_ = -1;
    Descriptor events_;
    Descriptor output_;
    std::vector<char> event_buffer_;
    std::vector<char> output_buffer_;
    bool drained_ = false;
};

} // namespace shim::toolkit
