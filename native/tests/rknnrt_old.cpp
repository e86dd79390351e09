// A runtime that lacks a function which the backend needs.
#include <cstdint>

extern "C" int32_t rknn_init(uint64_t* /*context*/, void* /*model*/, uint32_t /*size*/, uint32_t /*flags*/, void* /*extend*/) {
    return -1;
}
