// SPDX-License-Identifier: Apache-2.0
// cmocka for C++: include it last. A failed assertion longjmps, so destructors of the test
// function do not run: leaks are reported by the sanitizers for failing tests only.
#pragma once

#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

extern "C" {
#include <cmocka.h>
}

// Compares as std::string and shows both sides.
#define assert_text(actual, expected)                                                              \
    assert_string_equal(std::string(actual).c_str(), std::string(expected).c_str())

// For rows of a table: names the row that failed.
#define assert_row(name, condition)                                                                \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            std::printf("row '%s': %s\n", std::string(name).c_str(), #condition);                  \
            assert_true(condition);                                                                \
        }                                                                                          \
    } while (0)
