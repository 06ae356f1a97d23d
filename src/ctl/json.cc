// SPDX-License-Identifier: Apache-2.0
#include "ctl/json.h"

template class nlohmann::basic_json<nlohmann::ordered_map>;

namespace fanhorn::ctl {

std::optional<Json> parse_json(std::string_view text) {
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

std::string text_member(const Json& object, const char* name) {
    if (!object.is_object() || !object.contains(name) || !object[name].is_string())
        return {};
    return object[name].get<std::string>();
}

uint64_t number_member(const Json& object, const char* name) {
    if (!object.is_object() || !object.contains(name) || !object[name].is_number_unsigned())
        return 0;
    return object[name].get<uint64_t>();
}

} // namespace fanhorn::ctl
