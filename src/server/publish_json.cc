// SPDX-License-Identifier: Apache-2.0
// Messages as JSON: a batch, or a line of NDJSON. Nothing is made of the text but the message:
// `data` is the piece of it that the publisher wrote.
#include "base/json.h"
#include "base/text.h"
#include "server/publisher.h"
#include "server/routes.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace fanhorn {

namespace {

using Parts = std::vector<JsonPart>;

constexpr size_t kMaxDepth = 64;       // of nesting, in a line or a batch
constexpr size_t kAnyDepth = SIZE_MAX; // in a piece of what has been read
constexpr size_t kUsualMembers = 8;    // of a message

http::Problem bad(const char* code, std::string detail) {
    return http::problem(code, std::move(detail));
}

// Some publishers on Windows put it first; RFC 8259 section 8.1 lets us ignore it.
std::string_view without_byte_order_mark(std::string_view text) {
    constexpr std::string_view kMark = "\xef\xbb\xbf";
    return text.starts_with(kMark) ? text.substr(kMark.size()) : text;
}

std::optional<std::string> text_of(std::string_view value) {
    return json_kind(value) == JsonKind::String ? std::optional(json_text(value)) : std::nullopt;
}

// Whether it is that number, however it is spelt.
bool is_number(std::string_view value, double wanted) {
    double number = 0;
    return json_kind(value) == JsonKind::Number &&
           std::from_chars(value.data(), value.data() + value.size(), number).ec == std::errc() &&
           number == wanted;
}

std::optional<http::Problem> set_data(std::string_view value, Draft& draft) {
    draft.payload = value;
    draft.content_type = "application/json";
    return std::nullopt;
}

std::optional<http::Problem> set_text(std::string_view value, Draft& draft) {
    auto text = text_of(value);
    if (!text)
        return bad("bad_request", "'text' is a string");
    draft.payload = std::move(*text);
    draft.content_type = "text/plain";
    return std::nullopt;
}

std::optional<http::Problem> set_base64(std::string_view value, Draft& draft) {
    const auto text = text_of(value);
    auto bytes = text ? base64_decode(*text) : std::nullopt;
    if (!bytes)
        return bad("bad_request", "'base64' is a string of base64");
    draft.payload = std::move(*bytes);
    draft.content_type = "application/octet-stream";
    return std::nullopt;
}

std::optional<http::Problem> set_json_ttl(std::string_view value, Draft& draft) {
    const auto text = text_of(value);
    const auto ttl = parse_ttl(text ? *text : value);
    if (!ttl)
        return bad("bad_option", "'ttl' is seconds, or a duration like \"10s\"");
    draft.ttl = *ttl;
    return std::nullopt;
}

std::optional<http::Problem> set_json_store(std::string_view value, Draft& draft) {
    const bool is_no = value == "false" || is_number(value, 0);
    if (!is_no && value != "true" && !is_number(value, 1))
        return bad("bad_option", "'store' is 0 or 1");
    draft.store = !is_no;
    return std::nullopt;
}

std::optional<http::Problem> set_json_retain(std::string_view value, Draft& draft) {
    if (json_kind(value) != JsonKind::Boolean)
        return bad("bad_option", "'retain' is true or false");
    draft.retain = value == "true";
    return std::nullopt;
}

std::optional<http::Problem> set_json_key(std::string_view value, Draft& draft) {
    auto text = text_of(value);
    if (!text || text->empty() || text->size() > 255)
        return bad("bad_option", "'idempotency_key' is a string of 1 to 255 bytes");
    draft.idempotency_key = std::move(*text);
    return std::nullopt;
}

using Tags = std::vector<std::pair<std::string, std::string_view>>;

// Of members with one name the last counts, in the first one's place.
Tags read_tags(std::string_view object) {
    constexpr size_t kMost = 512; // more do not fit into what set_tags() allows
    Parts parts;
    read_json(object, kAnyDepth, &parts);
    Tags tags;
    for (const JsonPart& part : parts) {
        std::string name = json_text(part.name);
        const auto known = std::find_if(tags.begin(), tags.end(),
                                        [&](const auto& tag) { return tag.first == name; });
        if (known != tags.end())
            known->second = part.value;
        else if (tags.size() < kMost)
            tags.emplace_back(std::move(name), part.value);
    }
    return tags;
}

// "k=v,k2=v2", or {"k":"v","k2":"v2"}.
std::optional<http::Problem> set_json_tags(std::string_view value, Draft& draft) {
    if (const auto text = text_of(value))
        return set_tags(*text, draft);
    if (json_kind(value) != JsonKind::Object)
        return bad("bad_option", "'tags' is a string or an object");
    std::string joined;
    for (const auto& [name, written] : read_tags(value)) {
        const auto tag = text_of(written);
        if (!tag || (name + *tag).find_first_of(",=") != std::string::npos)
            return bad("bad_option", "a tag is a string, and has no ',' or '=' in it");
        joined.append(joined.empty() ? "" : ",").append(name).append("=").append(*tag);
    }
    return set_tags(joined, draft);
}

template <std::optional<http::Problem> (*set)(std::string_view, Draft&)>
std::optional<http::Problem> set_string(std::string_view value, Draft& draft) {
    const auto text = text_of(value);
    return text ? set(*text, draft) : bad("bad_option", "an option that is a string is not one");
}

struct Member {
    std::string_view name;
    std::optional<http::Problem> (*set)(std::string_view value, Draft& draft);
    bool is_payload = false;
};
constexpr Member kMembers[] = {{"channel", nullptr},
                               {"data", set_data, true},
                               {"text", set_text, true},
                               {"base64", set_base64, true},
                               {"event", set_string<set_event>},
                               {"ttl", set_json_ttl},
                               {"tags", set_json_tags},
                               {"exclude", set_string<set_exclude>},
                               {"store", set_json_store},
                               {"retain", set_json_retain},
                               {"idempotency_key", set_json_key}};
constexpr size_t kChannel = 0;
constexpr size_t kNoMember = std::size(kMembers);

// The row of a name as it is written.
size_t member_named(std::string_view written) {
    std::string unescaped;
    std::string_view name = written.substr(1, written.size() - 2);
    if (name.find('\\') != name.npos)
        name = unescaped = json_text(written);
    const auto row = std::find_if(std::begin(kMembers), std::end(kMembers),
                                  [&](const Member& member) { return member.name == name; });
    return static_cast<size_t>(row - std::begin(kMembers));
}

// Sets what stands in `parts`, in that order. `values` has the last of each name, which counts.
std::optional<http::Problem>
set_members(const Parts& parts, std::array<std::string_view, kNoMember>& values, Draft& draft) {
    int payloads = 0;
    for (const JsonPart& part : parts) {
        const size_t row = member_named(part.name);
        if (row == kNoMember)
            return bad("bad_option",
                       "a message has no member '" + escape_for_log(json_text(part.name)) + "'");
        const std::string_view value = std::exchange(values[row], {});
        if (row == kChannel || value.empty()) // a repeated name
            continue;
        payloads += kMembers[row].is_payload;
        if (auto problem = kMembers[row].set(value, draft))
            return problem;
    }
    if (payloads != 1)
        return bad("bad_request", "a message has one of 'data', 'text' and 'base64'");
    return std::nullopt;
}

Attempt refused(http::Problem problem) {
    Attempt attempt;
    attempt.problem = std::move(problem);
    return attempt;
}

} // namespace

Attempt read_message(const Parts& parts) {
    std::array<std::string_view, kNoMember> values;
    for (const JsonPart& part : parts)
        if (const size_t row = member_named(part.name); row != kNoMember)
            values[row] = part.value;
    Attempt attempt;
    const std::string_view channel = values[kChannel];
    auto name = channel.empty() ? std::nullopt : text_of(channel);
    if (!name || !is_channel_name(*name) || is_reserved(*name)) {
        attempt.problem = bad("bad_channel", "'channel' is missing, or not a channel's name");
        return attempt;
    }
    attempt.channel = std::move(*name);
    attempt.problem = set_members(parts, values, attempt.draft);
    return attempt;
}

Attempt read_message(std::string_view text) {
    Parts parts;
    parts.reserve(kUsualMembers);
    const auto kind = read_json(without_byte_order_mark(text), kMaxDepth, &parts);
    if (!kind)
        return refused(bad("bad_request", "the line is not JSON, or nested too deeply"));
    if (kind != JsonKind::Object)
        return refused(bad("bad_request", "a message is an object"));
    return read_message(parts);
}

std::optional<http::Problem> read_batch(std::string_view text, Attempts& attempts) {
    Parts parts;
    const auto kind = read_json(without_byte_order_mark(text), kMaxDepth, &parts);
    if (!kind)
        return bad("bad_request", "the body is not JSON, or nested too deeply");
    std::string_view messages; // the last of that name
    if (kind == JsonKind::Object)
        for (const JsonPart& part : parts)
            if (json_text(part.name) == "messages")
                messages = part.value;
    if (messages.empty() || json_kind(messages) != JsonKind::Array)
        return bad("bad_request", "a batch is {\"messages\":[…]}");
    parts.clear();
    read_json(messages, kAnyDepth, &parts);
    attempts.reserve(parts.size());
    Parts members;
    for (const JsonPart& message : parts) {
        members.clear();
        const bool is_object = read_json(message.value, kAnyDepth, &members) == JsonKind::Object;
        attempts.push_back(is_object ? read_message(members)
                                     : refused(bad("bad_request", "a message is an object")));
    }
    return std::nullopt;
}

} // namespace fanhorn
