#include "check.h"
#include "handle_table.h"

namespace {

bool is_open(shim::HandleTable<int>& table, uint64_t handle) {
    try {
        return table.get(handle) != nullptr;
    } catch (const shim::Error& e) {
        CHECK_EQUAL(e.status(), RKNNSHIM_INVALID_HANDLE);
        return false;
    }
}

TEST(a_reused_slot_gets_a_handle_that_was_never_valid_before) {
    shim::HandleTable<int> table(1, "thing");
    const uint64_t first = table.add(std::make_shared<int>(1));
    table.remove(first);
    const uint64_t second = table.add(std::make_shared<int>(2));

    CHECK(first != second);
    CHECK(!is_open(table, first));
    CHECK_EQUAL(*table.get(second), 2);
}

TEST(neighbours_of_a_valid_handle_are_refused) {
    shim::HandleTable<int> table(1, "thing");
    const uint64_t handle = table.add(std::make_shared<int>(1));

    for (unsigned bit = 0; bit < 64; ++bit)
        CHECK(!is_open(table, handle ^ (uint64_t{1} << bit)));
    CHECK(!is_open(table, 0));
    CHECK(is_open(table, handle));
}

TEST(an_object_in_use_outlives_its_handle) {
    shim::HandleTable<int> table(1, "thing");
    const uint64_t handle = table.add(std::make_shared<int>(7));
    const auto in_use = table.get(handle);
    table.remove(handle);

    CHECK_EQUAL(*in_use, 7);
    CHECK_EQUAL(in_use.use_count(), 1);
}

TEST(a_slot_whose_generations_are_used_up_is_retired) {
    shim::HandleTable<int> table(1, "thing");
    const auto object = std::make_shared<int>(1);
    const uint64_t first = table.add(object);
    table.remove(first);
    uint64_t last = first;
    for (uint32_t i = 2; i <= 0xFFFFFF; ++i) {
        last = table.add(object);
        table.remove(last);
    }
    CHECK_EQUAL(static_cast<uint32_t>(last), static_cast<uint32_t>(first)); // the same slot up to here

    const uint64_t fresh = table.add(object);

    CHECK(static_cast<uint32_t>(fresh) != static_cast<uint32_t>(first));
    CHECK(!is_open(table, first));
}

} // namespace
