// SPDX-License-Identifier: Apache-2.0
// The daemon's JSON, read.
#pragma once

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <string_view>

// Compiled once, in json.cc: it is most of what a file that reads JSON takes to compile.
extern template class nlohmann::basic_json<nlohmann::ordered_map>;

namespace fanhorn::ctl {

using Json = nlohmann::ordered_json;

// Deeper nesting is refused: dump() recurses, and payloads are strangers'.
inline constexpr int kMaxDepth = 64;

std::optional<Json> parse_json(std::string_view text);

// A member that is a string; "" where there is none.
std::string text_member(const Json& object, const char* name);

// A member that is a number; 0 where there is none.
uint64_t number_member(const Json& object, const char* name);

} // namespace fanhorn::ctl
