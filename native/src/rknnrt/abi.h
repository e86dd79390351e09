// The ABI of librknnrt.so 2.3.2 on 64-bit Linux, in our own declarations: what both the backend that calls it and the
// stand-in that exports it are compiled against. Every size and offset is checked below.
//
// The order of calls, by use. Other orders end the process: each was seen in the vendor's 1.5.2, and tests/vendor runs these on it.
//   sizes of memory  init with kFlagModelInfoOnly; query MemSize; destroy: on a context of its own. On one that is run, MemSize makes the
//                    next dup_context crash.
//   a model          init; query InOutNum, InputAttr, OutputAttr, InputDynamicRange, SdkVersion, CustomString in any order; set_core_mask
//                    unless the driver is to choose.
//   a second context dup_context of any context that was not asked for MemSize, before or after its runs, of files for one and for
//                    several shapes: weights are shared. Then set_core_mask; nothing else of the first one's state is taken over, its
//                    shape neither.
//   a run            of a file for several shapes set_input_shapes and query CurrentOutputAttr, before a context's first run and whenever
//                    the shape changes: without a shape, run ends the process. Then inputs_set, run, outputs_get, outputs_release,
//                    query PerfRun.
//   layers           init with kFlagCollectPerf; after a run query PerfDetail. Each operator is a job of its own then.
//   the end          destroy each context, those that were duplicated after their copies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace shim::rknnrt::abi {

using Context = uint64_t;

inline constexpr uint32_t kMaxDims = 16;
inline constexpr uint32_t kMaxNameLength = 256;
inline constexpr uint32_t kMaxDynamicShapes = 512;

enum class Query : int32_t {
    InOutNum = 0,
    InputAttr = 1,
    OutputAttr = 2,
    PerfDetail = 3,
    PerfRun = 4,
    SdkVersion = 5,
    MemSize = 6,
    CustomString = 7,
    NativeInputAttr = 8,
    NativeOutputAttr = 9,
    NativeNhwcInputAttr = 10,
    NativeNhwcOutputAttr = 11,
    DeviceMemInfo = 12,
    InputDynamicRange = 13,
    CurrentInputAttr = 14,
    CurrentOutputAttr = 15,
    CurrentNativeInputAttr = 16,
    CurrentNativeOutputAttr = 17
};

enum class TensorType : int32_t {
    Float32 = 0,
    Float16 = 1,
    Int8 = 2,
    Uint8 = 3,
    Int16 = 4,
    Uint16 = 5,
    Int32 = 6,
    Uint32 = 7,
    Int64 = 8,
    Bool = 9,
    Int4 = 10,
    Bfloat16 = 11
};

enum class QuantizationType : int32_t { None = 0, Dfp = 1, AffineAsymmetric = 2 };

enum class TensorFormat : int32_t { Nchw = 0, Nhwc = 1, Nc1hwc2 = 2, Undefined = 3 };

enum class CoreMask : int32_t { Auto = 0, Core0 = 1, Core1 = 2, Core2 = 4, Core01 = 3, Core012 = 7, All = 0xFFFF };

enum Flag : uint32_t { kFlagCollectPerf = 0x8, kFlagModelInfoOnly = 0x100 };

enum class Status : int32_t {
    Success = 0,
    Fail = -1,
    Timeout = -2,
    DeviceUnavailable = -3,
    MallocFail = -4,
    ParamInvalid = -5,
    ModelInvalid = -6,
    CtxInvalid = -7,
    InputInvalid = -8,
    OutputInvalid = -9,
    DeviceUnmatch = -10,
    IncompatiblePreCompileModel = -11,
    IncompatibleOptimizationLevel = -12,
    TargetPlatformUnmatch = -13
};

// NOLINTBEGIN(cppcoreguidelines-avoid-c-arrays, modernize-avoid-c-arrays): the layout is the vendor's

struct InputOutputNum {
    uint32_t inputs;
    uint32_t outputs;
};

struct TensorAttr {
    uint32_t index;
    uint32_t dim_count;
    uint32_t dims[kMaxDims];
    char name[kMaxNameLength];
    uint32_t elements;
    uint32_t size;
    TensorFormat format;
    TensorType type;
    QuantizationType quantization;
    int8_t fl;
    int32_t zero_point;
    float scale;
    uint32_t w_stride;
    uint32_t size_with_stride;
    uint8_t pass_through;
    uint32_t h_stride;
};

struct InputRange {
    uint32_t index;
    uint32_t shapes;
    TensorFormat format;
    char name[kMaxNameLength];
    uint32_t dims[kMaxDynamicShapes][kMaxDims];
    uint32_t dim_count;
};

struct PerfDetail {
    char* text;
    uint64_t length;
};

struct PerfRun {
    int64_t microseconds;
};

struct SdkVersion {
    char api[256];
    char driver[256];
};

struct MemSize {
    uint32_t weights;
    uint32_t internal;
    uint64_t dma_allocated;
    uint32_t sram;
    uint32_t free_sram;
    uint32_t reserved[10];
};

struct CustomString {
    char text[1024];
};

struct TensorMem {
    void* address;
    uint64_t physical;
    int32_t fd;
    int32_t offset;
    uint32_t size;
    uint32_t flags;
    void* private_data;
};

struct Input {
    uint32_t index;
    void* data;
    uint32_t size;
    uint8_t pass_through;
    TensorType type;
    TensorFormat format;
};

struct Output {
    uint8_t want_float;
    uint8_t preallocated;
    uint32_t index;
    void* data;
    uint32_t size;
};

struct InitExtend {
    Context context;
    int32_t model_offset;
    uint32_t model_size;
    int32_t model_fd;
    uint32_t model_flags;
    uint8_t reserved[112];
};

struct RunExtend {
    uint64_t frame;
    int32_t non_block;
    int32_t timeout_ms;
    int32_t fence_fd;
};

struct OutputExtend {
    uint64_t frame;
};

// NOLINTEND(cppcoreguidelines-avoid-c-arrays, modernize-avoid-c-arrays)

// Types of the entry points; the names are those that dlsym finds. A model of size 0 is the path of a file.
using Init = int32_t(Context* context, void* model, uint32_t size, uint32_t flags, InitExtend* extend);
using DupContext = int32_t(Context* source, Context* copy);
using Destroy = int32_t(Context context);
using QueryInfo = int32_t(Context context, Query query, void* info, uint32_t size);
using SetInputShapes = int32_t(Context context, uint32_t count, TensorAttr* inputs);
using InputsSet = int32_t(Context context, uint32_t count, Input* inputs);
using SetCoreMask = int32_t(Context context, CoreMask mask);
using Run = int32_t(Context context, RunExtend* extend);
using OutputsGet = int32_t(Context context, uint32_t count, Output* outputs, OutputExtend* extend);
using OutputsRelease = int32_t(Context context, uint32_t count, Output* outputs);

template <typename T, size_t Size>
inline constexpr bool kIs =
    std::conjunction_v<std::is_standard_layout<T>, std::is_trivially_copyable<T>, std::bool_constant<sizeof(T) == Size>>;

static_assert(kIs<InputOutputNum, 8> && offsetof(InputOutputNum, inputs) == 0 && offsetof(InputOutputNum, outputs) == 4);
static_assert(kIs<TensorAttr, 376> && offsetof(TensorAttr, index) == 0 && offsetof(TensorAttr, dim_count) == 4 &&
              offsetof(TensorAttr, dims) == 8 && offsetof(TensorAttr, name) == 72 && offsetof(TensorAttr, elements) == 328 &&
              offsetof(TensorAttr, size) == 332 && offsetof(TensorAttr, format) == 336 && offsetof(TensorAttr, type) == 340 &&
              offsetof(TensorAttr, quantization) == 344 && offsetof(TensorAttr, fl) == 348 && offsetof(TensorAttr, zero_point) == 352 &&
              offsetof(TensorAttr, scale) == 356 && offsetof(TensorAttr, w_stride) == 360 &&
              offsetof(TensorAttr, size_with_stride) == 364 && offsetof(TensorAttr, pass_through) == 368 &&
              offsetof(TensorAttr, h_stride) == 372);
static_assert(kIs<InputRange, 33040> && offsetof(InputRange, index) == 0 && offsetof(InputRange, shapes) == 4 &&
              offsetof(InputRange, format) == 8 && offsetof(InputRange, name) == 12 && offsetof(InputRange, dims) == 268 &&
              offsetof(InputRange, dim_count) == 33036);
static_assert(kIs<PerfDetail, 16> && offsetof(PerfDetail, text) == 0 && offsetof(PerfDetail, length) == 8);
static_assert(kIs<PerfRun, 8> && offsetof(PerfRun, microseconds) == 0);
static_assert(kIs<SdkVersion, 512> && offsetof(SdkVersion, api) == 0 && offsetof(SdkVersion, driver) == 256);
static_assert(kIs<MemSize, 64> && offsetof(MemSize, weights) == 0 && offsetof(MemSize, internal) == 4 &&
              offsetof(MemSize, dma_allocated) == 8 && offsetof(MemSize, sram) == 16 && offsetof(MemSize, free_sram) == 20 &&
              offsetof(MemSize, reserved) == 24);
static_assert(kIs<CustomString, 1024> && offsetof(CustomString, text) == 0);
static_assert(kIs<TensorMem, 40> && offsetof(TensorMem, address) == 0 && offsetof(TensorMem, physical) == 8 &&
              offsetof(TensorMem, fd) == 16 && offsetof(TensorMem, offset) == 20 && offsetof(TensorMem, size) == 24 &&
              offsetof(TensorMem, flags) == 28 && offsetof(TensorMem, private_data) == 32);
static_assert(kIs<Input, 32> && offsetof(Input, index) == 0 && offsetof(Input, data) == 8 && offsetof(Input, size) == 16 &&
              offsetof(Input, pass_through) == 20 && offsetof(Input, type) == 24 && offsetof(Input, format) == 28);
static_assert(kIs<Output, 24> && offsetof(Output, want_float) == 0 && offsetof(Output, preallocated) == 1 && offsetof(Output, index) == 4 &&
              offsetof(Output, data) == 8 && offsetof(Output, size) == 16);
static_assert(kIs<InitExtend, 136> && offsetof(InitExtend, context) == 0 && offsetof(InitExtend, model_offset) == 8 &&
              offsetof(InitExtend, model_size) == 12 && offsetof(InitExtend, model_fd) == 16 && offsetof(InitExtend, model_flags) == 20 &&
              offsetof(InitExtend, reserved) == 24);
static_assert(kIs<RunExtend, 24> && offsetof(RunExtend, frame) == 0 && offsetof(RunExtend, non_block) == 8 &&
              offsetof(RunExtend, timeout_ms) == 12 && offsetof(RunExtend, fence_fd) == 16);
static_assert(kIs<OutputExtend, 8> && offsetof(OutputExtend, frame) == 0);

} // namespace shim::rknnrt::abi
