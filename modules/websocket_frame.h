// SPDX-License-Identifier: Apache-2.0
// WebSocket framing as a server sees it (RFC 6455): frames out, messages in, the handshake's key.
// Pure bytes; no sockets. Everything here may be used on any thread, an object on one at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace fanhorn {

// RFC 6455 section 11.8.
enum class Opcode : uint8_t {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10
};

constexpr size_t kMaxControlPayloadBytes = 125; // RFC 6455 section 5.5
constexpr size_t kMaxCloseReasonBytes = kMaxControlPayloadBytes - 2;

// Bytes in front of an unmasked payload of that size: 2, 4 or 10.
constexpr size_t frame_header_size(uint64_t payload_size) {
    return payload_size < 126 ? 2 : payload_size <= 0xffff ? 4 : 10;
}

// The header of one whole (FIN), unmasked frame; the caller appends `payload_size` bytes after it.
// `rsv1` marks a compressed message (RFC 7692 section 6).
void append_frame_header(std::string& out, Opcode opcode, uint64_t payload_size, bool rsv1 = false);

// Header and payload. CHECKs that a control frame's payload fits (kMaxControlPayloadBytes).
void append_frame(std::string& out, Opcode opcode, std::string_view payload, bool rsv1 = false);

// A close frame. `code` is one that may be sent (CHECKed), or 0 for a close without code, which
// answers one; `reason` is UTF-8 and is cut between characters to kMaxCloseReasonBytes.
void append_close(std::string& out, uint16_t code, std::string_view reason);

// Whether a close frame may carry that code (RFC 6455 section 7.4 and IANA's registry of 2024).
bool is_close_code(uint16_t code);

// The four bytes that hide a client's payload (RFC 6455 section 5.3).
using MaskKey = std::array<unsigned char, 4>;

// Masks or unmasks in place, and leaves `key` turned so that the next call goes on behind.
void apply_mask(std::span<char> bytes, MaskKey& key);

// The bounds of what a client may send. They are passed at each feed, so that a connection does
// not store them and a reload changes them.
struct ReaderLimits {
    uint32_t message_size = 65536; // bytes of a message over all its fragments
    uint32_t fragments = 10000;    // frames of one message
    bool deflate = false;          // permessage-deflate was negotiated: RSV1 may be set
    bool operator==(const ReaderLimits&) const = default;
};

// Hears what a MessageReader found. Views live for the call only. A handler must not destroy the
// reader inside a call. False stops the reading: the rest of the bytes is left unread.
class FrameHandler {
  public:
    virtual ~FrameHandler() = default;
    // `opcode` is Text or Binary. Text is valid UTF-8, unless it is `compressed`: then the caller
    // inflates it and checks (1007) that.
    virtual bool on_message(Opcode opcode, std::string payload, bool compressed) = 0;
    virtual bool on_ping(std::string_view payload) = 0;
    virtual bool on_pong(std::string_view payload) = 0;
    // The client's close frame, the last thing heard. `code` is 0 when it had none.
    virtual void on_close(uint16_t code, std::string_view reason) = 0;
    // The client broke the protocol: close with that code and reason. The last thing heard.
    virtual void on_error(uint16_t code, std::string_view reason) = 0;
};

// Reads a client's masked frames, split anywhere. Costs two words while nothing is partial; a
// partial frame or message is on the heap, growing with what has come, never with what was
// announced.
class MessageReader {
  public:
    MessageReader();
    MessageReader(MessageReader&&) noexcept;
    MessageReader& operator=(MessageReader&&) noexcept;
    ~MessageReader();

    // Takes `bytes` (and unmasks in them) and calls `handler`. Returns how many were consumed: all
    // of them, unless a callback said stop or the reading ended. Feed the rest later, or never.
    size_t feed(std::span<char> bytes, const ReaderLimits& limits, FrameHandler& handler);

    // After on_close or on_error: feed() consumes nothing any more (RFC 6455 section 5.5.1).
    bool has_ended() const { return ended_; }
    // Whether a frame or message has begun and not ended.
    bool is_partial() const { return partial_ != nullptr; }
    // Appends bytes that would bring a new reader to where this one is: of an unfinished message
    // one fragment, of the frame that is coming what is missing of it.
    void append_partial(std::string& out) const;

  private:
    struct Partial;
    class Turn;

    std::unique_ptr<Partial> partial_;
    bool ended_ = false;
};

// The answer to Sec-WebSocket-Key (RFC 6455 section 4.2.2, 5.4).
std::string accept_key(std::string_view key);

// Whether a Sec-WebSocket-Key is base64 of 16 bytes (RFC 6455 section 4.2.1).
bool is_websocket_key(std::string_view key);

} // namespace fanhorn
