#pragma once

#include "error.h"

#include <onnxruntime_c_api.h>

#include <memory>
#include <string>

namespace shim::ort {

/// The process's one ONNX Runtime. It is never unloaded: sessions may outlive everything else at exit.
struct Runtime {
    void* library = nullptr;
    const OrtApi* api = nullptr;
    OrtEnv* env = nullptr;
    OrtMemoryInfo* cpu = nullptr;
    std::string path;
    std::string version;
};

/// Loads ONNX Runtime on first use, as rknnshim_model_load says under `onnxruntime`.
const Runtime& runtime(const std::string& library);

/// The one that `runtime` loaded; only where an object of it already exists.
const OrtApi& api();

/// Throws `status` as RKNNSHIM_CANCELLED where ONNX Runtime says so, else as `failure`, in front of it `context`.
void check(OrtStatus* status, rknnshim_status failure, const std::string& context);

template <auto Release>
struct Deleter {
    template <typename T>
    void operator()(T* object) const noexcept {
        (api().*Release)(object);
    }
};

template <typename T, auto Release>
using Owned = std::unique_ptr<T, Deleter<Release>>;

using Session = Owned<OrtSession, &OrtApi::ReleaseSession>;
using SessionOptions = Owned<OrtSessionOptions, &OrtApi::ReleaseSessionOptions>;
using RunOptions = Owned<OrtRunOptions, &OrtApi::ReleaseRunOptions>;
using Value = Owned<OrtValue, &OrtApi::ReleaseValue>;
using TypeInfo = Owned<OrtTypeInfo, &OrtApi::ReleaseTypeInfo>;
using ShapeInfo = Owned<OrtTensorTypeAndShapeInfo, &OrtApi::ReleaseTensorTypeAndShapeInfo>;
using Metadata = Owned<OrtModelMetadata, &OrtApi::ReleaseModelMetadata>;

} // namespace shim::ort
