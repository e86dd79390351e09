#pragma once

#include "agent/message.h"
#include "agent/sha256.h"
#include "fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>
#include <vector>

/// The agent as a process, over pipes.
namespace test::agents {

using namespace agent;
using namespace std::chrono_literals;

inline std::string environment(const char* name) {
    const char* const value = std::getenv(name); // NOLINT(concurrency-mt-unsafe): nothing sets it
    return value == nullptr ? "" : value;
}

/// How an agent is started.
struct Start {
    std::vector<std::string> command{environment("RKNN_AGENT")}; ///< the folder for models is added
    std::vector<std::string> variables;                          ///< NAME=VALUE; of this process's environment it gets nothing
};

/// A running agent. Its standard error goes to the test's.
class Agent {
public:
    explicit Agent(const test::Folder& folder, const Start& start = {}) {
        std::array<int, 2> in{};
        std::array<int, 2> out{};
        if (pipe2(in.data(), O_CLOEXEC) != 0 || pipe2(out.data(), O_CLOEXEC) != 0)
            throw std::runtime_error("no pipe");
        auto command = start.command;
        command.push_back(folder.path("cache"));
        auto variables = start.variables;
        variables.push_back("MODELPIPELINE_LOCK=" + folder.path("lock"));
        variables.push_back("MODELPIPELINE_ROOT=" + folder.path(""));
        const auto arguments = pointers(command);
        const auto values = pointers(variables);
        process_ = fork();
        if (process_ == 0) {
            dup2(in[0], STDIN_FILENO);
            dup2(out[1], STDOUT_FILENO);
            execve(arguments[0], arguments.data(), values.data());
            _exit(127);
        }
        close(in[0]);
        close(out[1]);
        to_ = in[1];
        from_ = out[0];
    }
    ~Agent() {
        hang_up();
        if (process_ > 0) {
            kill(process_, SIGKILL);
            waitpid(process_, nullptr, 0);
        }
    }
    Agent(const Agent&) = delete;
    Agent& operator=(const Agent&) = delete;

    void send(Kind kind, std::string_view payload) const {
        const auto length = static_cast<uint32_t>(payload.size() + 1);
        raw(std::string(reinterpret_cast<const char*>(&length), sizeof length) + static_cast<char>(kind) + std::string(payload));
    }

    void request(Kind kind, const nlohmann::json& json) const { send(kind, json.dump()); }

    void raw(const std::string& bytes) const {
        for (size_t done = 0; done < bytes.size();) {
            const ssize_t n = write(to_, bytes.data() + done, bytes.size() - done);
            if (n <= 0)
                throw std::runtime_error("the agent does not read");
            done += static_cast<size_t>(n);
        }
    }

    Message receive(std::chrono::milliseconds limit = 30s) {
        std::array<std::byte, 65536> block{};
        while (true) {
            if (auto message = reader_.next())
                return std::move(*message);
            pollfd ready{from_, POLLIN, 0};
            if (poll(&ready, 1, static_cast<int>(limit.count())) <= 0)
                throw std::runtime_error("the agent does not answer");
            const ssize_t n = ::read(from_, block.data(), block.size());
            if (n <= 0)
                throw std::runtime_error("the agent ended");
            reader_.feed(std::span(block).first(static_cast<size_t>(n)));
        }
    }

    nlohmann::json expect(Kind kind) {
        const auto message = receive();
        if (message.kind != kind)
            test::fail(__FILE__, __LINE__, "kind " + std::to_string(static_cast<int>(message.kind)) + ": " + std::string(message.text()));
        return message.text().empty() || message.text()[0] != '{' ? nlohmann::json() : nlohmann::json::parse(message.text());
    }

    nlohmann::json hello() {
        request(Kind::Hello, {{"protocol", kProtocol}, {"rknnrt", environment("RKNNRT_LIBRARY")}});
        return expect(Kind::HelloReply);
    }

    void hang_up() {
        for (int* const file : {&to_, &from_}) {
            if (*file >= 0)
                close(*file);
            *file = -1;
        }
    }

    /// The exit code, -1 if it did not end in time, 128 + signal.
    int wait(std::chrono::milliseconds limit) {
        const auto end = std::chrono::steady_clock::now() + limit;
        for (int status = 0; std::chrono::steady_clock::now() < end; std::this_thread::sleep_for(5ms))
            if (waitpid(process_, &status, WNOHANG) == process_) {
                process_ = 0;
                return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            }
        return -1;
    }

    [[nodiscard]] pid_t process() const { return process_; }

private:
    static std::vector<char*> pointers(std::vector<std::string>& texts) {
        std::vector<char*> result;
        for (auto& text : texts)
            result.push_back(text.data());
        result.push_back(nullptr);
        return result;
    }

    pid_t process_ = 0;
    int to_ = -1;
    int from_ = -1;
    MessageReader reader_;
};

inline std::string sha256(const std::string& bytes) {
    Sha256 hash;
    hash.update(std::as_bytes(std::span(bytes)));
    return hash.finish();
}

inline std::string batch(const std::vector<int32_t>& masks, uint32_t passages, uint32_t elements) {
    Writer writer;
    writer.put(static_cast<uint32_t>(masks.size()));
    for (const auto mask : masks)
        writer.put(mask);
    writer.put(passages).put(uint32_t{1}).put(elements);
    for (uint32_t i = 0; i < passages * elements; ++i)
        writer.put(static_cast<int32_t>(i));
    return {reinterpret_cast<const char*>(writer.bytes().data()), writer.bytes().size()};
}

template <typename T>
T number(const Message& message, size_t offset) {
    T value{};
    CHECK(message.payload.size() >= offset + sizeof value);
    std::memcpy(&value, message.payload.data() + offset, sizeof value);
    return value;
}

} // namespace test::agents
