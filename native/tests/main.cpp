#include "check.h"

#include <cstring>
#include <exception>
#include <iostream>

/// Runs all cases, or those whose name contains the argument.
int main(int argc, char** argv) {
    int failures = 0;
    for (const auto& [name, body] : test::cases()) {
        if (argc > 1 && std::strstr(name, argv[1]) == nullptr)
            continue;
        try {
            body();
            std::cout << "passed " << name << '\n';
        } catch (const std::exception& e) {
            ++failures;
            std::cout << "FAILED " << name << ": " << e.what() << '\n';
        }
    }
    std::cout << failures << " failed\n";
    return failures == 0 ? 0 : 1;
}
