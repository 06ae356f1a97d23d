// SPDX-License-Identifier: Apache-2.0
// The daemon's JSON, read.
#pragma once

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace fanhorn::ctl {

using Json = nlohmann::ordered_json;

// Deeper nesting is refused: dump() recurses, and payloads are strangers'.
inline constexpr int kMaxDepth = 64;

inline std::optional<Json> parse_json(std::string_view text) {
    bool is_too_deep = false;
    const auto watch = [&](int depth, Json::parse_event_t, Json&) {
        is_too_deep |= depth > kMaxDepth;
        return !is_too_deep;
    };
    Json json = Json::parse(text.begin(), text.end(), watch, false);
    if (json.is_discarded() || is_too_deep)
        return std::nullopt;
    return json;
}

// A member that is a string; "" where there is none.
inline std::string text_member(const Json& object, const char* name) {
    if (!object.is_object() || !object.contains(name) || !object[name].is_string())
        return {};
    return object[name].get<std::string>();
}

// A member that is a number; 0 where there is none.
inline uint64_t number_member(const Json& object, const char* name) {
    if (!object.is_object() || !object.contains(name) || !object[name].is_number_unsigned())
        return 0;
    return object[name].get<uint64_t>();
}

} // namespace fanhorn::ctl
