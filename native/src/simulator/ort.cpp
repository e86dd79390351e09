#include "ort.h"

#include <dlfcn.h>
#include <unistd.h>

#include <filesystem>
#include <mutex>
#include <vector>

namespace shim::ort {

namespace {

constexpr uint32_t kApiVersion = 22; // the first with SessionOptionsSetLoadCancellationFlag
constexpr const char* kSoname = "libonnxruntime.so.1";

// Both are leaked on purpose: see Runtime.
Runtime* g_runtime = nullptr;
std::mutex& g_mutex = *new std::mutex;

std::string path_of(const void* address) {
    Dl_info info{};
    return dladdr(address, &info) != 0 && info.dli_fname != nullptr ? info.dli_fname : "";
}

void* open(const std::string& library) {
    if (!library.empty()) {
        if (access(library.c_str(), R_OK) != 0)
            throw Error(RKNNSHIM_NOT_FOUND,
                        "ONNX Runtime's library '" + library + "' is missing or unreadable; name an existing libonnxruntime.so");
        if (void* const handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL))
            return handle;
        const char* const reason = dlerror(); // NOLINT(concurrency-mt-unsafe): glibc keeps it per thread
        throw Error(RKNNSHIM_RUNTIME_ERROR, "'" + library + "' cannot be loaded as ONNX Runtime: " + reason);
    }
    if (void* const loaded = dlopen(kSoname, RTLD_NOW | RTLD_NOLOAD))
        return loaded;
    const auto beside = std::filesystem::path(path_of(reinterpret_cast<const void*>(&open))).replace_filename("libonnxruntime.so");
    const std::vector<std::string> candidates{beside.string(), kSoname, "libonnxruntime.so"};
    for (const auto& candidate : candidates)
        if (void* const handle = dlopen(candidate.c_str(), RTLD_NOW | RTLD_LOCAL))
            return handle;
    throw Error(RKNNSHIM_NOT_FOUND, "ONNX Runtime is missing: neither '" + beside.string() + "' nor the loader's " + kSoname +
                                        " exists; name libonnxruntime.so in the option 'onnxruntime'");
}

Runtime load(const std::string& library) {
    Runtime result;
    result.library = open(library);
    using GetApiBase = const OrtApiBase*();
    auto* const get_base = reinterpret_cast<GetApiBase*>(dlsym(result.library, "OrtGetApiBase"));
    if (get_base == nullptr)
        throw Error(RKNNSHIM_RUNTIME_ERROR, "'" + library + "' is a library but not ONNX Runtime: it has no OrtGetApiBase");
    result.path = path_of(reinterpret_cast<const void*>(get_base));
    result.version = get_base()->GetVersionString();
    result.api = get_base()->GetApi(kApiVersion);
    if (result.api == nullptr)
        throw Error(RKNNSHIM_RUNTIME_ERROR, "'" + result.path + "' is ONNX Runtime " + result.version + "; 1." +
                                                std::to_string(kApiVersion) + " or later is needed");
    return result;
}

} // namespace

const Runtime& runtime(const std::string& library) {
    const std::lock_guard lock(g_mutex);
    if (g_runtime == nullptr) {
        auto loaded = std::make_unique<Runtime>(load(library));
        g_runtime = loaded.get(); // check() needs it
        try {
            check(loaded->api->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "rknnshim", &loaded->env), RKNNSHIM_RUNTIME_ERROR,
                  "ONNX Runtime does not start");
            check(loaded->api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &loaded->cpu), RKNNSHIM_RUNTIME_ERROR,
                  "ONNX Runtime does not start");
        } catch (...) {
            g_runtime = nullptr;
            throw;
        }
        loaded.release(); // NOLINT(bugprone-unused-return-value): g_runtime has it
    } else if (!library.empty()) {
        void* const same = dlopen(library.c_str(), RTLD_NOW | RTLD_NOLOAD);
        if (same != nullptr)
            dlclose(same);
        if (same != g_runtime->library)
            throw Error(access(library.c_str(), R_OK) == 0 ? RKNNSHIM_INVALID_ARGUMENT : RKNNSHIM_NOT_FOUND,
                        "ONNX Runtime's library '" + library + "' is missing or is not '" + g_runtime->path +
                            "', which this process already uses; name that one, or leave the option 'onnxruntime' out");
    }
    return *g_runtime;
}

const OrtApi& api() {
    return *g_runtime->api;
}

void check(OrtStatus* status, rknnshim_status failure, const std::string& context) {
    if (status == nullptr)
        return;
    const Owned<OrtStatus, &OrtApi::ReleaseStatus> owned(status);
    if (api().GetErrorCode(status) == ORT_MODEL_LOAD_CANCELED)
        throw Error(RKNNSHIM_CANCELLED, context + ": cancelled");
    throw Error(failure, context + ": " + api().GetErrorMessage(status));
}

} // namespace shim::ort
