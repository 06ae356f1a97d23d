// SPDX-License-Identifier: Apache-2.0
// CHECK: an assertion about our own code that stays in every build.
#pragma once

namespace fanhorn {

// Prints "FILE:LINE: check failed: EXPRESSION" on stderr and aborts. Any thread.
[[noreturn]] void check_failed(const char* file, int line, const char* expression);

} // namespace fanhorn

// For our own bugs only: what a peer or the machine does wrong is a Result or a closed connection.
#define CHECK(expression)                                                                          \
    (__builtin_expect(!(expression), 0) ? ::fanhorn::check_failed(__FILE__, __LINE__, #expression) \
                                        : (void)0)
