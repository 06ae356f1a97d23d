// SPDX-License-Identifier: Apache-2.0
// Request targets (RFC 9112 section 3.2) and the parameters in them.
#pragma once

#include "http/request.h"

#include <string_view>
#include <vector>

namespace fanhorn::http {

// More parameters than that are an error: 8 KiB of "a&a&a" would cost half a megabyte.
inline constexpr size_t kMaxParameters = 100;

// Fills path, query, parameters and, for absolute-form, authority; request.method is set before.
// What is wrong with the target, or "".
std::string_view parse_target(std::string_view target, Request& request);

// Splits at '&' and '=', decodes '+' and percent-escapes; empty pieces do not count. False for a
// bad escape or too many.
bool parse_query(std::string_view query, std::vector<QueryParameter>& parameters);

} // namespace fanhorn::http
