// SPDX-License-Identifier: Apache-2.0
// The JSON envelopes that all transports share. Each function appends one JSON object without a
// line end; none contains a CR or LF. Texts are valid UTF-8. Pure bytes; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fanhorn {

// How a payload appears in an envelope.
enum class DataKind : uint8_t {
    Json,  // "data": the payload as the JSON value that it is
    Text,  // "data": a JSON string
    Base64 // "base64": a JSON string, the payload is not UTF-8
};

// Json: type application/json or +json and valid JSON; or no type ("") and a JSON object or array.
// Otherwise Text if it is UTF-8, else Base64. Parameters of the type and its case do not matter.
// Valid is what most parsers read: no byte order mark, no number beyond a double's range, no lone
// surrogate. Linear in the payload: call it once a message, not once a subscriber.
DataKind classify(std::string_view content_type, std::string_view payload);

struct MessageEnvelope {
    std::string_view channel;
    std::string_view id;
    uint64_t n = 0;         // the message's count in its channel; 0 (unstored) is left out
    std::string_view event; // empty is left out
    DataKind kind = DataKind::Text;
    std::string_view payload; // as published; fits `kind` as classify() found
    bool retained = false;
};

// {"channel","id","n","event","data"|"base64","retained"}
void append_message(std::string& out, const MessageEnvelope& message);

// {"channel","id","n","event","base","patch"}: `payload` is the JSON Patch (RFC 6902) of the state
// with the id `base`.
void append_patch(std::string& out, const MessageEnvelope& message, std::string_view base);

struct GapEnvelope {
    std::string_view channel;
    std::string_view after; // the reader's last position
    std::string_view next;  // the first message behind the gap; empty is null: nothing was kept
    std::string_view why;
};

// {"channel","gap":{"after","next","why"}}: WebSocket.
void append_gap(std::string& out, const GapEnvelope& gap);
// {"channel","after","next","why"}: SSE's gap event, a poll's list.
void append_gap_object(std::string& out, const GapEnvelope& gap);

// {"connection","position","heartbeat"}, the first frame.
void append_hello(std::string& out, std::string_view connection, std::string_view position,
                  uint64_t heartbeat_s);

// {"position"}
void append_position(std::string& out, std::string_view position);

// {"channel","join":{…}}: `verb` is join or leave, `who` a JSON object.
void append_presence(std::string& out, std::string_view channel, std::string_view verb,
                     std::string_view who);

// {"channel","caught_up"}
void append_caught_up(std::string& out, std::string_view channel, std::string_view position);

// {"channel","end":{"code"}}: WebSocket.
void append_end(std::string& out, std::string_view channel, std::string_view code);
// {"channel","code"}: SSE's end event, whose name says the rest.
void append_end_object(std::string& out, std::string_view channel, std::string_view code);

} // namespace fanhorn
