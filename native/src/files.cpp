#include "files.h"

#include "error.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

namespace shim {

namespace {

class File {
public:
    File(const std::string& path, int flags) : descriptor_(open(path.c_str(), flags | O_CLOEXEC, 0666)) {}
    ~File() {
        if (descriptor_ >= 0)
            close(descriptor_);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    [[nodiscard]] int get() const { return descriptor_; }

private:
    int descriptor_;
};

/// Calls read or write until all is done, the file ends, or it fails.
template <typename Call>
bool transfer(size_t size, Call call) {
    for (size_t done = 0; done < size;) {
        const ssize_t n = call(done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += static_cast<size_t>(n);
    }
    return true;
}

std::string reason() {
    return std::generic_category().message(errno);
}

} // namespace

std::vector<std::byte> read_file(const std::string& path, size_t max_bytes, size_t extra) {
    const File file(path, O_RDONLY);
    struct stat info {};
    if (file.get() < 0 || fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode))
        throw Error(RKNNSHIM_NOT_FOUND, "'" + path + "' cannot be read: " + (file.get() < 0 ? reason() : "it is no file"));
    const auto size = static_cast<size_t>(info.st_size);
    if (size > max_bytes)
        throw Error(RKNNSHIM_INVALID_MODEL,
                    "'" + path + "' has " + std::to_string(size) + " bytes; at most " + std::to_string(max_bytes) + " are accepted");
    std::vector<std::byte> bytes;
    bytes.reserve(size + extra);
    bytes.resize(size);
    if (!transfer(size, [&](size_t done) { return read(file.get(), bytes.data() + done, size - done); }))
        throw Error(RKNNSHIM_IO_ERROR, "'" + path + "' cannot be read to its end: it shrank or the disk failed");
    return bytes;
}

void write_file_atomically(const std::string& path, std::span<const std::byte> bytes) {
    static std::atomic<uint64_t> serial{0};
    const std::string temporary = path + "." + std::to_string(getpid()) + "-" + std::to_string(++serial) + ".partial";
    bool written = false;
    {
        const File file(temporary, O_WRONLY | O_CREAT | O_EXCL);
        written = file.get() >= 0 &&
                  transfer(bytes.size(), [&](size_t done) { return write(file.get(), bytes.data() + done, bytes.size() - done); }) &&
                  fsync(file.get()) == 0;
    }
    if (!written || std::rename(temporary.c_str(), path.c_str()) != 0) {
        const std::string why = reason();
        unlink(temporary.c_str());
        throw Error(RKNNSHIM_IO_ERROR,
                    "'" + path + "' cannot be written: " + why + "; check the folder, its permissions and the free space");
    }
    // The name itself is on the disk only when its folder is; a file system that cannot do that is no reason to fail.
    const auto folder = std::filesystem::path(path).parent_path();
    const File directory(folder.empty() ? "." : folder.string(), O_RDONLY | O_DIRECTORY);
    if (directory.get() >= 0)
        fsync(directory.get());
}

} // namespace shim
