// SPDX-License-Identifier: Apache-2.0
#include "relay/claim_rule.h"

#include "base/json.h"
#include "base/text.h"
#include "relay/identity.h"

#include <algorithm>

namespace fanhorn {

namespace {

constexpr std::string_view kForm = "is not NAME, claim:NAME equals VALUE, or ... contains VALUE";
constexpr size_t kMaxDepth = 32; // of what was checked when the token was

// Takes the next piece of a value: text, or (`is_capture`) the name in {name}.
std::string_view take_piece(std::string_view& value, bool& is_capture) {
    const size_t close = value.find('}');
    is_capture = value.front() == '{' && close != value.npos && close > 1;
    const size_t end = is_capture ? close + 1 : std::min(value.find('{', 1), value.size());
    std::string_view piece = value.substr(0, end);
    value.remove_prefix(end);
    return is_capture ? piece.substr(1, piece.size() - 2) : piece;
}

// The value for that channel; nothing when the pattern does not match it.
std::optional<std::string> value_for(const ClaimRule& rule, std::string_view channel) {
    std::string out;
    bool is_capture = false;
    for (std::string_view rest = rule.value; !rest.empty();) {
        const std::string_view piece = take_piece(rest, is_capture);
        const auto text = is_capture ? rule.pattern.capture(piece, channel) : std::optional(piece);
        if (!text)
            return std::nullopt;
        out += *text;
    }
    return out;
}

// A text, or a number or a word as it is written.
bool is_same(std::string_view json, std::string_view wanted) {
    switch (json_kind(json)) {
    case JsonKind::String:
        return json_text(json) == wanted;
    case JsonKind::Number:
    case JsonKind::Boolean:
        return json == wanted;
    default:
        return false;
    }
}

} // namespace

std::string ClaimRule::unknown_capture(const Pattern& of) const {
    bool is_capture = false;
    for (std::string_view rest = value; !rest.empty();) {
        const std::string_view piece = take_piece(rest, is_capture);
        if (is_capture && !of.captures(piece))
            return std::string(piece);
    }
    return {};
}

bool ClaimRule::holds(const Identity& identity, std::string_view channel) const {
    if (is_reserved(channel) || is_wildcard(channel) || !pattern.matches(channel))
        return false;
    const auto found =
        std::find_if(identity.claims.begin(), identity.claims.end(),
                     [this](const Identity::Claim& each) { return each.name == claim; });
    const auto wanted = value_for(*this, channel);
    if (found == identity.claims.end() || !wanted || wanted->empty())
        return false;
    if (kind == Kind::Equals || json_kind(found->value) != JsonKind::Array)
        return is_same(found->value, *wanted);
    std::vector<JsonPart> items;
    read_json(found->value, kMaxDepth, &items);
    return std::any_of(items.begin(), items.end(),
                       [&](const JsonPart& item) { return is_same(item.value, *wanted); });
}

Result<AccessText> parse_access(std::string_view text) {
    AccessText access;
    access.name = trim_blanks(take_until(text, ','));
    text = trim_blanks(text);
    if (text.empty())
        return access;
    if (access.name.empty() || !text.starts_with("claim:"))
        return Error{std::string(kForm)};
    text.remove_prefix(6);
    ClaimRule rule;
    rule.claim = take_until(text, ' ');
    text = trim_blanks(text);
    const std::string_view verb = take_until(text, ' ');
    rule.kind = verb == "contains" ? ClaimRule::Kind::Contains : ClaimRule::Kind::Equals;
    rule.value = trim_blanks(text);
    if (rule.claim.empty() || rule.value.empty() || (verb != "contains" && verb != "equals"))
        return Error{std::string(kForm)};
    access.rule = std::move(rule);
    return access;
}

} // namespace fanhorn
