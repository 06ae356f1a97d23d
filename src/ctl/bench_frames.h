// SPDX-License-Identifier: Apache-2.0
// Answers and frames as a subscriber gets them, read from wherever the bytes were cut.
#pragma once

#include "ctl/bench_marker.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace fanhorn::ctl::load {

// What of a response's head the benchmark goes by.
struct Head {
    int status = 0;
    size_t bytes = 0; // with the empty line
    std::optional<uint64_t> length;
    bool is_chunked = false;
    bool closes = false; // "Connection: close", which stands also where only the end tells the end
};
// Nothing while the empty line is not there, or where this is no HTTP/1.x response (status 0).
std::optional<Head> read_head(std::string_view bytes);
// The value of a field, in `head` up to its empty line; "" where there is none.
std::string_view field(std::string_view head, std::string_view name);

// The chunked coding of RFC 9112 section 7.1, taken off in place.
class Chunks {
  public:
    // The number of body bytes, which now stand at the front of `bytes`.
    size_t decode(char* bytes, size_t size);
    bool is_over() const { return state_ == State::kOver; }
    bool is_broken() const { return state_ == State::kBroken; }

  private:
    enum class State : uint8_t { kSize, kExtension, kData, kDataEnd, kTrailer, kOver, kBroken };
    void take_size(char byte);
    void take_line_end();
    void take_trailer(char byte);

    uint64_t left_ = 0;
    State state_ = State::kSize;
    uint8_t digits_ = 0;        // of the size, so far
    bool is_line_empty_ = true; // of the trailer
};

// Frames of a WebSocket server (RFC 6455 section 5.2): never masked.
struct FrameHeader {
    size_t bytes = 0; // 0: not all there
    uint64_t length = 0;
    uint8_t opcode = 0;
    bool is_masked = false;
};
FrameHeader read_frame_header(std::string_view bytes);

inline constexpr uint8_t kClose = 8, kPing = 9;
inline constexpr size_t kMaxControlBytes = 125; // RFC 6455 section 5.5
// A marker begins within so many bytes of its frame, or is not looked for.
inline constexpr size_t kMaxPrefixBytes = 1024;

// `left` is what remains of a frame that is not looked at further; 0 at first. Calls
// handler.on_marker(Marker), handler.on_control(opcode, payload), and handler.on_other(payload)
// for a data frame without a marker. Each is false to stop. The number of bytes that are done with:
// the others come again, with more behind them.
template <typename Handler>
size_t read_frames(std::string_view bytes, uint64_t& left, Handler& handler) {
    size_t at = 0;
    while (at < bytes.size()) {
        if (left) {
            const auto step = std::min<uint64_t>(left, bytes.size() - at);
            left -= step;
            at += step;
            continue;
        }
        const FrameHeader frame = read_frame_header(bytes.substr(at));
        if (!frame.bytes)
            break;
        const std::string_view payload = bytes.substr(at + frame.bytes).substr(0, frame.length);
        const bool is_whole = payload.size() == frame.length;
        const bool is_control = frame.opcode >= kClose;
        bool goes_on = true;
        if (is_control && frame.length > kMaxControlBytes) {
            goes_on = handler.on_control(kClose, {}); // none to be waited for
        } else if (is_control) {
            if (!is_whole)
                break;
            goes_on = handler.on_control(frame.opcode, payload);
        } else if (const Found found = find_marker(payload, 0); found.is_found) {
            goes_on = handler.on_marker(found.marker);
        } else if (is_whole) {
            goes_on = handler.on_other(payload);
        } else if (payload.size() < kMaxPrefixBytes) {
            break;
        }
        at += frame.bytes;
        left = frame.length;
        if (!goes_on)
            break;
    }
    return at;
}

// The markers of a body whose own framing does not matter: event streams, JSON, plain messages.
template <typename Handler> size_t read_body(std::string_view bytes, Handler& handler) {
    size_t at = 0;
    while (at < bytes.size()) {
        const Found found = find_marker(bytes, at);
        at = found.end;
        if (!found.is_found || !handler.on_marker(found.marker))
            break;
    }
    return at;
}

} // namespace fanhorn::ctl::load
