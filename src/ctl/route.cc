// SPDX-License-Identifier: Apache-2.0
#include "ctl/route.h"

#include "base/json.h"
#include "base/text.h"
#include "base/utf8.h"

#include <algorithm>

namespace fanhorn::ctl {

namespace {

// One less than the daemon takes in a line: the payload is a member there.
constexpr size_t kMaxPayloadDepth = 63;

// JSON has line ends between tokens only, where a blank says the same; a line must have none.
void append_on_one_line(std::string& out, std::string_view json) {
    const size_t begin = out.size();
    out += json;
    std::replace_if(
        out.begin() + static_cast<ptrdiff_t>(begin), out.end(),
        [](char byte) { return byte == '\n' || byte == '\r'; }, ' ');
}

void append_payload(std::string& out, std::string_view payload, bool is_json) {
    if (is_json) {
        out += ",\"data\":";
        append_on_one_line(out, payload);
    } else if (is_utf8(payload)) {
        out += ",\"text\":";
        append_json_string(out, payload);
    } else {
        out.append(",\"base64\":\"").append(base64_encode(payload)).append("\"");
    }
}

} // namespace

Result<ChannelTemplate> ChannelTemplate::parse(std::string_view text) {
    ChannelTemplate made;
    if (!is_utf8(text))
        return Error{"the channel is not UTF-8"};
    while (text.find('{') != text.npos) {
        Piece piece;
        piece.before = take_until(text, '{');
        if (text.find('}') == text.npos || text.starts_with('}'))
            return Error{"a field in the channel is written {name}"};
        piece.field = take_until(text, '}');
        made.pieces_.push_back(std::move(piece));
    }
    made.pieces_.push_back({std::string(text), ""});
    return made;
}

Result<std::string> ChannelTemplate::name(std::span<const Filter::Field> fields) const {
    std::string name;
    for (const Piece& piece : pieces_) {
        name += piece.before;
        if (piece.field.empty())
            continue;
        const auto found = std::find_if(fields.rbegin(), fields.rend(), [&](const auto& field) {
            return field.name == piece.field;
        });
        if (found == fields.rend())
            return Error{"no field '" + piece.field + "' for the channel's name"};
        name += found->value;
    }
    return name;
}

std::vector<Filter::Field> top_level_fields(std::string_view payload) {
    std::vector<JsonPart> parts;
    std::vector<Filter::Field> fields;
    if (read_json(payload, kMaxPayloadDepth, &parts) != JsonKind::Object)
        return fields;
    for (const JsonPart& part : parts) {
        const JsonKind kind = json_kind(part.value);
        if (kind == JsonKind::String)
            fields.push_back({json_text(part.name), json_text(part.value)});
        else if (kind == JsonKind::Number || kind == JsonKind::Boolean)
            fields.push_back({json_text(part.name), std::string(part.value)});
    }
    return fields;
}

Routed Route::line(const Event& message) const {
    const auto fields = top_level_fields(message.data);
    const bool is_json = read_json(message.data, kMaxPayloadDepth).has_value();
    if (needs_json && !is_json)
        return {Routed::Kind::Unfit, "a line is not JSON"};
    if (filter && !filter->matches(std::span<const Filter::Field>(fields)))
        return {Routed::Kind::FilteredOut, ""};
    const auto name = channel.name(fields);
    if (!name)
        return {Routed::Kind::Unfit, name.error()};
    std::string line = "{\"channel\":";
    append_json_string(line, *name);
    append_payload(line, message.data, is_json);
    const std::string& type = event.empty() ? message.type : event;
    if (!is_utf8(type))
        return {Routed::Kind::Unfit, "the event's name is not UTF-8"};
    if (!type.empty() && type != "message") { // which an EventSource says where there is none
        line += ",\"event\":";
        append_json_string(line, type);
    }
    return {Routed::Kind::Publish, line + more_members + "}\n"};
}

} // namespace fanhorn::ctl
