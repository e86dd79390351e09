#include "chatter.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <optional>
#include <system_error>

namespace shim::toolkit {

namespace {

constexpr size_t kMaxLine = 4096; // longer ones are no progress bars
constexpr std::string_view kInfo = "I ";

std::optional<int64_t> number(std::string_view text) {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

} // namespace

Chatter::Chatter(const std::string& path, JobContext& context)
    : path_(path), file_(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)), context_(context) {
    if (file_.get() < 0)
        throw Error(RKNNSHIM_IO_ERROR, "start: log '" + path + "' cannot be written: " + std::generic_category().message(errno));
}

void Chatter::take(std::string_view text) {
    for (size_t done = 0; done < text.size();) {
        const ssize_t count = write(file_.get(), text.data() + done, text.size() - done);
        if (count < 0 && errno != EINTR)
            throw Error(RKNNSHIM_IO_ERROR, "log: '" + path_ + "' cannot be written: " + std::generic_category().message(errno));
        done += count > 0 ? static_cast<size_t>(count) : 0;
    }
    for (const char c : text) {
        if (c == '\n' || c == '\r') {
            line(line_);
            line_.clear();
        } else if (line_.size() < kMaxLine) {
            line_ += c;
        }
    }
}

/// A bar is `I Quantizating :   9%|####    | 7/81 [00:00<00:01, 56.71it/s]`.
void Chatter::line(std::string_view text) {
    if (!text.starts_with(kInfo))
        return;
    text.remove_prefix(kInfo.size());
    if (text.starts_with("rknn building")) {
        context_.progress("building", text.ends_with("done.") ? 1 : 0, 1);
        return;
    }
    const auto colon = text.find(" :");
    const auto bar = text.rfind("| ");
    const auto slash = text.find('/', bar);
    const auto bracket = text.find(" [", bar);
    if (colon == std::string_view::npos || bar == std::string_view::npos || slash == std::string_view::npos ||
        bracket == std::string_view::npos || slash > bracket)
        return;
    const auto done = number(text.substr(bar + 2, slash - bar - 2));
    const auto total = number(text.substr(slash + 1, bracket - slash - 1));
    if (done && total && *done >= 0 && *done <= *total)
        context_.progress(std::string(text.substr(0, colon)).c_str(), *done, *total);
}

} // namespace shim::toolkit
