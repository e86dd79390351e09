// librknpu-driver.so: preloaded, it answers for the kernel driver /dev/rknpu, so that the vendor's librknnrt.so for arm64 loads,
// describes and runs models on a machine without an NPU. Memory is real; a job is done as soon as it is submitted and leaves its outputs
// as they were: zeros.
//
// In the environment:
//   RKNPU_VERSION  what it says of itself: 10000 x major + 100 x minor + patch (default 908, that is 0.9.8)
//   RKNPU_JOBS     path of a file that gets a line for each job: core mask and number of tasks
//   RKNPU_FAULT    "JOB SIGNAL": instead of that job (counted from 1) the process gets this signal, as one whose runtime has a defect
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

struct Action {
    uint32_t what;
    uint32_t value;
};

struct Submit {
    uint32_t flags;
    uint32_t timeout;
    uint32_t task_start;
    uint32_t task_number;
    uint32_t task_counter;
    int32_t priority;
    uint64_t task_object;
    uint64_t register_object;
    uint64_t task_base;
    uint64_t user_data;
    uint32_t core_mask;
    int32_t fence_fd;
    struct {
        uint32_t start;
        uint32_t number;
    } subcores[5];
};

struct CreateMemory {
    uint32_t handle;
    uint32_t flags;
    uint64_t size;
    uint64_t object;
    uint64_t dma;
    uint64_t sram;
};

static_assert(sizeof(Action) == 8 && sizeof(Submit) == 104 && sizeof(CreateMemory) == 40);

constexpr unsigned long kAction = _IOWR('r', 0, Action);
constexpr unsigned long kSubmit = _IOWR('r', 1, Submit);
constexpr unsigned long kCreateMemory = _IOWR('r', 2, CreateMemory);

/// What every open of the device is a copy of: the runtime closes its own, and the number may then be another file's.
const int g_device = memfd_create("rknpu-device", MFD_CLOEXEC);
std::atomic<uint64_t> g_next_dma = 0x10000000;
std::atomic<int64_t> g_jobs = 0;

const char* setting(const char* name, const char* otherwise) {
    const char* const value = std::getenv(name);
    return value == nullptr ? otherwise : value;
}

template <typename F>
F* next(const char* name) {
    return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

bool is_device(int file) {
    struct stat own {};
    struct stat other {};
    return file >= 0 && fstat(g_device, &own) == 0 && fstat(file, &other) == 0 && own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}

int act(Action& action) {
    constexpr uint32_t kHardware = 0x46495245; // of the RK3588
    switch (action.what) {
    case 0: action.value = kHardware; break;
    case 1: action.value = static_cast<uint32_t>(std::strtoul(setting("RKNPU_VERSION", "908"), nullptr, 10)); break;
    case 18: action.value = 1; break;
    default: break;
    }
    return 0;
}

int submit(Submit& job) {
    long at = 0;
    int signal = 0;
    if (std::sscanf(setting("RKNPU_FAULT", ""), "%ld %d", &at, &signal) == 2 && ++g_jobs == at)
        raise(signal);
    if (const char* const path = std::getenv("RKNPU_JOBS"))
        if (const int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666); file >= 0) {
            dprintf(file, "%u %u\n", job.core_mask, job.task_number);
            close(file);
        }
    job.task_counter = job.task_number;
    return 0;
}

int create(CreateMemory& memory) {
    constexpr uint64_t kPage = 4096;
    const int file = memfd_create("rknpu", MFD_CLOEXEC);
    const uint64_t size = (memory.size + kPage - 1) / kPage * kPage;
    if (file < 0 || ftruncate(file, static_cast<off_t>(size)) != 0)
        return -1;
    memory.handle = static_cast<uint32_t>(file);
    memory.dma = g_next_dma.fetch_add(size);
    memory.object = memory.dma;
    return 0;
}

} // namespace

extern "C" {

__attribute__((visibility("default"))) int open(const char* path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    if (std::strcmp(path, "/dev/rknpu") != 0)
        return next<int(const char*, int, mode_t)>("open")(path, flags, mode);
    return fcntl(g_device, F_DUPFD_CLOEXEC, 0);
}

__attribute__((visibility("default"))) int ioctl(int file, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void* const argument = va_arg(rest, void*);
    va_end(rest);
    if (!is_device(file))
        return next<int(int, unsigned long, void*)>("ioctl")(file, request, argument);
    switch (request) {
    case kAction: return act(*static_cast<Action*>(argument));
    case kSubmit: return submit(*static_cast<Submit*>(argument));
    case kCreateMemory: return create(*static_cast<CreateMemory*>(argument));
    default: return 0; // maps, frees and synchronizes memory: a mapped file needs none of it
    }
}

} // extern "C"
