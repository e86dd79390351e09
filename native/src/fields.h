#pragma once

#include "error.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

namespace shim {

/// Reads one flat JSON object strictly: every key must be asked for, and values must have the asked type and range.
class Fields {
public:
    /// `what` names the object in messages. Empty text stands for an empty object.
    Fields(std::string_view text, std::string what);

    [[nodiscard]] std::string text(const char* key);
    [[nodiscard]] std::string text(const char* key, std::string fallback);
    [[nodiscard]] int64_t integer(const char* key, int64_t fallback, int64_t min, int64_t max);

    /// Refuses keys that nobody asked for.
    void finish() const;

private:
    [[noreturn]] void fail(const std::string& problem) const;
    const nlohmann::json* find(const char* key);

    nlohmann::json object_;
    std::string what_;
    std::set<std::string, std::less<>> asked_;
};

/// JSON text; bytes that are not UTF-8 (from file names, runtimes) become U+FFFD.
[[nodiscard]] std::string dump(const nlohmann::json& json);

} // namespace shim
