#pragma once

#include <nlohmann/json.hpp>

#include <string>

namespace shim {

/// What a board's /proc and /sys tell, and the right to its NPU. `root` stands in front of these paths.
class Machine {
public:
    explicit Machine(std::string root) : root_(std::move(root)) {}
    /// Gives the NPU its governor back, then leaves it to others.
    ~Machine();
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    /// {"platform", "soc": [text], "driver", "cores"}: "" where the machine does not tell.
    [[nodiscard]] nlohmann::json facts() const;

    /// {"npu_governor", "npu_hertz", "npu_max_hertz", "cpu_governors": {policy: text}, "celsius": {zone: number}, "note"}
    [[nodiscard]] nlohmann::json status() const;

    /// Takes the lock file that keeps a second process off the NPU. What a holder that was killed could not give back is given back now.
    /// Returns who holds it, "" if it is now this process.
    [[nodiscard]] std::string take(const std::string& lock);

    /// Until this object is gone. Returns why it cannot be set, "" if it was.
    [[nodiscard]] std::string set_npu_governor(const std::string& name);

private:
    /// Without the root; "" if there is no NPU.
    [[nodiscard]] std::string npu_folder() const;
    [[nodiscard]] std::string npu_governor() const;
    [[nodiscard]] std::string read(const std::string& path) const;
    [[nodiscard]] bool write_governor(const std::string& name) const;
    void note(const std::string& governor) const;

    std::string root_;
    std::string governor_before_;
    int lock_ = -1;
};

} // namespace shim
