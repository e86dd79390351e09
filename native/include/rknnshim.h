/*
 * librknnshim: converts models and runs them, on a simulator or on a Rockchip NPU, behind one C ABI.
 *
 * Rules that hold for every function:
 * - It may be called from any thread. Calls on one model are run one after another.
 * - It returns RKNNSHIM_OK or another rknnshim_status and never throws. The text of the calling thread's last failure is
 *   rknnshim_last_error().
 * - Handles are checked: zero, foreign, freed and wrong-kind handles give RKNNSHIM_INVALID_HANDLE. They are never used again.
 * - Text is UTF-8. Text is returned by filling `buffer` of `capacity` bytes, terminated by a zero byte; *length is the length
 *   without it. When it does not fit, nothing is written or consumed, *length is set, and the status is
 *   RKNNSHIM_BUFFER_TOO_SMALL: call again with at least *length + 1 bytes.
 */
#ifndef RKNNSHIM_H
#define RKNNSHIM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RKNNSHIM_API __attribute__((visibility("default")))

/* Raised when a caller built against an older header could no longer call the library. */
#define RKNNSHIM_ABI_VERSION 3

typedef enum rknnshim_status {
    RKNNSHIM_OK = 0,
    RKNNSHIM_INVALID_ARGUMENT = 1, /* null, malformed JSON, a wrong count or size */
    RKNNSHIM_INVALID_HANDLE = 2,   /* never given out, freed, or of another kind */
    RKNNSHIM_UNSUPPORTED = 3,      /* no such backend, or it cannot do this */
    RKNNSHIM_NOT_FOUND = 4,        /* a file or library is missing */
    RKNNSHIM_INVALID_MODEL = 5,    /* the file is not a model that this backend runs */
    RKNNSHIM_RUNTIME_ERROR = 6,    /* the runtime below failed */
    RKNNSHIM_IO_ERROR = 7,         /* reading or writing a file failed */
    RKNNSHIM_CANCELLED = 8,
    RKNNSHIM_BUFFER_TOO_SMALL = 9,
    RKNNSHIM_PENDING = 10, /* the job has not ended, or has no event yet */
    RKNNSHIM_END = 11,     /* the job's last event was already delivered */
    RKNNSHIM_INTERNAL_ERROR = 12,
    RKNNSHIM_BUSY = 13 /* another process has the NPU */
} rknnshim_status;

/* ---- library ---- */

RKNNSHIM_API uint32_t rknnshim_abi_version(void);

/* Text of the calling thread's last failure, "" if there was none. Valid until this thread's next call. */
RKNNSHIM_API const char* rknnshim_last_error(void);

/* ---- this machine ---- */

typedef uint64_t rknnshim_machine;

/*
 * `options` is null or a JSON object; unknown keys are refused:
 *   root    stands in front of /proc and /sys (default "")
 *   rknnrt  path of librknnrt.so (default: where boards have it)
 *   lock    path of the file that keeps other processes off the NPU, held until the machine is closed (default: none is taken).
 *           RKNNSHIM_BUSY names the process that holds it.
 */
RKNNSHIM_API int32_t rknnshim_machine_open(const char* options, rknnshim_machine* machine);

/*
 * What the machine is and how it feels, as JSON; "" and 0 where it does not tell:
 *   "facts"   {"platform", "soc": [text of /proc/device-tree/compatible], "driver" of the NPU, "runtime" version,
 *              "runtime_library": its path, "cores"}
 *   "status"  {"npu_governor", "npu_hertz", "npu_max_hertz", "cpu_governors": {policy: text}, "celsius": {zone: number}, "note"}
 */
RKNNSHIM_API int32_t rknnshim_machine_describe(rknnshim_machine machine, char* buffer, size_t capacity, size_t* length);

/* Sets the NPU's frequency governor until the machine is closed. RKNNSHIM_UNSUPPORTED says why it stays as it is. */
RKNNSHIM_API int32_t rknnshim_machine_set_governor(rknnshim_machine machine, const char* npu);

/* Gives back governor and lock. */
RKNNSHIM_API int32_t rknnshim_machine_close(rknnshim_machine machine);

/* ---- jobs: long work on a thread of its own ---- */

typedef uint64_t rknnshim_job;

/*
 * Starts a conversion. `json` is one object of at most 1 MiB; unknown keys are refused:
 *   backend        "simulator", or "rknn-toolkit": see below
 *   source         path of the model to convert
 *   artifact       path of the file to write; it appears whole or not at all
 *   target         platform, such as "rk3588"
 *   custom_string  at most 1023 bytes stored in the artifact (default "")
 *   onnxruntime    path of libonnxruntime.so (default: see rknnshim_model_load)
 *   threads        of the proof run; 0 takes all cores (default 0)
 * The simulator takes an ONNX file whose inputs are int64 [1, S] and whose outputs are float32, runs it once on zeros, and
 * writes the same graph marked as simulated.
 *
 * Backend "rknn-toolkit" runs the toolkit's Python driver in a process group and a scratch folder of its own (TMPDIR is in it),
 * in an environment in which the toolkit makes the same bytes of the same job twice. It takes, instead of the last two keys:
 *   python, driver  paths of the interpreter and of driver.py
 *   settings        the driver's job as JSON text, but for model, artifact, target and custom_string
 *   log             path of the file that keeps all that the toolkit prints
 *   max_seconds     wall time (default 3600)
 *   max_memory_mb   address space, 0 without limit (default 0)
 *   keep_scratch    1 leaves the scratch folder beside the artifact (default 0)
 * Its failures begin with the step that was running and a colon.
 */
RKNNSHIM_API int32_t rknnshim_job_start(const char* json, size_t length, rknnshim_job* job);

/*
 * Takes the next event, one JSON object, waiting for it up to timeout_ms (0 to 60000). RKNNSHIM_PENDING when none came.
 *   {"event": "progress", "activity": text, "done": n, "total": n}
 *   {"event": "log", "level": "info" | "warning", "message": text}
 *   {"event": "done", "status": rknnshim_status, "message": text, "dropped": n}    the last one
 * If nobody polls, old events are dropped and counted in "dropped"; "done" is always delivered.
 */
RKNNSHIM_API int32_t rknnshim_job_poll(rknnshim_job job, int32_t timeout_ms, char* buffer, size_t capacity, size_t* length);

/* Asks the job to end soon; it then ends as RKNNSHIM_CANCELLED. Without effect on a job that has ended. */
RKNNSHIM_API int32_t rknnshim_job_cancel(rknnshim_job job);

/*
 * The ended job's result as JSON: {"artifact", "bytes", "simulated", "run_microseconds", "inputs", "outputs"}, tensors as in
 * rknnshim_model_describe; of "rknn-toolkit" also "toolkit", the driver's result. RKNNSHIM_PENDING while it runs; the job's
 * own status and error text if it failed.
 */
RKNNSHIM_API int32_t rknnshim_job_result(rknnshim_job job, char* buffer, size_t capacity, size_t* length);

/* Cancels the job if it runs, waits for its end and frees it. */
RKNNSHIM_API int32_t rknnshim_job_free(rknnshim_job job);

/* ---- models ---- */

typedef uint64_t rknnshim_model;

/* One input: `count` elements, row-major. */
typedef struct rknnshim_input {
    const int64_t* data;
    uint64_t count;
} rknnshim_input;

/* One output: room for `capacity` elements; the run sets `count`. */
typedef struct rknnshim_output {
    float* data;
    uint64_t capacity;
    uint64_t count;
} rknnshim_output;

/*
 * Loads a model file.
 *   backend "onnx"       any ONNX model with int64 inputs and float32 outputs, as fast as ONNX Runtime runs it
 *   backend "rknnrt"     an .rknn on the NPU, through the vendor's librknnrt.so
 *   backend "simulator"  an artifact of the simulator's conversion; quantization is computed exactly as the graph says
 * `options` is null or a JSON object; unknown keys are refused:
 *   threads      0 takes all cores (default 0)
 *   batch        of inputs whose first dimension the model leaves open, 1 to 256 (default 1)
 *   core_mask    bits 0 to 2 for the NPU's cores, 0 automatic, 65535 all (default 0); of no effect without an NPU
 *   profile      1 keeps a table of layers, which slows runs down (default 0)
 *   onnxruntime  path of libonnxruntime.so. Default: the one already loaded in this process, else the one beside this
 *                library, else the loader's. A process uses one: naming a second is an error.
 *   rknnrt       path of librknnrt.so (default: the loader's). A process uses one.
 */
RKNNSHIM_API int32_t rknnshim_model_load(const char* backend, const char* path, const char* options, rknnshim_model* model);

/*
 * JSON: {"backend", "simulated": bool, "sdk_version", "target", "custom_string", "inputs": [tensor], "outputs": [tensor]}
 * and from rknnrt also "driver", the kernel driver's version, and "memory": {"weights", "internal"}, the file's in bytes,
 * with tensor {"name", "type", "dims": [n], "quantization": {"type": "none" | "affine", "scale", "zero_point"}}; -1 is a
 * dimension that is not fixed. Of an .rknn for several shapes, dimensions are those of the one that it loads with.
 */
RKNNSHIM_API int32_t rknnshim_model_describe(rknnshim_model model, char* buffer, size_t capacity, size_t* length);

/*
 * Runs the model once on inputs and into outputs in the model's order. Of an input's dimensions that are not fixed, the first
 * is the model's `batch`, the last follows from `count`, and others are 1. An .rknn for several shapes runs at the one whose inputs
 * have these counts. *microseconds (may be null) is the run's time without copies.
 * RKNNSHIM_BUFFER_TOO_SMALL: the `count` of an output above its `capacity` says what is needed; contents are undefined.
 */
RKNNSHIM_API int32_t rknnshim_model_run(rknnshim_model model, const rknnshim_input* inputs, uint32_t input_count, rknnshim_output* outputs,
                                        uint32_t output_count, int64_t* microseconds);

/*
 * The runtime's own table of layers of the last run, at most 4 MiB of text. RKNNSHIM_UNSUPPORTED without the option `profile`, before a
 * run, and of backend "onnx".
 */
RKNNSHIM_API int32_t rknnshim_model_profile(rknnshim_model model, char* buffer, size_t capacity, size_t* length);

/*
 * A second handle on the same model, which may run at the same time as the first: weights are shared, and each is closed by
 * itself. `core_mask` as in rknnshim_model_load.
 */
RKNNSHIM_API int32_t rknnshim_model_duplicate(rknnshim_model model, int32_t core_mask, rknnshim_model* copy);

/* Ends the run in progress (on an NPU only after it finished by itself), which then returns RKNNSHIM_CANCELLED.
   Without effect when none is. */
RKNNSHIM_API int32_t rknnshim_model_cancel(rknnshim_model model);

/* The handle is invalid from now on. A run in progress ends first, then memory is freed. */
RKNNSHIM_API int32_t rknnshim_model_close(rknnshim_model model);

#ifdef __cplusplus
}
#endif

#endif
