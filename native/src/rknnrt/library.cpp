#include "library.h"

#include "installed.h"

#include <dlfcn.h>
#include <unistd.h>

#include <memory>
#include <mutex>

namespace shim::rknnrt {

namespace {

constexpr const char* kName = "librknnrt.so";

struct Loaded {
    void* handle = nullptr;
    Library library;
};

// Both are leaked on purpose: see Library.
Loaded* g_loaded = nullptr;
std::mutex& g_mutex = *new std::mutex;

void* open(const std::string& path) {
    if (!path.empty() && access(path.c_str(), R_OK) != 0)
        throw Error(RKNNSHIM_NOT_FOUND, "the RKNN runtime '" + path + "' is missing or unreadable; name an existing librknnrt.so");
    const auto found = installed(path).path; // so that what is loaded is what its version was read of
    if (void* const handle = dlopen(found.empty() ? kName : found.c_str(), RTLD_NOW | RTLD_LOCAL))
        return handle;
    const std::string reason = dlerror(); // NOLINT(concurrency-mt-unsafe): glibc keeps it per thread
    if (found.empty())
        throw Error(RKNNSHIM_NOT_FOUND,
                    "the RKNN runtime is missing: " + reason +
                        "; install the board's librknnrt.so (package rknpu2 or the SDK's runtime folder), or name it as runtime_library");
    throw Error(RKNNSHIM_RUNTIME_ERROR, "'" + found + "' cannot be loaded as the RKNN runtime: " + reason);
}

template <typename F>
void bind(void* handle, const std::string& path, const char* name, F*& function) {
    function = reinterpret_cast<F*>(dlsym(handle, name));
    if (function == nullptr)
        throw Error(RKNNSHIM_RUNTIME_ERROR,
                    "'" + path + "' has no function " + name + ": it is not librknnrt.so, or an old one; install version 2.3.2 or later");
}

Loaded load(const std::string& path) {
    Loaded result;
    result.handle = open(path);
    Library& library = result.library;
    library.path = path.empty() ? kName : path;
    const auto get = [&](const char* name, auto& function) { bind(result.handle, library.path, name, function); };
    get("rknn_init", library.init);
    get("rknn_dup_context", library.dup_context);
    get("rknn_destroy", library.destroy);
    get("rknn_query", library.query);
    get("rknn_inputs_set", library.inputs_set);
    get("rknn_set_core_mask", library.set_core_mask);
    get("rknn_run", library.run);
    get("rknn_outputs_get", library.outputs_get);
    get("rknn_outputs_release", library.outputs_release);
    library.set_input_shapes = reinterpret_cast<abi::SetInputShapes*>(dlsym(result.handle, "rknn_set_input_shapes"));
    Dl_info info{};
    if (dladdr(reinterpret_cast<const void*>(library.init), &info) != 0 && info.dli_fname != nullptr)
        library.path = info.dli_fname;
    return result;
}

struct Meaning {
    const char* name;
    abi::Status code;
    rknnshim_status status;
    const char* text;
};

// NOLINTNEXTLINE(cppcoreguidelines-avoid-c-arrays, modernize-avoid-c-arrays)
constexpr Meaning kMeanings[] = {
    {"RKNN_ERR_FAIL", abi::Status::Fail, RKNNSHIM_RUNTIME_ERROR,
     "the runtime failed without a reason; its own lines on standard error and `dmesg | grep -i rknpu` on the board say more"},
    {"RKNN_ERR_TIMEOUT", abi::Status::Timeout, RKNNSHIM_RUNTIME_ERROR,
     "the NPU did not finish in time; see `dmesg | grep -i rknpu` on the board, and restart the board if it repeats"},
    {"RKNN_ERR_DEVICE_UNAVAILABLE", abi::Status::DeviceUnavailable, RKNNSHIM_RUNTIME_ERROR,
     "there is no NPU: the kernel driver rknpu is not loaded, or this user may not open /dev/dri/renderD*; "
     "check `dmesg | grep -i rknpu` and the group 'render'"},
    {"RKNN_ERR_MALLOC_FAIL", abi::Status::MallocFail, RKNNSHIM_RUNTIME_ERROR,
     "out of memory on the board; stop other programs that use the NPU, use fewer contexts, or a smaller shape or precision"},
    {"RKNN_ERR_PARAM_INVALID", abi::Status::ParamInvalid, RKNNSHIM_RUNTIME_ERROR,
     "the runtime does not accept a parameter: it knows no such core mask, query or shape; "
     "choose other cores, or install runtime 2.3.2 or later"},
    {"RKNN_ERR_MODEL_INVALID", abi::Status::ModelInvalid, RKNNSHIM_INVALID_MODEL,
     "the file is not a model of this runtime: it is damaged, built by a newer toolkit, or a simulated artifact on a real board; "
     "build it again as backend rknn with a toolkit no newer than the runtime"},
    {"RKNN_ERR_CTX_INVALID", abi::Status::CtxInvalid, RKNNSHIM_RUNTIME_ERROR, "the runtime lost the model's context; load the model again"},
    {"RKNN_ERR_INPUT_INVALID", abi::Status::InputInvalid, RKNNSHIM_RUNTIME_ERROR,
     "the model takes no such inputs; its inputs must be integer [B,S], built from an ONNX file with int64 inputs"},
    {"RKNN_ERR_OUTPUT_INVALID", abi::Status::OutputInvalid, RKNNSHIM_RUNTIME_ERROR,
     "the model's outputs cannot be read as floats; build it with float outputs"},
    {"RKNN_ERR_DEVICE_UNMATCH", abi::Status::DeviceUnmatch, RKNNSHIM_RUNTIME_ERROR,
     "the NPU's kernel driver and the runtime do not fit: "
     "update the driver (0.9.8 or later for runtime 2.3.2) or install the runtime that came with it"},
    {"RKNN_ERR_INCOMPATILE_PRE_COMPILE_MODEL", abi::Status::IncompatiblePreCompileModel, RKNNSHIM_INVALID_MODEL,
     "the model was pre-compiled for another driver; build it again without pre-compilation"},
    {"RKNN_ERR_INCOMPATILE_OPTIMIZATION_LEVEL_VERSION", abi::Status::IncompatibleOptimizationLevel, RKNNSHIM_INVALID_MODEL,
     "the model's optimization level needs another driver; build it with a lower optimization_level or update the driver"},
    {"RKNN_ERR_TARGET_PLATFORM_UNMATCH", abi::Status::TargetPlatformUnmatch, RKNNSHIM_INVALID_MODEL,
     "the model was built for another platform than this board's; "
     "set the variant's target to the board's SoC, such as rk3588, and build it again"},
};

} // namespace

const Library& library(const std::string& path) {
    const std::lock_guard lock(g_mutex);
    if (g_loaded == nullptr) {
        g_loaded = std::make_unique<Loaded>(load(path)).release();
    } else if (!path.empty()) {
        void* const same = dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD);
        if (same != nullptr)
            dlclose(same);
        if (same != g_loaded->handle)
            throw Error(access(path.c_str(), R_OK) == 0 ? RKNNSHIM_INVALID_ARGUMENT : RKNNSHIM_NOT_FOUND,
                        "the RKNN runtime '" + path + "' is missing or is not '" + g_loaded->library.path +
                            "', which this process already uses; name that one, or leave runtime_library out");
    }
    return g_loaded->library;
}

void check(int32_t code, const std::string& context) {
    if (code == static_cast<int32_t>(abi::Status::Success))
        return;
    for (const auto& meaning : kMeanings)
        if (static_cast<int32_t>(meaning.code) == code)
            throw Error(meaning.status, context + ": " + meaning.name + ": " + meaning.text);
    throw Error(RKNNSHIM_RUNTIME_ERROR, context + ": the RKNN runtime failed with the unknown code " + std::to_string(code) +
                                            "; its own lines on standard error say more");
}

} // namespace shim::rknnrt
