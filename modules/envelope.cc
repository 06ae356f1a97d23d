// SPDX-License-Identifier: Apache-2.0
#include "modules/envelope.h"

#include "base/json.h"
#include "base/text.h"
#include "base/utf8.h"

#include <algorithm>

namespace fanhorn {

namespace {

// RFC 6838 section 4.2: parameters begin at ';', names are caseless.
bool is_json_type(std::string_view content_type) {
    const std::string_view type = trim_blanks(content_type.substr(0, content_type.find(';')));
    constexpr std::string_view kSuffix = "+json";
    const bool has_suffix = type.size() > kSuffix.size() &&
                            equal_ignoring_case(type.substr(type.size() - kSuffix.size()), kSuffix);
    return has_suffix || equal_ignoring_case(type, "application/json");
}

// A number that its reader cannot hold would cost the whole envelope.
bool is_json(std::string_view text) {
    return read_json(text, SIZE_MAX, nullptr, JsonNumbers::Doubles).has_value();
}

bool begins_as_container(std::string_view text) {
    const size_t first = text.find_first_not_of(" \t\r\n");
    return first != text.npos && (text[first] == '{' || text[first] == '[');
}

// The name and its colon, with what separates it from the member before.
void append_name(std::string& out, std::string_view name) {
    out.append(out.back() == '{' ? "\"" : ",\"").append(name).append("\":");
}

void append_text(std::string& out, std::string_view name, std::string_view value) {
    append_name(out, name);
    append_json_string(out, value);
}

void append_count(std::string& out, std::string_view name, uint64_t value) {
    append_name(out, name);
    append_number(out, value);
}

// In valid JSON, CR and LF are white space only: strings hold them escaped (RFC 8259 section 7).
// One envelope is one line.
void append_json(std::string& out, std::string_view name, std::string_view json) {
    append_name(out, name);
    const size_t start = out.size();
    out.append(json);
    std::replace_if(
        out.begin() + static_cast<ptrdiff_t>(start), out.end(),
        [](char c) { return c == '\r' || c == '\n'; }, ' ');
}

void append_data(std::string& out, DataKind kind, std::string_view payload) {
    switch (kind) {
    case DataKind::Json:
        return append_json(out, "data", payload);
    case DataKind::Text:
        return append_text(out, "data", payload);
    case DataKind::Base64:
        return append_text(out, "base64", base64_encode(payload));
    }
}

// after, next, why.
void append_gap_members(std::string& out, const GapEnvelope& gap) {
    append_text(out, "after", gap.after);
    if (gap.next.empty())
        append_json(out, "next", "null");
    else
        append_text(out, "next", gap.next);
    append_text(out, "why", gap.why);
}

} // namespace

DataKind classify(std::string_view content_type, std::string_view payload) {
    const bool may_be_json =
        content_type.empty() ? begins_as_container(payload) : is_json_type(content_type);
    if (may_be_json && is_json(payload))
        return DataKind::Json;
    return is_utf8(payload) ? DataKind::Text : DataKind::Base64;
}

void append_message(std::string& out, const MessageEnvelope& message) {
    out.push_back('{');
    append_text(out, "channel", message.channel);
    append_text(out, "id", message.id);
    if (message.n != 0)
        append_count(out, "n", message.n);
    if (!message.event.empty())
        append_text(out, "event", message.event);
    append_data(out, message.kind, message.payload);
    if (message.retained)
        append_json(out, "retained", "true");
    out.push_back('}');
}

void append_patch(std::string& out, const MessageEnvelope& message, std::string_view base) {
    out.push_back('{');
    append_text(out, "channel", message.channel);
    append_text(out, "id", message.id);
    append_count(out, "n", message.n);
    if (!message.event.empty())
        append_text(out, "event", message.event);
    append_text(out, "base", base);
    append_json(out, "patch", message.payload);
    out.push_back('}');
}

void append_gap(std::string& out, const GapEnvelope& gap) {
    out.push_back('{');
    append_text(out, "channel", gap.channel);
    append_json(out, "gap", "{");
    append_gap_members(out, gap);
    out.append("}}");
}

void append_gap_object(std::string& out, const GapEnvelope& gap) {
    out.push_back('{');
    append_text(out, "channel", gap.channel);
    append_gap_members(out, gap);
    out.push_back('}');
}

void append_hello(std::string& out, std::string_view connection, std::string_view position,
                  uint64_t heartbeat_s) {
    out.push_back('{');
    append_text(out, "connection", connection);
    append_text(out, "position", position);
    append_count(out, "heartbeat", heartbeat_s);
    out.push_back('}');
}

void append_position(std::string& out, std::string_view position) {
    out.push_back('{');
    append_text(out, "position", position);
    out.push_back('}');
}

void append_presence(std::string& out, std::string_view channel, std::string_view verb,
                     std::string_view who) {
    out.push_back('{');
    append_text(out, "channel", channel);
    append_json(out, verb, who);
    out.push_back('}');
}

void append_caught_up(std::string& out, std::string_view channel, std::string_view position) {
    out.push_back('{');
    append_text(out, "channel", channel);
    append_text(out, "caught_up", position);
    out.push_back('}');
}

void append_end(std::string& out, std::string_view channel, std::string_view code) {
    out.push_back('{');
    append_text(out, "channel", channel);
    append_json(out, "end", "{");
    append_text(out, "code", code);
    out.append("}}");
}

void append_end_object(std::string& out, std::string_view channel, std::string_view code) {
    out.push_back('{');
    append_text(out, "channel", channel);
    append_text(out, "code", code);
    out.push_back('}');
}

} // namespace fanhorn
