#pragma once

#include "sha256.h"

#include <nlohmann/json.hpp>

#include <string>

namespace agent {

/// Model files on the device, in one folder, named by the hash of their bytes.
class Store {
public:
    explicit Store(std::string folder);
    /// Deletes what was not finished.
    ~Store() { abandon(); }
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    /// The file's path if it is there and whole, else "". A file that is damaged is deleted.
    [[nodiscard]] std::string find(const std::string& sha256, const std::string& extension);

    /// Deletes what agents before this one left unfinished. Only for the one that holds the board.
    void tidy();

    void begin(const std::string& sha256, const std::string& extension, uint64_t bytes);

    /// True when this was the last piece and the file is in its place. Throws when the bytes are not those of the hash.
    bool append(std::span<const std::byte> bytes);

private:
    [[nodiscard]] std::string path(const std::string& sha256, const std::string& extension) const;
    void abandon();

    std::string folder_;
    std::string target_;
    std::string temporary_;
    std::string sha256_;
    std::string verified_; // path of the file that was hashed last: models are large
    Sha256 hash_;
    uint64_t missing_ = 0;
    int descriptor_ = -1;
};

} // namespace agent
