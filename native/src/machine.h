#pragma once

#include <nlohmann/json.hpp>

#include <string>

namespace shim {

/// What a board's /proc and /sys tell. `root` stands in front of these paths.
class Machine {
public:
    explicit Machine(std::string root) : root_(std::move(root)) {}
    /// Gives the NPU its governor back.
    ~Machine();
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    /// {"platform", "soc": [text], "driver", "cores"}: "" where the machine does not tell.
    [[nodiscard]] nlohmann::json facts() const;

    /// {"npu_governor", "npu_hertz", "npu_max_hertz", "cpu_governors": {policy: text}, "celsius": {zone: number}, "note"}
    [[nodiscard]] nlohmann::json status() const;

    /// Returns why it cannot be set, "" if it was.
    [[nodiscard]] std::string set_npu_governor(const std::string& name);

private:
    [[nodiscard]] std::string npu_folder() const;
    [[nodiscard]] std::string read(const std::string& path) const;

    std::string root_;
    std::string governor_before_;
};

/// The version that a copy of librknnrt.so carries as text, "" if none is found. `path` empty: where boards have it.
[[nodiscard]] std::string runtime_version(const std::string& path);

} // namespace shim
