// The boundary: handles, argument checks and statuses. Everything behind it throws.
#include "rknnshim.h"

#include "handle_table.h"
#include "job.h"
#include "machine.h"
#include "registry.h"
#include "rknnrt/installed.h"

#include <chrono>
#include <cstring>
#include <new>

namespace {

using namespace shim;

struct OpenModel {
    const Backend* backend = nullptr;
    std::unique_ptr<Model> model;
    std::mutex run; // one run at a time
};

struct OpenMachine {
    OpenMachine(const std::string& root, const std::string& rknnrt) : machine(root), runtime(rknnrt::installed(rknnrt)) {}

    Machine machine;
    rknnrt::Installed runtime;
    std::mutex mutex; // one call at a time
};

// Leaked on purpose: a host may call in while static objects are destroyed at exit.
HandleTable<Job>& jobs() {
    static auto& table = *new HandleTable<Job>(0x4A, "job");
    return table;
}

HandleTable<OpenModel>& models() {
    static auto& table = *new HandleTable<OpenModel>(0x4D, "model");
    return table;
}

HandleTable<OpenMachine>& machines() {
    static auto& table = *new HandleTable<OpenMachine>(0x48, "machine");
    return table;
}

std::string& last_error() {
    thread_local std::string text;
    return text;
}

int32_t failed(rknnshim_status status, const char* text) noexcept {
    try {
        last_error() = text;
    } catch (...) {
        last_error().clear();
    }
    return status;
}

/// Runs `body`, whose result is a status or nothing, and turns what it throws into a status.
template <typename Body>
int32_t guard(Body body) noexcept {
    try {
        if constexpr (std::is_void_v<decltype(body())>) {
            body();
            return RKNNSHIM_OK;
        } else {
            return body();
        }
    } catch (const Error& e) {
        return failed(e.status(), e.what());
    } catch (const std::bad_alloc&) {
        return failed(RKNNSHIM_INTERNAL_ERROR, "out of memory");
    } catch (const std::exception& e) {
        return failed(RKNNSHIM_INTERNAL_ERROR, e.what());
    } catch (...) {
        return failed(RKNNSHIM_INTERNAL_ERROR, "an unknown error");
    }
}

template <typename T>
T& required(T* pointer, const char* name) {
    if (pointer == nullptr)
        throw Error(RKNNSHIM_INVALID_ARGUMENT, std::string("'") + name + "' is null");
    return *pointer;
}

/// A caller's array; null stands for an empty one only.
template <typename T>
std::span<T> span(T* first, uint64_t count, const char* name) {
    if (count != 0)
        required(first, name);
    return {first, count};
}

rknnshim_status give(std::string_view text, char* buffer, size_t capacity, size_t* length) {
    required(length, "length") = text.size();
    if (capacity <= text.size())
        return static_cast<rknnshim_status>(failed(RKNNSHIM_BUFFER_TOO_SMALL, "the buffer is too small for the text"));
    std::memcpy(&required(buffer, "buffer"), text.data(), text.size());
    buffer[text.size()] = '\0';
    return RKNNSHIM_OK;
}

ModelOptions parse_options(const char* json) {
    Fields fields(json == nullptr ? "" : json, "model options");
    ModelOptions options;
    options.threads = static_cast<int>(fields.integer("threads", 0, 0, 1024));
    options.core_mask = static_cast<int>(fields.integer("core_mask", 0, 0, 65535));
    check_core_mask(options.core_mask);
    options.batch = static_cast<int>(fields.integer("batch", 1, 1, kMaxBatch));
    options.profile = fields.integer("profile", 0, 0, 1) != 0;
    options.onnxruntime = fields.text("onnxruntime", "");
    options.rknnrt = fields.text("rknnrt", "");
    fields.finish();
    return options;
}

} // namespace

extern "C" {

uint32_t rknnshim_abi_version(void) {
    return RKNNSHIM_ABI_VERSION;
}

const char* rknnshim_last_error(void) {
    return last_error().c_str();
}

int32_t rknnshim_machine_open(const char* options, rknnshim_machine* machine) {
    return guard([&] {
        required(machine, "machine") = 0;
        Fields fields(options == nullptr ? "" : options, "machine options");
        const auto root = fields.text("root", "");
        const auto rknnrt = fields.text("rknnrt", "");
        const auto lock = fields.text("lock", "");
        fields.finish();
        auto open = std::make_shared<OpenMachine>(root, rknnrt);
        if (const auto holder = lock.empty() ? "" : open->machine.take(lock); !holder.empty())
            throw Error(RKNNSHIM_BUSY, holder);
        *machine = machines().add(std::move(open));
    });
}

int32_t rknnshim_machine_describe(rknnshim_machine machine, char* buffer, size_t capacity, size_t* length) {
    return guard([&] {
        const auto open = machines().get(machine);
        const std::lock_guard lock(open->mutex);
        auto facts = open->machine.facts();
        facts["runtime"] = open->runtime.version;
        facts["runtime_library"] = open->runtime.path;
        return give(dump({{"facts", facts}, {"status", open->machine.status()}}), buffer, capacity, length);
    });
}

int32_t rknnshim_machine_set_governor(rknnshim_machine machine, const char* npu) {
    return guard([&] {
        const auto open = machines().get(machine);
        const std::lock_guard lock(open->mutex);
        if (const auto reason = open->machine.set_npu_governor(&required(npu, "npu")); !reason.empty())
            throw Error(RKNNSHIM_UNSUPPORTED, reason);
    });
}

int32_t rknnshim_machine_close(rknnshim_machine machine) {
    return guard([&] { machines().remove(machine); });
}

int32_t rknnshim_job_start(const char* json, size_t length, rknnshim_job* job) {
    return guard([&] {
        required(job, "job") = 0;
        auto request = parse_job(std::string_view(&required(json, "json"), length));
        const Backend& backend = converter(request.fields.text("backend"));
        *job = jobs().add(std::make_shared<Job>(std::move(request), backend));
    });
}

int32_t rknnshim_job_poll(rknnshim_job job, int32_t timeout_ms, char* buffer, size_t capacity, size_t* length) {
    return guard([&] {
        constexpr int32_t kMaxTimeout = 60000;
        if (timeout_ms < 0 || timeout_ms > kMaxTimeout)
            throw Error(RKNNSHIM_INVALID_ARGUMENT, "'timeout_ms' must be 0 to " + std::to_string(kMaxTimeout));
        required(length, "length") = 0;
        return jobs().get(job)->poll(std::chrono::milliseconds(timeout_ms),
                                     [&](std::string_view event) { return give(event, buffer, capacity, length); });
    });
}

int32_t rknnshim_job_cancel(rknnshim_job job) {
    return guard([&] { jobs().get(job)->cancel(); });
}

int32_t rknnshim_job_result(rknnshim_job job, char* buffer, size_t capacity, size_t* length) {
    return guard([&] { return give(jobs().get(job)->result(), buffer, capacity, length); });
}

int32_t rknnshim_job_free(rknnshim_job job) {
    return guard([&] { jobs().remove(job)->cancel(); });
}

int32_t rknnshim_model_load(const char* backend, const char* path, const char* options, rknnshim_model* model) {
    return guard([&] {
        required(model, "model") = 0;
        const Backend& found = runner(&required(backend, "backend"));
        auto open = std::make_shared<OpenModel>();
        open->backend = &found;
        open->model = found.load(&required(path, "path"), parse_options(options));
        *model = models().add(std::move(open));
    });
}

int32_t rknnshim_model_describe(rknnshim_model model, char* buffer, size_t capacity, size_t* length) {
    return guard([&] {
        const auto open = models().get(model);
        auto description = open->model->describe();
        description["backend"] = open->backend->name;
        return give(dump(description), buffer, capacity, length);
    });
}

int32_t rknnshim_model_run(rknnshim_model model, const rknnshim_input* inputs, uint32_t input_count, rknnshim_output* outputs,
                           uint32_t output_count, int64_t* microseconds) {
    return guard([&] {
        const auto open = models().get(model);
        const auto in = span(inputs, input_count, "inputs");
        const auto out = span(outputs, output_count, "outputs");
        for (const auto& input : in)
            span(input.data, input.count, "inputs[].data");
        for (const auto& output : out)
            span(output.data, output.capacity, "outputs[].data");
        const std::lock_guard lock(open->run);
        const int64_t elapsed = open->model->run(in, out);
        if (microseconds != nullptr)
            *microseconds = elapsed;
    });
}

int32_t rknnshim_model_profile(rknnshim_model model, char* buffer, size_t capacity, size_t* length) {
    return guard([&] {
        const auto open = models().get(model);
        const std::lock_guard lock(open->run);
        return give(open->model->profile(), buffer, capacity, length);
    });
}

int32_t rknnshim_model_duplicate(rknnshim_model model, int32_t core_mask, rknnshim_model* copy) {
    return guard([&] {
        required(copy, "copy") = 0;
        check_core_mask(core_mask);
        const auto origin = models().get(model);
        auto open = std::make_shared<OpenModel>();
        open->backend = origin->backend;
        {
            const std::lock_guard lock(origin->run);
            open->model = origin->model->duplicate(core_mask);
        }
        *copy = models().add(std::move(open));
    });
}

int32_t rknnshim_model_cancel(rknnshim_model model) {
    return guard([&] { models().get(model)->model->cancel(); });
}

int32_t rknnshim_model_close(rknnshim_model model) {
    return guard([&] { models().remove(model); });
}

} // extern "C"
