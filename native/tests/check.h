#pragma once

// A test is a function; CHECK ends it by throwing. Enough for a C ABI, and no dependency.

#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace test {

struct Case {
    const char* name;
    void (*body)();
};

inline std::vector<Case>& cases() {
    static std::vector<Case> all;
    return all;
}

struct Registration {
    Registration(const char* name, void (*body)()) { cases().push_back({name, body}); }
};

/// Thrown by a test that lacks something of the machine.
struct Skipped {
    std::string reason;
};

[[noreturn]] inline void fail(const char* file, int line, const std::string& what) {
    throw std::runtime_error(std::string(file) + ":" + std::to_string(line) + ": " + what);
}

template <typename A, typename B>
void check_equal(const A& actual, const B& expected, const char* text, const char* file, int line) {
    if (actual == expected)
        return;
    std::ostringstream message;
    message << text << " is " << actual << ", expected " << expected;
    fail(file, line, message.str());
}

} // namespace test

// NOLINTBEGIN(bugprone-macro-parentheses): a name that is declared cannot stand in them
#define TEST(name)                                             \
    static void name();                                        \
    static const test::Registration name##_case(#name, &name); \
    static void name()
// NOLINTEND(bugprone-macro-parentheses)

#define CHECK(condition)                                \
    do {                                                \
        if (!(condition))                               \
            test::fail(__FILE__, __LINE__, #condition); \
    } while (false)

#define CHECK_EQUAL(actual, expected) test::check_equal(actual, expected, #actual, __FILE__, __LINE__)
