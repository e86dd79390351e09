#include "store.h"

#include "error.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <vector>

namespace agent {

using shim::Error;

namespace {

constexpr const char* kUnfinished = ".partial";
constexpr uint64_t kMaxFile = uint64_t{4} << 30U;

std::string reason() {
    return std::generic_category().message(errno);
}

} // namespace

Store::Store(std::string folder) : folder_(std::move(folder)) {
    std::error_code error;
    std::filesystem::create_directories(folder_, error);
    if (error)
        throw Error(RKNNSHIM_IO_ERROR, "the folder '" + folder_ + "' on the device cannot be made: " + error.message());
}

std::string Store::path(const std::string& sha256, const std::string& extension) const {
    const bool known = std::ranges::any_of(std::array{".rknn", ".onnx", ".sim.onnx"}, [&](const char* e) { return extension == e; });
    if (!is_sha256(sha256) || !known)
        throw Error(RKNNSHIM_INVALID_ARGUMENT, "a file is named by 64 lower-case hex digits and .rknn, .onnx or .sim.onnx");
    return folder_ + "/" + sha256 + extension;
}

std::string Store::find(const std::string& sha256, const std::string& extension) {
    auto file = path(sha256, extension);
    if (file == verified_ && access(file.c_str(), R_OK) == 0)
        return file;
    std::ifstream stream(file, std::ios::binary);
    if (!stream)
        return "";
    Sha256 hash;
    std::vector<char> block(size_t{1} << 20U);
    while (stream.read(block.data(), static_cast<std::streamsize>(block.size())), stream.gcount() > 0)
        hash.update(std::as_bytes(std::span(block).first(static_cast<size_t>(stream.gcount()))));
    if (hash.finish() != sha256) {
        unlink(file.c_str());
        return "";
    }
    return verified_ = file;
}

void Store::tidy() {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder_, error)) {
        const auto name = entry.path().filename().string();
        if (name.ends_with(kUnfinished) && is_sha256(name.substr(0, 64)))
            std::filesystem::remove(entry.path(), error);
    }
}

void Store::begin(const std::string& sha256, const std::string& extension, uint64_t bytes) {
    abandon();
    target_ = path(sha256, extension);
    if (bytes == 0 || bytes > kMaxFile)
        throw Error(RKNNSHIM_INVALID_ARGUMENT, "a model has 1 to " + std::to_string(kMaxFile) + " bytes, not " + std::to_string(bytes));
    temporary_ = target_ + "." + std::to_string(getpid()) + kUnfinished;
    descriptor_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (descriptor_ < 0)
        throw Error(RKNNSHIM_IO_ERROR, "'" + temporary_ + "' on the device cannot be written: " + reason());
    sha256_ = sha256;
    hash_ = {};
    missing_ = bytes;
}

bool Store::append(std::span<const std::byte> bytes) {
    if (descriptor_ < 0)
        throw Error(RKNNSHIM_INVALID_ARGUMENT, "bytes of a file came without a beginning");
    try {
        if (bytes.size() > missing_)
            throw Error(RKNNSHIM_INVALID_ARGUMENT, "more bytes of '" + target_ + "' came than were announced");
        for (size_t done = 0; done < bytes.size();) {
            const ssize_t n = write(descriptor_, bytes.data() + done, bytes.size() - done);
            if (n < 0 && errno != EINTR)
                throw Error(RKNNSHIM_IO_ERROR,
                            "'" + temporary_ + "' on the device cannot be written: " + reason() + "; free some space there");
            done += n > 0 ? static_cast<size_t>(n) : 0;
        }
        hash_.update(bytes);
        missing_ -= bytes.size();
        if (missing_ != 0)
            return false;
        if (const auto found = hash_.finish(); found != sha256_)
            throw Error(RKNNSHIM_IO_ERROR, "the upload was damaged: its sha256 is " + found + ", not " + sha256_);
        if (fsync(descriptor_) != 0 || std::rename(temporary_.c_str(), target_.c_str()) != 0)
            throw Error(RKNNSHIM_IO_ERROR, "'" + target_ + "' on the device cannot be written: " + reason() + "; free some space there");
        verified_ = target_;
        close(descriptor_);
        descriptor_ = -1;
        return true;
    } catch (...) {
        abandon();
        throw;
    }
}

void Store::abandon() {
    if (descriptor_ < 0)
        return;
    close(descriptor_);
    descriptor_ = -1;
    unlink(temporary_.c_str());
}

} // namespace agent
