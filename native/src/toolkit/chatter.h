#pragma once

#include "../backend.h"
#include "child_process.h"

#include <string>
#include <string_view>

namespace shim::toolkit {

/// What the toolkit prints: kept in a log file byte for byte, and its progress bars passed on.
class Chatter {
public:
    Chatter(const std::string& path, JobContext& context);

    void take(std::string_view text);

private:
    void line(std::string_view text);

    std::string path_;
    Descriptor file_;
    JobContext& context_;
    std::string line_;
};

} // namespace shim::toolkit
