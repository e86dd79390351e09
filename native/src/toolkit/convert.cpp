#include "../files.h"
#include "chatter.h"
#include "child_process.h"
#include "toolkit.h"

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <optional>

namespace shim::toolkit {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr size_t kMaxEvent = size_t{8} << 20U; // a result may carry scores and an error analysis
constexpr std::chrono::milliseconds kTick{50};
constexpr int64_t kWeekSeconds = int64_t{7} * 24 * 3600;
constexpr const char* kArtifact = "artifact.rknn";

std::string absolute(const std::string& path) {
    return fs::absolute(path).lexically_normal().string();
}

/// A new folder for one run; it goes away with it unless it is to be kept. What ends in .partial goes at last with the next run.
class Scratch {
public:
    Scratch(const std::string& artifact, bool keep) : keep_(keep) {
        static std::atomic<uint64_t> serial{0};
        folder_ = artifact + "." + std::to_string(getpid()) + "-toolkit" + std::to_string(++serial) + (keep ? ".scratch" : ".partial");
        std::error_code error;
        fs::create_directories(work(), error);
        if (!error)
            fs::create_directory(temporary(), error);
        if (error)
            throw Error(RKNNSHIM_IO_ERROR, "start: scratch folder '" + folder_ + "' cannot be made: " + error.message());
    }
    ~Scratch() {
        if (std::error_code ignored; !keep_)
            fs::remove_all(folder_, ignored);
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    [[nodiscard]] std::string work() const { return folder_ + "/work"; }
    [[nodiscard]] std::string temporary() const { return folder_ + "/tmp"; }
    [[nodiscard]] std::string job() const { return folder_ + "/job.json"; }

private:
    std::string folder_;
    bool keep_;
};

/// This process' variables but for those by which Python or the allocator would make other bytes of the same model.
std::vector<std::string> environment_of(const Scratch& scratch) {
    std::vector<std::string> variables{
        "MALLOC_PERTURB_=255", // the compiler writes memory out that it never set: so it is zeros, not what lay there before
        "PYTHONDONTWRITEBYTECODE=1",
        "PYTHONHASHSEED=0",
        "PYTHONNOUSERSITE=1",
        "PYTHONUNBUFFERED=1", // the log of a toolkit that hangs tells how far it came
        "TMPDIR=" + scratch.temporary(),
    };
    for (char** variable = environ; *variable != nullptr; ++variable)
        if (const std::string_view text(*variable);
            !text.starts_with("PYTHON") && !text.starts_with("MALLOC_") && !text.starts_with("TMPDIR="))
            variables.emplace_back(text);
    return variables;
}

/// The driver's events: one JSON object a line.
class Events {
public:
    explicit Events(JobContext& context) : context_(context) {}

    void take(std::string_view text) {
        for (const char c : text) {
            if (c == '\n') {
                line();
                line_.clear();
            } else if (line_.push_back(c); line_.size() > kMaxEvent) {
                fail("an event on the driver's pipe has more than " + std::to_string(kMaxEvent) + " bytes");
            }
        }
    }

    [[noreturn]] void fail(const std::string& message) const { throw Error(RKNNSHIM_RUNTIME_ERROR, stage_ + ": " + message); }

    /// The result, or the failure, once the driver has ended as `end` says.
    nlohmann::json result(const std::string& end) {
        if (error_)
            fail(*error_);
        if (!end.empty())
            fail(end);
        if (!result_)
            fail("ended without a result");
        context_.progress(stage_.c_str(), 1, 1);
        return std::move(*result_);
    }

private:
    void line() {
        auto event = nlohmann::json::parse(line_, nullptr, false);
        if (!event.is_object() || !event.contains("event") || !event["event"].is_string())
            fail("something else than an event is on the driver's pipe; it begins '" + line_.substr(0, 40) + "'");
        const auto kind = event["event"].get<std::string>();
        if (kind == "stage") {
            if (started_)
                context_.progress(stage_.c_str(), 1, 1);
            stage_ = text(event, "stage");
            started_ = true;
            context_.progress(stage_.c_str(), 0, 1);
        } else if (kind == "progress") {
            context_.progress(stage_.c_str(), number(event, "done"), number(event, "total"));
        } else if (kind == "error") {
            stage_ = text(event, "stage");
            error_ = text(event, "message");
        } else if (kind == "result") {
            event.erase("event");
            result_ = std::move(event);
        } else {
            fail("an unknown event '" + kind.substr(0, 40) + "' is on the driver's pipe");
        }
    }

    std::string text(const nlohmann::json& event, const char* key) const {
        const auto found = event.find(key);
        if (found == event.end() || !found->is_string())
            fail(std::string("an event on the driver's pipe has no '") + key + "'");
        return found->get<std::string>();
    }

    int64_t number(const nlohmann::json& event, const char* key) const {
        const auto found = event.find(key);
        if (found == event.end() || !found->is_number_unsigned())
            fail(std::string("an event on the driver's pipe has no number '") + key + "'");
        return found->get<int64_t>();
    }

    JobContext& context_;
    std::string line_;
    std::string stage_ = "start";
    bool started_ = false;
    std::optional<std::string> error_;
    std::optional<nlohmann::json> result_;
};

void write_job(const std::string& path, const ConversionRequest& request, const std::string& settings) {
    auto job = nlohmann::json::parse(settings, nullptr, false);
    if (!job.is_object())
        throw Error(RKNNSHIM_INVALID_ARGUMENT, "job: 'settings' must be a JSON object as text");
    job["model"] = absolute(request.source);
    job["artifact"] = kArtifact;
    job["target"] = request.target;
    job["custom_string"] = request.custom_string;
    const auto text = dump(job);
    write_file_atomically(path, std::as_bytes(std::span(text)));
}

nlohmann::json run(ChildProcess& driver, Chatter& chatter, JobContext& context, std::chrono::seconds limit) {
    Events events(context);
    const auto begin = Clock::now();
    while (true) {
        context.throw_if_cancelled();
        const auto text = driver.read(kTick);
        chatter.take(text.output);
        events.take(text.events);
        if (const auto end = driver.end())
            return events.result(*end);
        if (Clock::now() - begin > limit)
            events.fail("the time limit of " + std::to_string(limit.count()) + " s was reached");
    }
}

} // namespace

nlohmann::json convert(ConversionRequest& request, JobContext& context) {
    const auto python = request.fields.text("python");
    const auto script = request.fields.text("driver");
    const auto log = request.fields.text("log");
    const auto settings = request.fields.text("settings");
    const auto limit = std::chrono::seconds(request.fields.integer("max_seconds", 3600, 1, kWeekSeconds));
    const auto max_mb = static_cast<uint64_t>(request.fields.integer("max_memory_mb", 0, 0, int64_t{1} << 24U));
    const bool keep = request.fields.integer("keep_scratch", 0, 0, 1) != 0;
    request.fields.finish();
    if (access(python.c_str(), X_OK) != 0 || access(script.c_str(), R_OK) != 0)
        throw Error(RKNNSHIM_NOT_FOUND,
                    "start: '" + (access(python.c_str(), X_OK) != 0 ? python : script) + "' is missing; run the target Provision");

    const auto artifact = absolute(request.artifact);
    const Scratch scratch(artifact, keep);
    write_job(scratch.job(), request, settings);
    Chatter chatter(log, context);
    nlohmann::json result;
    {
        ChildProcess driver({.command = {absolute(python), absolute(script), std::to_string(ChildProcess::kEvents)},
                             .environment = environment_of(scratch),
                             .folder = scratch.work(),
                             .input = scratch.job(),
                             .max_bytes = max_mb << 20U});
        result = run(driver, chatter, context, limit);
    }
    nlohmann::json outcome{{"artifact", request.artifact},
                           {"bytes", 0},
                           {"simulated", false},
                           {"run_microseconds", 0},
                           {"inputs", nlohmann::json::array()},
                           {"outputs", nlohmann::json::array()}};
    if (result.contains("artifact")) {
        const auto made = fs::path(scratch.work()) / kArtifact;
        std::error_code error;
        outcome["bytes"] = fs::file_size(made, error);
        if (!error)
            fs::rename(made, artifact, error);
        if (error)
            throw Error(RKNNSHIM_IO_ERROR, "export_rknn: the toolkit reported success, and its file cannot be moved to '" + artifact +
                                               "': " + error.message());
    }
    outcome["toolkit"] = std::move(result);
    return outcome;
}

} // namespace shim::toolkit
