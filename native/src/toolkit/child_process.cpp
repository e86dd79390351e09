#include "child_process.h"

#include "../error.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <system_error>

namespace shim::toolkit {

namespace {

constexpr size_t kBufferBytes = size_t{1} << 16U;
constexpr int kCannotStart = 127;

std::string reason() {
    return std::generic_category().message(errno);
}

struct Pipe {
    Descriptor read;
    Descriptor write;
};

Pipe make_pipe() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0)
        throw Error(RKNNSHIM_IO_ERROR, "start: no pipe: " + reason());
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    return {Descriptor(ends[0]), Descriptor(ends[1])};
}

/// What exec takes, which writes to none of it.
std::vector<char*> pointers(std::vector<std::string>& words) {
    std::vector<char*> result;
    result.reserve(words.size() + 1);
    for (auto& word : words)
        result.push_back(word.data());
    result.push_back(nullptr);
    return result;
}

struct Program {
    char* const* command;
    char* const* environment;
    const char* folder;
    const rlimit* memory;
};

/// Between fork and exec: only calls that are safe there.
[[noreturn]] void become(const Program& program, int input, int output, int events, pid_t parent) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, nullptr);
    signal(SIGPIPE, SIG_DFL);
    // First out of the way of the numbers they get.
    input = fcntl(input, F_DUPFD, ChildProcess::kEvents + 1);
    output = fcntl(output, F_DUPFD, ChildProcess::kEvents + 1);
    events = fcntl(events, F_DUPFD, ChildProcess::kEvents + 1);
    constexpr rlimit kNoCore{0, 0};
    setrlimit(RLIMIT_CORE, &kNoCore);
    const bool ready = getppid() == parent && dup2(input, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0 &&
                       dup2(output, STDERR_FILENO) >= 0 && dup2(events, ChildProcess::kEvents) >= 0 && chdir(program.folder) == 0 &&
                       (program.memory == nullptr || setrlimit(RLIMIT_AS, program.memory) == 0);
    if (ready) {
        close_range(ChildProcess::kEvents + 1, ~0U, 0);
        execve(program.command[0], program.command, program.environment);
    }
    _exit(kCannotStart);
}

/// Closes the pipe at its end.
std::string_view fill(Descriptor& pipe, bool readable, std::vector<char>& buffer) {
    if (pipe.get() < 0 || !readable)
        return {};
    const ssize_t count = read(pipe.get(), buffer.data(), buffer.size());
    if (count == 0)
        pipe = Descriptor();
    return count > 0 ? std::string_view(buffer.data(), static_cast<size_t>(count)) : std::string_view();
}

} // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
    if (this != &other) {
        if (number_ >= 0)
            close(number_);
        number_ = other.release();
    }
    return *this;
}

Descriptor::~Descriptor() {
    if (number_ >= 0)
        close(number_);
}

int Descriptor::release() {
    const int number = number_;
    number_ = -1;
    return number;
}

ChildProcess::ChildProcess(const ChildOptions& options) : event_buffer_(kBufferBytes), output_buffer_(kBufferBytes) {
    auto events = make_pipe();
    auto output = make_pipe();
    const Descriptor input(open(options.input.c_str(), O_RDONLY | O_CLOEXEC));
    if (input.get() < 0)
        throw Error(RKNNSHIM_IO_ERROR, "start: '" + options.input + "' cannot be read: " + reason());
    auto words = options.command;
    auto variables = options.environment;
    const auto command = pointers(words);
    const auto environment = pointers(variables);
    const rlimit memory{options.max_bytes, options.max_bytes};
    const Program program{command.data(), environment.data(), options.folder.c_str(), options.max_bytes == 0 ? nullptr : &memory};
    const pid_t parent = getpid();
    leader_ = fork();
    if (leader_ < 0)
        throw Error(RKNNSHIM_RUNTIME_ERROR, "start: no new process: " + reason());
    if (leader_ == 0)
        become(program, input.get(), output.write.get(), events.write.get(), parent);
    setpgid(leader_, leader_); // both sides do it, so that the group is there whoever runs first
    events_ = std::move(events.read);
    output_ = std::move(output.read);
}

ChildProcess::~ChildProcess() {
    // The unreaped leader keeps the group's number from being given to others.
    kill(-leader_, SIGKILL);
    while (waitpid(leader_, nullptr, 0) < 0 && errno == EINTR) {
    }
}

ChildProcess::Text ChildProcess::read(std::chrono::milliseconds timeout) {
    std::array<pollfd, 2> waits{pollfd{events_.get(), POLLIN, 0}, pollfd{output_.get(), POLLIN, 0}};
    poll(waits.data(), waits.size(), static_cast<int>(timeout.count()));
    const Text text{fill(events_, waits[0].revents != 0, event_buffer_), fill(output_, waits[1].revents != 0, output_buffer_)};
    drained_ = text.events.empty() && text.output.empty();
    return text;
}

std::optional<std::string> ChildProcess::end() {
    if (!drained_)
        return std::nullopt;
    siginfo_t info{};
    if (waitid(P_PID, static_cast<id_t>(leader_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
        return std::nullopt;
    // It may have written between the last read and its end.
    if (std::array<pollfd, 2> waits{pollfd{events_.get(), POLLIN, 0}, pollfd{output_.get(), POLLIN, 0}};
        poll(waits.data(), waits.size(), 0) > 0 && ((waits[0].revents | waits[1].revents) & POLLIN) != 0)
        return std::nullopt;
    if (info.si_code != CLD_EXITED) {
        const char* const name = sigdescr_np(info.si_status);
        return "ended by signal " + std::to_string(info.si_status) + " (" + (name == nullptr ? "unknown" : name) + ")";
    }
    if (info.si_status == kCannotStart)
        return "the program could not be started";
    return info.si_status == 0 ? "" : "ended with exit code " + std::to_string(info.si_status);
}

} // namespace shim::toolkit
