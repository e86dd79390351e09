#include "session.h"

#include "batch.h"
#include "registry.h"
#include "rknnrt/installed.h"

#include <algorithm>
#include <limits>

namespace agent {

using shim::Error;
using shim::Fields;

Session::Session(std::string folder, std::string lock, const std::string& root, std::function<void(Kind, std::span<const std::byte>)> send)
    : lock_path_(std::move(lock)), send_(std::move(send)), machine_(root), store_(std::move(folder)) {}

bool Session::handle(const Message& message) {
    try {
        if (message.kind == Kind::Quit)
            return false;
        const bool binary = message.kind == Kind::Chunk || message.kind == Kind::Run;
        if (!binary && message.payload.size() > kMaxText)
            throw Error(RKNNSHIM_INVALID_ARGUMENT, "a request of " + std::to_string(message.payload.size()) + " bytes; at most " +
                                                       std::to_string(kMaxText) + " are possible");
        if (!greeted_ && message.kind != Kind::Hello)
            throw Error(RKNNSHIM_INVALID_ARGUMENT, "the first request must be hello");
        switch (message.kind) {
        case Kind::Hello: hello(message.text()); break;
        case Kind::Load: load(message.text()); break;
        case Kind::Store: store(message.text()); break;
        case Kind::Chunk: chunk(message.payload); break;
        case Kind::Run: run(parse_run(message.payload)); break;
        case Kind::Status: status(""); break;
        case Kind::Governor: governor(message.text()); break;
        case Kind::Profile: profile(); break;
        case Kind::Alive: break;
        default: throw Error(RKNNSHIM_UNSUPPORTED, "this agent knows no request of kind " + std::to_string(static_cast<int>(message.kind)));
        }
    } catch (const Error& e) {
        fail(e.status(), e.what());
    } catch (const std::bad_alloc&) {
        fail(RKNNSHIM_RUNTIME_ERROR, "out of memory on the device");
    } catch (const std::exception& e) {
        fail(RKNNSHIM_INTERNAL_ERROR, e.what());
    }
    return true;
}

void Session::cancel() {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    if (batch_ != nullptr)
        batch_->cancel();
}

void Session::hello(std::string_view json) {
    Fields fields(json, "hello");
    const auto protocol = fields.integer("protocol", 0, 0, std::numeric_limits<int>::max());
    const auto runtime = fields.text("rknnrt", "");
    const auto silence = fields.integer("silence", 0, 0, 3600);
    fields.finish();
    *silence_ = silence;
    auto reply = machine_.facts();
    reply["protocol"] = kProtocol;
    reply["version"] = RKNNSHIM_VERSION;
    reply["runtime"] = shim::rknnrt::installed(runtime).version;
    const std::string busy = protocol == kProtocol ? machine_.take(lock_path_) : "";
    reply["busy"] = busy;
    if (protocol == kProtocol && busy.empty()) {
        if (!greeted_)
            store_.tidy();
        greeted_ = true;
    }
    send(Kind::HelloReply, reply);
}

void Session::load(std::string_view json) {
    Fields fields(json, "load");
    const auto& backend = shim::runner(fields.text("backend"));
    const auto sha256 = fields.text("sha256");
    const auto extension = fields.text("extension");
    shim::ModelOptions options;
    options.threads = static_cast<int>(fields.integer("threads", 0, 0, 1024));
    options.batch = static_cast<int>(fields.integer("batch", 1, 1, shim::kMaxBatch));
    options.profile = fields.integer("profile", 0, 0, 1) != 0;
    options.onnxruntime = fields.text("onnxruntime", "");
    options.rknnrt = fields.text("rknnrt", "");
    fields.finish();
    contexts_.clear(); // before the model whose weights they share, and before another one takes memory
    model_.reset();
    const auto path = store_.find(sha256, extension);
    if (path.empty()) {
        send_(Kind::Missing, {});
        return;
    }
    model_ = backend.load(path, options);
    auto description = model_->describe();
    description["backend"] = backend.name;
    output_elements_.clear();
    for (const auto& output : description["outputs"]) {
        uint64_t elements = 1;
        for (const auto& dim : output["dims"])
            elements = std::min<uint64_t>(elements * static_cast<uint64_t>(std::max<int64_t>(dim.get<int64_t>(), 1)), kMaxMessage);
        output_elements_.push_back(elements);
    }
    send(Kind::Loaded, description);
}

void Session::store(std::string_view json) {
    Fields fields(json, "store");
    const auto sha256 = fields.text("sha256");
    const auto extension = fields.text("extension");
    const auto bytes = fields.integer("bytes", 0, 1, std::numeric_limits<int64_t>::max());
    fields.finish();
    upload_refused_ = true; // until it has begun
    store_.begin(sha256, extension, static_cast<uint64_t>(bytes));
    upload_refused_ = false;
}

void Session::chunk(std::span<const std::byte> bytes) {
    if (upload_refused_)
        return; // one Error an upload is enough
    upload_refused_ = true;
    const bool last = store_.append(bytes);
    upload_refused_ = false;
    if (last)
        send_(Kind::Stored, {});
}

std::vector<shim::Model*> Session::contexts(std::span<const int32_t> core_masks) {
    for (const auto mask : core_masks)
        shim::check_core_mask(mask);
    // The first context without a mask is the loaded model itself; the others are kept for the next batch.
    std::vector<shim::Model*> result;
    const auto used = [&](const shim::Model* model) { return std::ranges::find(result, model) != result.end(); };
    for (const auto mask : core_masks) {
        if (mask == 0 && !used(model_.get())) {
            result.push_back(model_.get());
            continue;
        }
        auto found = std::ranges::find_if(contexts_, [&](const Context& c) { return c.core_mask == mask && !used(c.model.get()); });
        if (found == contexts_.end()) {
            contexts_.push_back({mask, model_->duplicate(mask)});
            found = std::prev(contexts_.end());
        }
        result.push_back(found->model.get());
    }
    return result;
}

void Session::run(const RunRequest& request) {
    if (model_ == nullptr)
        throw Error(RKNNSHIM_INVALID_ARGUMENT, "no model is loaded");
    Batch batch(request, contexts(request.core_masks), output_elements_,
                [this](const std::vector<std::byte>& result) { send_(Kind::Result, result); });
    {
        const std::lock_guard lock(mutex_);
        if (cancelled_)
            throw Error(RKNNSHIM_CANCELLED, "the run was cancelled");
        batch_ = &batch;
    }
    int64_t microseconds = 0;
    const auto end = [&] {
        const std::lock_guard lock(mutex_);
        batch_ = nullptr;
    };
    try {
        microseconds = batch.run();
    } catch (...) {
        end();
        throw;
    }
    end();
    send_(Kind::Done, Writer().put(microseconds).bytes());
}

void Session::governor(std::string_view json) {
    Fields fields(json, "governor");
    const auto name = fields.text("npu");
    fields.finish();
    status(machine_.set_npu_governor(name));
}

void Session::status(const std::string& note) {
    auto reply = machine_.status();
    reply["note"] = note;
    send(Kind::StatusReply, reply);
}

void Session::profile() {
    if (model_ == nullptr)
        throw Error(RKNNSHIM_INVALID_ARGUMENT, "no model is loaded");
    const auto table = model_->profile();
    send_(Kind::ProfileReply, std::as_bytes(std::span(table)));
}

void Session::send(Kind kind, const nlohmann::json& json) {
    const auto text = shim::dump(json);
    send_(kind, std::as_bytes(std::span(text)));
}

void Session::fail(rknnshim_status status, const char* message) {
    send(Kind::Error, {{"status", status}, {"message", message}});
}

} // namespace agent
