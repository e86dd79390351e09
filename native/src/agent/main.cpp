// rknn-agent: runs models on the board for a client at the other end of standard input and output. See message.h.
#include "session.h"

#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <iostream>
#include <thread>

namespace {

using namespace agent;
using namespace std::chrono_literals;

/// Requests on their way from the thread that reads to the one that answers.
class Queue {
public:
    void push(Message message) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return messages_.size() < kMaxWaiting || ended_; });
        messages_.push_back(std::move(message));
        changed_.notify_all();
    }

    /// None when the client is gone.
    std::optional<Message> pop() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !messages_.empty() || closed_; });
        if (closed_)
            return std::nullopt;
        auto message = std::move(messages_.front());
        messages_.pop_front();
        changed_.notify_all();
        return message;
    }

    void close(int code) {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        code_ = code;
        changed_.notify_all();
    }

    /// Returns the exit code.
    int ended() {
        const std::lock_guard lock(mutex_);
        ended_ = true;
        changed_.notify_all();
        return code_;
    }

    bool wait_for_end(std::chrono::milliseconds limit) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, limit, [this] { return ended_; });
    }

private:
    static constexpr size_t kMaxWaiting = 4;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Message> messages_;
    bool closed_ = false;
    int code_ = 0;
    bool ended_ = false;
};

void write_all(int file, std::span<const std::byte> bytes) {
    for (size_t done = 0; done < bytes.size();) {
        const ssize_t n = write(file, bytes.data() + done, bytes.size() - done);
        if (n < 0 && errno != EINTR)
            return; // nobody listens any more: the end of input says so too, and ends the session in order
        done += n > 0 ? static_cast<size_t>(n) : 0;
    }
}

void send(int file, Kind kind, std::span<const std::byte> payload) {
    const auto length = static_cast<uint32_t>(payload.size() + 1);
    std::vector<std::byte> message(sizeof length + length);
    std::memcpy(message.data(), &length, sizeof length);
    message[sizeof length] = static_cast<std::byte>(kind);
    if (!payload.empty())
        std::memcpy(message.data() + sizeof length + 1, payload.data(), payload.size());
    write_all(file, message);
}

/// Reads to the end of input, of what can be understood, or of the client's patience to be silent. Returns the exit code.
int read_requests(int in, int out, Queue& queue, const std::atomic<int64_t>& silence) {
    MessageReader reader;
    std::vector<std::byte> block(size_t{256} << 10U);
    auto heard = std::chrono::steady_clock::now();
    try {
        while (true) {
            pollfd input{in, POLLIN, 0};
            const int ready = poll(&input, 1, 1000);
            if (ready == 0 || (ready < 0 && errno == EINTR)) {
                if (const std::chrono::seconds limit(silence); limit > 0s && std::chrono::steady_clock::now() - heard > limit) {
                    std::cerr << "rknn-agent: the client said nothing for " << limit.count() << " s\n";
                    return 3;
                }
                continue;
            }
            const ssize_t n = read(in, block.data(), block.size());
            if (n < 0 && errno == EINTR)
                continue;
            if (n <= 0)
                return 0;
            reader.feed(std::span(block).first(static_cast<size_t>(n)));
            while (auto message = reader.next())
                if (message->kind != Kind::Alive) // which must not wait behind a run
                    queue.push(std::move(*message));
            heard = std::chrono::steady_clock::now(); // after the wait for room in the queue, which is no silence
        }
    } catch (const std::exception& e) {
        const auto text = shim::dump({{"status", RKNNSHIM_INVALID_ARGUMENT}, {"message", e.what()}});
        send(out, Kind::Error, std::as_bytes(std::span(text)));
        return 2;
    }
}

/// Answers requests while another thread reads them. A client that is gone ends the work; a run that does not end is left behind.
int serve(int in, int out, const std::string& folder, const std::string& lock, const std::string& root) {
    Queue queue;
    auto session =
        std::make_shared<Session>(folder, lock, root, [out](Kind kind, std::span<const std::byte> payload) { send(out, kind, payload); });
    std::jthread reader([&queue, in, out, client = std::weak_ptr(session), silence = session->silence()] {
        const int code = read_requests(in, out, queue, *silence);
        if (const auto open = client.lock())
            open->cancel();
        queue.close(code);
        queue.wait_for_end(2s);
        _exit(code);
    });
    while (const auto message = queue.pop())
        if (!session->handle(*message))
            break;
    session.reset();      // removes what was not finished, gives back governor and lock
    _exit(queue.ended()); // the reader may still wait for input
}

} // namespace

int main(int argc, char** argv) {
    if (argc == 2 && std::strcmp(argv[1], "--version") == 0) {
        std::cout << "rknn-agent " << RKNNSHIM_VERSION << ", protocol " << kProtocol << '\n';
        return 0;
    }
    if (argc != 2) {
        std::cerr << "usage: rknn-agent FOLDER     serves one client on standard input and output; FOLDER keeps models\n"
                     "environment: MODELPIPELINE_LOCK  lock file, default /tmp/modelpipeline-npu.lock\n"
                     "             MODELPIPELINE_ROOT  stands in front of /proc and /sys\n";
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::signal(SIGPIPE, SIG_IGN); // NOLINT(cert-err33-c): the default would end the process, which is what follows anyway
    // The vendor's library writes to standard output: what it says there must not be taken for messages.
    const int out = dup(STDOUT_FILENO);
    if (out < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
        std::cerr << "rknn-agent: standard input, output and error must be open\n";
        return 2;
    }
    const auto environment = [](const char* name, const char* otherwise) {
        const char* const value = std::getenv(name); // NOLINT(concurrency-mt-unsafe): nothing sets it
        return value == nullptr ? otherwise : value;
    };
    try {
        return serve(STDIN_FILENO, out, argv[1], environment("MODELPIPELINE_LOCK", "/tmp/modelpipeline-npu.lock"),
                     environment("MODELPIPELINE_ROOT", ""));
    } catch (const std::exception& e) {
        std::cerr << "rknn-agent: " << e.what() << '\n';
        return 1;
    }
}
