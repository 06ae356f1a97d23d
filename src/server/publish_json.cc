// SPDX-License-Identifier: Apache-2.0
// Messages as JSON: a batch, or a line of NDJSON.
#include "base/text.h"
#include "server/publisher.h"
#include "server/routes.h"

#include <nlohmann/json.hpp>

namespace fanhorn {

namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxDepth = 64; // of nesting; dump() recurses

http::Problem bad(const char* code, std::string detail) {
    return http::problem(code, std::move(detail));
}

// Refuses what is nested deeper than kMaxDepth while it is parsed.
std::optional<Json> parse(std::string_view text) {
    bool is_too_deep = false;
    const auto watch = [&](int depth, Json::parse_event_t, Json&) {
        is_too_deep |= depth > static_cast<int>(kMaxDepth);
        return !is_too_deep;
    };
    Json json = Json::parse(text.begin(), text.end(), watch, false);
    if (json.is_discarded() || is_too_deep)
        return std::nullopt;
    return json;
}

const std::string* text_of(const Json& value) {
    return value.is_string() ? value.get_ptr<const Json::string_t*>() : nullptr;
}

std::optional<http::Problem> set_data(const Json& value, Draft& draft) {
    draft.payload = value.dump(-1, ' ', false, Json::error_handler_t::replace);
    draft.content_type = "application/json";
    return std::nullopt;
}

std::optional<http::Problem> set_text(const Json& value, Draft& draft) {
    const std::string* text = text_of(value);
    if (!text)
        return bad("bad_request", "'text' is a string");
    draft.payload = *text;
    draft.content_type = "text/plain";
    return std::nullopt;
}

std::optional<http::Problem> set_base64(const Json& value, Draft& draft) {
    const std::string* text = text_of(value);
    auto bytes = text ? base64_decode(*text) : std::nullopt;
    if (!bytes)
        return bad("bad_request", "'base64' is a string of base64");
    draft.payload = std::move(*bytes);
    draft.content_type = "application/octet-stream";
    return std::nullopt;
}

std::optional<http::Problem> set_json_ttl(const Json& value, Draft& draft) {
    const std::string text = text_of(value) ? *text_of(value) : value.dump();
    const auto ttl = parse_ttl(text);
    if (!ttl)
        return bad("bad_option", "'ttl' is seconds, or a duration like \"10s\"");
    draft.ttl = *ttl;
    return std::nullopt;
}

std::optional<http::Problem> set_json_store(const Json& value, Draft& draft) {
    if (value.is_boolean())
        draft.store = value.get<bool>();
    else if (value == 0 || value == 1)
        draft.store = value == 1;
    else
        return bad("bad_option", "'store' is 0 or 1");
    return std::nullopt;
}

std::optional<http::Problem> set_json_retain(const Json& value, Draft& draft) {
    if (!value.is_boolean())
        return bad("bad_option", "'retain' is true or false");
    draft.retain = value.get<bool>();
    return std::nullopt;
}

std::optional<http::Problem> set_json_key(const Json& value, Draft& draft) {
    const std::string* text = text_of(value);
    if (!text || text->empty() || text->size() > 255)
        return bad("bad_option", "'idempotency_key' is a string of 1 to 255 bytes");
    draft.idempotency_key = *text;
    return std::nullopt;
}

// "k=v,k2=v2", or {"k":"v","k2":"v2"}.
std::optional<http::Problem> set_json_tags(const Json& value, Draft& draft) {
    if (const std::string* text = text_of(value))
        return set_tags(*text, draft);
    std::string joined;
    if (!value.is_object())
        return bad("bad_option", "'tags' is a string or an object");
    for (const auto& [name, tag] : value.items()) {
        if (!text_of(tag) || (name + *text_of(tag)).find_first_of(",=") != std::string::npos)
            return bad("bad_option", "a tag is a string, and has no ',' or '=' in it");
        joined.append(joined.empty() ? "" : ",").append(name).append("=").append(*text_of(tag));
    }
    return set_tags(joined, draft);
}

template <std::optional<http::Problem> (*set)(std::string_view, Draft&)>
std::optional<http::Problem> set_string(const Json& value, Draft& draft) {
    const std::string* text = text_of(value);
    return text ? set(*text, draft) : bad("bad_option", "an option that is a string is not one");
}

std::optional<http::Problem> set_member(const std::string& name, const Json& value, Draft& draft) {
    using Set = std::optional<http::Problem> (*)(const Json&, Draft&);
    static constexpr std::pair<std::string_view, Set> kMembers[] = {
        {"data", set_data},
        {"text", set_text},
        {"base64", set_base64},
        {"event", set_string<set_event>},
        {"ttl", set_json_ttl},
        {"tags", set_json_tags},
        {"exclude", set_string<set_exclude>},
        {"store", set_json_store},
        {"retain", set_json_retain},
        {"idempotency_key", set_json_key}};
    for (const auto& [known, set] : kMembers)
        if (name == known)
            return set(value, draft);
    return bad("bad_option", "a message has no member '" + escape_for_log(name) + "'");
}

Attempt read_object(const Json& message) {
    Attempt attempt;
    if (!message.is_object()) {
        attempt.problem = bad("bad_request", "a message is an object");
        return attempt;
    }
    const auto channel = message.find("channel");
    const std::string* name = channel == message.end() ? nullptr : text_of(*channel);
    if (!name || !is_channel_name(*name) || name->front() == '$') {
        attempt.problem = bad("bad_channel", "'channel' is missing, or not a channel's name");
        return attempt;
    }
    attempt.channel = *name;
    int payloads = 0;
    for (const auto& [member, value] : message.items()) {
        if (member == "channel")
            continue;
        payloads += member == "data" || member == "text" || member == "base64";
        if ((attempt.problem = set_member(member, value, attempt.draft)))
            return attempt;
    }
    if (payloads != 1)
        attempt.problem = bad("bad_request", "a message has one of 'data', 'text' and 'base64'");
    return attempt;
}

} // namespace

Attempt read_message(std::string_view text) {
    const auto json = parse(text);
    if (json)
        return read_object(*json);
    Attempt attempt;
    attempt.problem = bad("bad_request", "the line is not JSON, or nested too deeply");
    return attempt;
}

std::optional<http::Problem> read_batch(std::string_view text, Attempts& attempts) {
    const auto json = parse(text);
    if (!json)
        return bad("bad_request", "the body is not JSON, or nested too deeply");
    const auto messages = json->is_object() ? json->find("messages") : json->end();
    if (messages == json->end() || !messages->is_array())
        return bad("bad_request", "a batch is {\"messages\":[…]}");
    for (const Json& message : *messages)
        attempts.push_back(read_object(message));
    return std::nullopt;
}

} // namespace fanhorn
