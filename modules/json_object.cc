// SPDX-License-Identifier: Apache-2.0
#include "modules/json_object.h"

#include <algorithm>

namespace fanhorn {

namespace {

constexpr size_t kMaxDepth = 32;

} // namespace

std::optional<JsonObject> JsonObject::read(std::string_view text) {
    std::vector<JsonPart> parts;
    if (read_json(text, kMaxDepth, &parts) != JsonKind::Object)
        return std::nullopt;
    JsonObject object;
    for (const JsonPart& part : parts)
        object.members_.push_back({json_text(part.name), part.value});
    auto& members = object.members_;
    std::sort(members.begin(), members.end(),
              [](const Member& a, const Member& b) { return a.name < b.name; });
    const auto twice =
        std::adjacent_find(members.begin(), members.end(),
                           [](const Member& a, const Member& b) { return a.name == b.name; });
    return twice == members.end() ? std::optional(std::move(object)) : std::nullopt;
}

std::string_view JsonObject::find(std::string_view name) const {
    const auto found =
        std::lower_bound(members_.begin(), members_.end(), name,
                         [](const Member& a, std::string_view wanted) { return a.name < wanted; });
    return found != members_.end() && found->name == name ? found->value : std::string_view();
}

std::optional<std::string> JsonObject::string(std::string_view name) const {
    const std::string_view value = find(name);
    if (value.empty() || json_kind(value) != JsonKind::String)
        return std::nullopt;
    return json_text(value);
}

std::optional<std::vector<std::string>> json_strings(std::string_view value) {
    if (json_kind(value) == JsonKind::String)
        return std::vector<std::string>{json_text(value)};
    std::vector<JsonPart> parts;
    if (read_json(value, kMaxDepth, &parts) != JsonKind::Array)
        return std::nullopt;
    std::vector<std::string> strings;
    for (const JsonPart& part : parts) {
        if (json_kind(part.value) != JsonKind::String)
            return std::nullopt;
        strings.push_back(json_text(part.value));
    }
    return strings;
}

} // namespace fanhorn
