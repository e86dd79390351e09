#include "backend.h"

namespace shim {

void check_core_mask(int64_t mask) {
    constexpr int64_t kAllCores = 65535;
    constexpr int64_t kThreeCores = 7;
    if (mask < 0 || (mask > kThreeCores && mask != kAllCores))
        throw Error(RKNNSHIM_INVALID_ARGUMENT, "'core_mask' must be 0 to 7, or 65535 for all cores");
}

} // namespace shim
