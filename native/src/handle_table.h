#pragma once

#include "error.h"

#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace shim {

/// Owns objects behind 64-bit handles: kind (8 bits), generation (24), index (32). A freed handle never becomes valid again,
/// since a slot whose generations are used up is retired. An object in use by another thread lives until that use ends.
template <typename T>
class HandleTable {
public:
    HandleTable(uint8_t kind, const char* noun) : kind_(kind), noun_(noun) {}

    uint64_t add(std::shared_ptr<T> object) {
        const std::lock_guard lock(mutex_);
        uint32_t index = 0;
        if (free_.empty()) {
            index = static_cast<uint32_t>(slots_.size());
            slots_.emplace_back();
            free_.reserve(slots_.size()); // so that remove cannot fail
        } else {
            index = free_.back();
            free_.pop_back();
        }
        slots_[index].object = std::move(object);
        return (uint64_t{kind_} << 56U) | (uint64_t{slots_[index].generation} << 32U) | index;
    }

    std::shared_ptr<T> get(uint64_t handle) {
        const std::lock_guard lock(mutex_);
        return slot(handle).object;
    }

    /// Takes the object out; the handle is invalid from now on.
    std::shared_ptr<T> remove(uint64_t handle) {
        const std::lock_guard lock(mutex_);
        Slot& found = slot(handle);
        if (++found.generation <= kLastGeneration)
            free_.push_back(static_cast<uint32_t>(handle));
        return std::move(found.object);
    }

private:
    struct Slot {
        uint32_t generation = 1;
        std::shared_ptr<T> object;
    };

    Slot& slot(uint64_t handle) {
        const auto index = static_cast<uint32_t>(handle);
        const auto generation = static_cast<uint32_t>(handle >> 32U) & kLastGeneration;
        if (handle >> 56U != kind_ || index >= slots_.size() || slots_[index].generation != generation || !slots_[index].object)
            throw Error(RKNNSHIM_INVALID_HANDLE,
                        std::string("this is no handle of an open ") + noun_ + ": it was never given out or is already freed");
        return slots_[index];
    }

    static constexpr uint32_t kLastGeneration = 0xFFFFFF;

    const uint8_t kind_;
    const char* const noun_;
    std::mutex mutex_;
    std::vector<Slot> slots_;
    std::vector<uint32_t> free_;
};

} // namespace shim
