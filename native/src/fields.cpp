#include "fields.h"

namespace shim {

namespace {
constexpr size_t kMaxBytes = 1U << 20U;
}

Fields::Fields(std::string_view text, std::string what) : object_(nlohmann::json::object()), what_(std::move(what)) {
    if (text.size() > kMaxBytes)
        fail("it has " + std::to_string(text.size()) + " bytes; at most " + std::to_string(kMaxBytes) + " are accepted");
    if (text.empty())
        return;
    // A callback is the parser's only way to notice that a key is given twice.
    std::set<std::string, std::less<>> keys;
    const auto flat = [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& value) {
        using Event = nlohmann::json::parse_event_t;
        if (depth > 0 && (event == Event::object_start || event == Event::array_start))
            fail("values must be text or numbers");
        if (event == Event::key && !keys.insert(value.get<std::string>()).second)
            fail("'" + value.get<std::string>() + "' is given twice");
        return true;
    };
    try {
        object_ = nlohmann::json::parse(text, flat);
    } catch (const nlohmann::json::exception& e) {
        fail(std::string("it is not JSON: ") + e.what());
    }
    if (!object_.is_object())
        fail("it must be a JSON object");
}

void Fields::fail(const std::string& problem) const {
    throw Error(RKNNSHIM_INVALID_ARGUMENT, what_ + ": " + problem);
}

const nlohmann::json* Fields::find(const char* key) {
    asked_.insert(key);
    const auto found = object_.find(key);
    return found == object_.end() ? nullptr : &*found;
}

std::string Fields::text(const char* key) {
    std::string value = text(key, {});
    if (value.empty())
        fail(std::string("'") + key + "' is required and must not be empty");
    return value;
}

std::string Fields::text(const char* key, std::string fallback) {
    const auto* const value = find(key);
    if (value == nullptr)
        return fallback;
    if (!value->is_string())
        fail(std::string("'") + key + "' must be text");
    auto result = value->get<std::string>();
    if (result.find('\0') != std::string::npos)
        fail(std::string("'") + key + "' must not contain a zero byte");
    return result;
}

int64_t Fields::integer(const char* key, int64_t fallback, int64_t min, int64_t max) {
    const auto* const value = find(key);
    if (value == nullptr)
        return fallback;
    const bool fits = value->is_number_unsigned() ? value->get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX) : value->is_number_integer();
    const int64_t number = fits ? value->get<int64_t>() : 0;
    if (!fits || number < min || number > max)
        fail(std::string("'") + key + "' must be a whole number from " + std::to_string(min) + " to " + std::to_string(max));
    return number;
}

void Fields::finish() const {
    for (const auto& [key, value] : object_.items())
        if (!asked_.contains(key))
            fail("'" + key + "' is not a known key");
}

std::string dump(const nlohmann::json& json) {
    return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

} // namespace shim
