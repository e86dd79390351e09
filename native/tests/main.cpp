#include "check.h"

#include <cstring>
#include <exception>
#include <iostream>

/// Runs all cases, or those whose name contains the argument. Ends with 77 if none failed and one was skipped.
int main(int argc, char** argv) {
    constexpr int kSkipped = 77;
    int failures = 0;
    int skipped = 0;
    for (const auto& [name, body] : test::cases()) {
        if (argc > 1 && std::strstr(name, argv[1]) == nullptr)
            continue;
        try {
            body();
            std::cout << "passed " << name << '\n';
        } catch (const test::Skipped& e) {
            ++skipped;
            std::cout << "skipped " << name << ": " << e.reason << '\n';
        } catch (const std::exception& e) {
            ++failures;
            std::cout << "FAILED " << name << ": " << e.what() << '\n';
        }
    }
    std::cout << failures << " failed\n";
    if (failures > 0)
        return 1;
    return skipped > 0 ? kSkipped : 0;
}
