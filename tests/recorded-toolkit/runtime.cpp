// A librknnrt.so for tests: runs the files that the recorded toolkit derives, on the stand-in that it is linked with, and says of
// itself that it is a board's, so that times count as measured on one.
#include "rknnrt/abi.h"

#include <cstring>
#include <dlfcn.h>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace abi = shim::rknnrt::abi;

namespace {

constexpr const char* kMark = "derived by the recorded toolkit of the tests\n";
constexpr size_t kHeaderBytes = 64;
constexpr size_t kLengthOffset = 16;

template <typename F>
F* next(const char* name) {
    return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

} // namespace

#define RKNN_EXPORT __attribute__((visibility("default")))

extern "C" {

RKNN_EXPORT int32_t rknn_init(abi::Context* context, void* model, uint32_t size, uint32_t flags, abi::InitExtend* extend) {
    const auto init = next<int32_t(abi::Context*, void*, uint32_t, uint32_t, abi::InitExtend*)>("rknn_init");
    std::vector<char> bytes;
    if (size == 0) {
        std::ifstream file(static_cast<const char*>(model), std::ios::binary);
        bytes.assign(std::istreambuf_iterator<char>(file), {});
    } else {
        bytes.assign(static_cast<const char*>(model), static_cast<const char*>(model) + size);
    }
    const size_t begin = kHeaderBytes + std::strlen(kMark);
    uint64_t payload = 0;
    if (bytes.size() > begin)
        std::memcpy(&payload, bytes.data() + kLengthOffset, sizeof payload);
    if (payload > bytes.size() - kHeaderBytes || payload < std::strlen(kMark) ||
        std::memcmp(bytes.data() + kHeaderBytes, kMark, std::strlen(kMark)) != 0)
        return static_cast<int32_t>(abi::Status::ModelInvalid); // a real .rknn, which only an NPU runs
    return init(context, bytes.data() + begin, static_cast<uint32_t>(payload - std::strlen(kMark)), flags, extend);
}

RKNN_EXPORT int32_t rknn_query(abi::Context context, abi::Query what, void* info, uint32_t size) {
    const auto query = next<int32_t(abi::Context, abi::Query, void*, uint32_t)>("rknn_query");
    const int32_t status = query(context, what, info, size);
    if (status == static_cast<int32_t>(abi::Status::Success) && what == abi::Query::SdkVersion)
        std::strcpy(static_cast<abi::SdkVersion*>(info)->api, "2.3.2 (recorded)");
    return status;
}

} // extern "C"
