// SPDX-License-Identifier: Apache-2.0
// What went wrong with a request, for a program and for a person (RFC 9457).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fanhorn::http {

struct Problem {
    int status = 500;
    std::string_view code;  // for programs; a literal
    std::string_view title; // the code in words; a literal
    std::string detail;     // this very case in words
    // Further members as JSON without the leading comma, e.g. `"transports":["sse"]`.
    std::string members;
    uint32_t retry_s = 0; // when it is worth trying again; 0: soon
};

// CHECKs that the code is in the table. The detail may quote what a stranger sent.
Problem problem(std::string_view code, std::string detail);

// {"type":"about:blank","status":…,"code":…,"title":…,"detail":…}; goes out as
// application/problem+json.
std::string problem_body(const Problem& problem);

} // namespace fanhorn::http
