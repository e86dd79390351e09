#pragma once

#include "backend.h"

namespace shim {

/// The backend of this name that runs models. What it is built of knows nothing of this table.
/// Throws RKNNSHIM_UNSUPPORTED, and lists the known ones if there is none of this name.
[[nodiscard]] const Backend& runner(std::string_view name);

/// The same for one that converts.
[[nodiscard]] const Backend& converter(std::string_view name);

} // namespace shim
