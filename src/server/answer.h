// SPDX-License-Identifier: Apache-2.0
// A whole HTTP answer, before it is put on the wire.
#pragma once

#include "http/problem.h"

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fanhorn {

struct Answer {
    int status = 200;
    std::string_view content_type; // a literal; empty: no body
    std::string body;
    std::string headers; // further lines, each with its CRLF
    bool close = false;  // after it the connection ends
};

// Given once for each request, at once or later, on the worker.
using Reply = std::function<void(const Answer&)>;

Answer json_answer(std::string body);
// application/problem+json, with `Retry-After` (jittered) for 429 and 503.
Answer problem_answer(const http::Problem& problem);

} // namespace fanhorn
