#pragma once

#include "rknnshim.h"

#include <stdexcept>
#include <string>

namespace shim {

/// A failure on its way to the boundary, where it becomes a status and the thread's error text.
class Error : public std::runtime_error {
public:
    Error(rknnshim_status status, const std::string& message) : std::runtime_error(message), status_(status) {}

    [[nodiscard]] rknnshim_status status() const noexcept { return status_; }

private:
    rknnshim_status status_;
};

} // namespace shim
