// SPDX-License-Identifier: Apache-2.0
// A client's side of the WebSocket codec for tests and fuzzers: builds masked frames, records what
// a MessageReader found in them as one line of text.
#pragma once

#include "modules/websocket_frame.h"

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

namespace fanhorn {

constexpr MaskKey kTestKey = {0x11, 0x22, 0x33, 0x44};

// Two header bytes as given, then key and masked payload: for what no builder would make.
inline std::string masked(std::string header, std::string_view payload, MaskKey key = kTestKey) {
    std::string hidden(payload);
    header.append(key.begin(), key.end());
    apply_mask(hidden, key);
    return header + hidden;
}

// A frame in its shortest form; `first` is FIN, RSV bits and opcode.
inline std::string client_frame(unsigned first, std::string_view payload, MaskKey key = kTestKey) {
    std::string header;
    append_frame_header(header, Opcode::Binary, payload.size());
    header[0] = static_cast<char>(first);
    header[1] = static_cast<char>(header[1] | 0x80);
    return masked(header, payload, key);
}

// "text(hi) ping(x) close(1000,bye) error(1002)": everything heard, in order.
class FrameRecorder final : public FrameHandler {
  public:
    bool on_message(Opcode opcode, std::string payload, bool compressed) override {
        const char* kind = opcode == Opcode::Text ? "text" : "binary";
        return add(std::string(compressed ? "deflated-" : "") + kind, payload);
    }
    bool on_ping(std::string_view payload) override { return add("ping", payload); }
    bool on_pong(std::string_view payload) override { return add("pong", payload); }
    void on_close(uint16_t code, std::string_view reason) override {
        add("close", std::to_string(code).append(",").append(reason));
    }
    void on_error(uint16_t code, std::string_view reason) override {
        add("error", std::to_string(code));
        error_reason = reason;
    }

    std::string log;
    std::string error_reason;
    bool goes_on = true; // what the callbacks answer

  private:
    bool add(const std::string& what, std::string_view payload) {
        log.append(log.empty() ? "" : " ").append(what);
        log.append("(").append(payload).append(")");
        return goes_on;
    }
};

// Feeds `bytes` in pieces, whose sizes `next_size` gives.
template <typename NextSize>
std::string read_in_pieces(std::string bytes, const ReaderLimits& limits, NextSize next_size) {
    FrameRecorder recorder;
    MessageReader reader;
    std::span<char> rest(bytes);
    while (!rest.empty() && !reader.has_ended()) {
        const size_t size = std::min<size_t>(next_size(), rest.size());
        reader.feed(rest.first(size), limits, recorder);
        rest = rest.subspan(size);
    }
    return recorder.log;
}

} // namespace fanhorn
