// SPDX-License-Identifier: Apache-2.0
// What a client of each transport sends and how it reads what it gets. The contract test runs on
// every module; a module without a ClientSide here fails it.
#pragma once

#include "base/text.h"
#include "base/utf8.h"
#include "modules/deflate.h"
#include "relay/transport.h"
#include "tests/unit/sse_parser.h"
#include "tests/unit/websocket_client.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace fanhorn {

// Something that a client was told, whatever the wire form; what its form has not is empty.
struct Told {
    enum class Kind { Message, Retained, Gap, End, Position, Farewell };
    Kind kind = Kind::Message;
    std::string channel = {}, id = {}, event = {}, payload = {};
    std::string after = {}, next = {}, why = {}; // of a gap; `next` "null"
    bool operator==(const Told&) const = default;
};

struct ClientSide {
    std::string name;   // of this row
    std::string module; // a transport's name
    bool is_envelope;
    bool has_ids;      // and gaps, ends, positions (PROTOCOL 5: plain WebSocket has none)
    bool has_channels; // names the channel with each message
    bool folds_lines;  // CR, LF and CRLF arrive as LF
    http::Request request;
    // What came behind the head; false when it is no whole sequence of frames.
    std::function<bool(const std::string& bytes, std::vector<Told>& out)> decode;
};

namespace contract {

inline http::Request request(std::vector<http::Header> headers,
                             std::vector<http::QueryParameter> parameters = {}) {
    http::Request request;
    request.method = http::Method::Get;
    request.path = "/sub/c";
    request.headers = std::move(headers);
    request.parameters = std::move(parameters);
    return request;
}

inline std::string base64_decode(const std::string& text) {
    static const std::string kDigits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    uint32_t bits = 0, count = 0;
    for (const char c : text) {
        if (c == '=')
            break;
        bits = bits << 6 | static_cast<uint32_t>(kDigits.find(c));
        count += 6;
        if (count >= 8)
            out.push_back(static_cast<char>(bits >> (count -= 8)));
    }
    return out;
}

inline std::string member(const nlohmann::json& object, const char* name) {
    const auto found = object.find(name);
    if (found == object.end())
        return {};
    return found->is_string() ? found->get<std::string>() : found->dump();
}

inline Told gap(const std::string& channel, const nlohmann::json& gap) {
    return {.kind = Told::Kind::Gap,
            .channel = channel,
            .after = member(gap, "after"),
            .next = member(gap, "next"),
            .why = member(gap, "why")};
}

// One envelope of PROTOCOL 6.
inline bool envelope(std::string_view text, std::vector<Told>& out) {
    const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
    if (!json.is_object())
        return false;
    Told told{.kind = Told::Kind::Message, .channel = member(json, "channel")};
    told.id = member(json, "id");
    told.event = member(json, "event");
    if (json.contains("gap")) {
        told = gap(told.channel, json["gap"]);
    } else if (json.contains("end")) {
        told.kind = Told::Kind::End;
        told.why = member(json["end"], "code");
    } else if (json.contains("position")) {
        told.kind = Told::Kind::Position;
        told.id = member(json, "position");
    } else {
        if (json.contains("base64") == json.contains("data"))
            return false;
        told.payload =
            json.contains("base64") ? base64_decode(member(json, "base64")) : member(json, "data");
        if (json.value("retained", false))
            told.kind = Told::Kind::Retained;
    }
    out.push_back(std::move(told));
    return true;
}

inline bool sse(const std::string& bytes, bool is_envelope, std::vector<Told>& out) {
    const SseParser parser(bytes);
    if (!parser.is_whole || parser.has_unknown_field || parser.retry.empty())
        return false;
    for (const SseEvent& event : parser.events) {
        const nlohmann::json json = nlohmann::json::parse(event.data, nullptr, false);
        if (event.event == "gap") {
            out.push_back(gap(member(json, "channel"), json));
        } else if (event.event == "end") {
            out.push_back({.kind = Told::Kind::End,
                           .channel = member(json, "channel"),
                           .why = member(json, "code")});
        } else if (is_envelope) {
            if (event.event != "message" || !envelope(event.data, out))
                return false;
            // The id of the event and of its envelope are one; a retained one moves no id.
            if (out.back().kind == Told::Kind::Message && out.back().id != event.id)
                return false;
        } else {
            const bool is_binary = event.event == "binary";
            out.push_back({.kind = Told::Kind::Message,
                           .id = event.id,
                           .event = event.event == "message" || is_binary ? "" : event.event,
                           .payload = is_binary ? base64_decode(event.data) : event.data});
        }
    }
    out.push_back({.kind = Told::Kind::Position, .id = parser.last_event_id});
    return true;
}

// The frames of a server: unmasked, none fragmented.
inline bool websocket(std::string bytes, bool is_envelope, std::vector<Told>& out) {
    while (!bytes.empty()) {
        if (bytes.size() < 2)
            return false;
        const auto first = static_cast<unsigned char>(bytes[0]);
        size_t size = static_cast<unsigned char>(bytes[1]);
        size_t header = 2;
        if (!(first & 0x80) || size > 127)
            return false;
        const size_t longer = size == 127 ? 8 : size == 126 ? 2 : 0;
        if (longer) {
            size = 0;
            for (size_t i = 0; i < longer; ++i)
                size = size << 8 | static_cast<unsigned char>(bytes.at(header++));
        }
        if (bytes.size() < header + size)
            return false;
        std::string payload = bytes.substr(header, size);
        bytes.erase(0, header + size);
        if (first & 0x40) {
            Inflater inflater;
            std::string whole;
            if (inflater.inflate(payload, 1 << 24, whole) != InflateStatus::Ok)
                return false;
            payload = std::move(whole);
        }
        switch (first & 0x0f) {
        case 1:
            if (!is_utf8(payload))
                return false;
            [[fallthrough]];
        case 2:
            if (is_envelope ? !envelope(payload, out) : false)
                return false;
            if (!is_envelope)
                out.push_back({.kind = Told::Kind::Message, .payload = payload});
            break;
        case 8:
            out.push_back({.kind = Told::Kind::Farewell});
            break;
        case 9:
            if (!is_envelope)
                out.push_back({.kind = Told::Kind::Position, .id = payload});
            break;
        default:
            return false;
        }
    }
    return true;
}

// Gaps stand beside the messages in a poll's answer: they count as told first.
inline bool poll(const std::string& bytes, std::vector<Told>& out) {
    const nlohmann::json json = nlohmann::json::parse(bytes, nullptr, false);
    if (!json.is_object() || !json.contains("messages") || !json.contains("next"))
        return false;
    for (const auto& each : json["gaps"])
        out.push_back(gap(member(each, "channel"), each));
    for (const auto& each : json["messages"])
        if (!envelope(each.dump(), out))
            return false;
    for (const auto& each : json.value("ends", nlohmann::json::array()))
        out.push_back({.kind = Told::Kind::End,
                       .channel = member(each, "channel"),
                       .why = member(each, "code")});
    out.push_back({.kind = Told::Kind::Position, .id = member(json, "next")});
    return true;
}

} // namespace contract

inline std::vector<ClientSide> client_sides() {
    using namespace contract;
    const auto handshake = [](const char* extension) {
        http::Request upgrade = request({{"Upgrade", "websocket"},
                                         {"Connection", "keep-alive, Upgrade"},
                                         {"Sec-WebSocket-Version", "13"},
                                         {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}});
        if (*extension)
            upgrade.headers.push_back({"Sec-WebSocket-Extensions", extension});
        return upgrade;
    };
    std::vector<ClientSide> sides;
    for (const char* extension : {"", "permessage-deflate"})
        for (const bool is_envelope : {false, true})
            sides.push_back(
                {std::string("websocket ") + (is_envelope ? "enveloped " : "plain ") + extension,
                 "websocket", is_envelope, is_envelope, is_envelope, false, handshake(extension),
                 [is_envelope](const std::string& bytes, std::vector<Told>& out) {
                     return websocket(bytes, is_envelope, out);
                 }});
    for (const bool is_envelope : {false, true})
        sides.push_back({is_envelope ? "sse enveloped" : "sse plain", "sse", is_envelope, true,
                         is_envelope, !is_envelope, request({{"Accept", "text/event-stream"}}),
                         [is_envelope](const std::string& bytes, std::vector<Told>& out) {
                             return sse(bytes, is_envelope, out);
                         }});
    sides.push_back(
        {"longpoll", "longpoll", true, true, true, false, request({}, {{"wait", "25"}}), poll});
    sides.push_back({"poll", "poll", true, true, true, false, request({}, {{"wait", "0"}}), poll});
    return sides;
}

} // namespace fanhorn
