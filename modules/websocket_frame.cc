// SPDX-License-Identifier: Apache-2.0
#include "modules/websocket_frame.h"

#include "base/check.h"
#include "base/digest.h"
#include "base/text.h"
#include "base/utf8.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace fanhorn {

namespace {

// Close codes that the reader itself gives (RFC 6455 section 7.4.1).
constexpr uint16_t kProtocolError = 1002;
constexpr uint16_t kNotUtf8 = 1007;
constexpr uint16_t kTooBig = 1009;

constexpr unsigned char kFin = 0x80;
constexpr unsigned char kRsv1 = 0x40;
constexpr unsigned char kRsv23 = 0x30;
constexpr unsigned char kOpcodeBits = 0x0f;
constexpr unsigned char kMasked = 0x80;
constexpr unsigned char kLengthBits = 0x7f;
constexpr unsigned kLength16 = 126;
constexpr unsigned kLength64 = 127;
constexpr size_t kMaxHeaderBytes = 14;

bool is_control(Opcode opcode) {
    return static_cast<unsigned>(opcode) & 8;
}

bool is_known(Opcode opcode) {
    return opcode <= Opcode::Binary || (opcode >= Opcode::Close && opcode <= Opcode::Pong);
}

void append_big_endian(std::string& out, uint64_t value, int bytes) {
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
        out.push_back(static_cast<char>(value >> shift & 0xff));
}

uint16_t read_code(std::string_view close) {
    const auto high = static_cast<unsigned char>(close[0]);
    const auto low = static_cast<unsigned char>(close[1]);
    return static_cast<uint16_t>(high << 8 | low);
}

} // namespace

void append_frame_header(std::string& out, Opcode opcode, uint64_t payload_size, bool rsv1) {
    CHECK(!is_control(opcode) || payload_size <= kMaxControlPayloadBytes);
    out.push_back(static_cast<char>(kFin | (rsv1 ? kRsv1 : 0) | static_cast<unsigned>(opcode)));
    switch (frame_header_size(payload_size)) {
    case 2:
        return append_big_endian(out, payload_size, 1);
    case 4:
        append_big_endian(out, kLength16, 1);
        return append_big_endian(out, payload_size, 2);
    default:
        append_big_endian(out, kLength64, 1);
        return append_big_endian(out, payload_size, 8);
    }
}

void append_frame(std::string& out, Opcode opcode, std::string_view payload, bool rsv1) {
    append_frame_header(out, opcode, payload.size(), rsv1);
    out.append(payload);
}

void append_close(std::string& out, uint16_t code, std::string_view reason) {
    if (code == 0)
        return append_frame(out, Opcode::Close, {});
    CHECK(is_close_code(code));
    size_t size = std::min(reason.size(), kMaxCloseReasonBytes);
    while (size > 0 && size < reason.size() && (reason[size] & 0xc0) == 0x80)
        --size;
    append_frame_header(out, Opcode::Close, 2 + size);
    append_big_endian(out, code, 2);
    out.append(reason.substr(0, size));
}

bool is_close_code(uint16_t code) {
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

void apply_mask(std::span<char> bytes, MaskKey& key) {
    uint64_t wide_key = 0;
    std::memcpy(&wide_key, key.data(), 4);
    std::memcpy(reinterpret_cast<char*>(&wide_key) + 4, key.data(), 4);
    size_t i = 0;
    for (; i + 8 <= bytes.size(); i += 8) {
        uint64_t word = 0;
        std::memcpy(&word, bytes.data() + i, 8);
        word ^= wide_key;
        std::memcpy(bytes.data() + i, &word, 8);
    }
    for (; i < bytes.size(); ++i)
        bytes[i] = static_cast<char>(bytes[i] ^ key[i % 4]);
    const MaskKey old = key;
    for (size_t j = 0; j < key.size(); ++j)
        key[j] = old[(bytes.size() + j) % 4];
}

// What must be remembered between two feeds.
struct MessageReader::Partial {
    // The frame: first its header's bytes, then its payload.
    std::array<unsigned char, kMaxHeaderBytes> header{};
    size_t header_size = 0;
    bool in_payload = false;
    bool is_final = false;
    Opcode opcode = Opcode::Continuation;
    MaskKey key{};
    uint64_t remaining = 0; // bytes of payload still to come
    std::string control;    // payload of a control frame

    // The message, over its fragments.
    Opcode message_opcode = Opcode::Continuation; // that value: no message has begun
    bool is_compressed = false;
    uint32_t fragments = 0;
    std::string message;
    Utf8Validator utf8;

    bool in_message() const { return message_opcode != Opcode::Continuation; }
    bool is_idle() const { return header_size == 0 && !in_payload && !in_message(); }
    bool is_checked_text() const { return message_opcode == Opcode::Text && !is_compressed; }
};

// One feed.
class MessageReader::Turn {
  public:
    Turn(Partial& state, std::span<char> bytes, const ReaderLimits& limits, FrameHandler& handler)
        : state_(state), rest_(bytes), limits_(limits), handler_(handler) {}

    // Until the bytes are used up, a callback says stop, or the reading ends.
    void run() {
        while (is_running_ && !rest_.empty()) {
            if (state_.in_payload)
                read_payload();
            else
                read_header();
        }
    }

    size_t unread() const { return rest_.size(); }
    bool has_ended() const { return has_ended_; }

  private:
    // A header that may not be; code 0: none found.
    struct Fault {
        uint16_t code = 0;
        const char* reason = "";
    };

    std::span<char> take(size_t size) {
        const std::span<char> taken = rest_.first(size);
        rest_ = rest_.subspan(size);
        return taken;
    }

    void end() {
        has_ended_ = true;
        is_running_ = false;
    }

    void fail(uint16_t code, std::string_view reason) {
        end();
        handler_.on_error(code, reason);
    }

    // Byte by byte, so that a wrong one is answered when it comes, not when the header is whole.
    void read_header() {
        while (!rest_.empty()) {
            state_.header[state_.header_size++] = static_cast<unsigned char>(take(1)[0]);
            if (const Fault fault = header_fault(); fault.code != 0)
                return fail(fault.code, fault.reason);
            if (state_.header_size == 2 + length_bytes() + sizeof(MaskKey))
                return begin_payload();
        }
    }

    // RFC 6455 section 5.2: bytes of the extended length. Unknown, thus 8, before the second byte.
    size_t length_bytes() const {
        const unsigned length = state_.header[1] & kLengthBits;
        if (state_.header_size < 2 || length == kLength64)
            return 8;
        return length == kLength16 ? 2 : 0;
    }

    uint64_t length() const {
        const size_t bytes = length_bytes();
        if (bytes == 0)
            return state_.header[1] & kLengthBits;
        uint64_t value = 0;
        for (size_t i = 0; i < bytes; ++i)
            value = value << 8 | state_.header[2 + i];
        return value;
    }

    Opcode header_opcode() const { return static_cast<Opcode>(state_.header[0] & kOpcodeBits); }

    // Looks at what the newest header byte has made known.
    Fault header_fault() const {
        if (state_.header_size == 1)
            return first_byte_fault();
        Fault fault;
        if (state_.header_size == 2)
            fault = second_byte_fault();
        if (fault.code == 0 && state_.header_size == 2 + length_bytes())
            fault = length_fault();
        return fault;
    }

    Fault first_byte_fault() const {
        const unsigned char byte = state_.header[0];
        const Opcode opcode = header_opcode();
        const bool begins_message = opcode == Opcode::Text || opcode == Opcode::Binary;
        // RFC 7692 section 6: RSV1 on the first frame of a data message only.
        if ((byte & kRsv23) || ((byte & kRsv1) && !(limits_.deflate && begins_message)))
            return {kProtocolError, "reserved bit set"};
        if (!is_known(opcode))
            return {kProtocolError, "reserved opcode"};
        if (is_control(opcode) && !(byte & kFin))
            return {kProtocolError, "fragmented control frame"};
        if (begins_message && state_.in_message())
            return {kProtocolError, "new message inside a fragmented one"};
        if (opcode == Opcode::Continuation && !state_.in_message())
            return {kProtocolError, "continuation of nothing"};
        return {};
    }

    Fault second_byte_fault() const {
        if (!(state_.header[1] & kMasked))
            return {kProtocolError, "unmasked frame"};
        if (is_control(header_opcode()) && length_bytes() > 0)
            return {kProtocolError, "long control frame"};
        return {};
    }

    Fault length_fault() const {
        const uint64_t value = length();
        const size_t bytes = length_bytes();
        if ((bytes == 2 && value < kLength16) || (bytes == 8 && value <= 0xffff))
            return {kProtocolError, "length not in its shortest form"};
        if (value >> 63)
            return {kProtocolError, "length over 63 bits"};
        if (is_control(header_opcode()))
            return {};
        if (value > room())
            return {kTooBig, "message too big"};
        if (state_.fragments >= limits_.fragments)
            return {kTooBig, "too many fragments"};
        return {};
    }

    // Bytes that the message may still grow. DEFLATE can make a message longer, by an eighth with
    // the fixed codes; what counts is the limit after inflation, which the caller enforces.
    size_t room() const {
        const bool is_compressed =
            state_.in_message() ? state_.is_compressed : (state_.header[0] & kRsv1) != 0;
        const size_t slack = is_compressed ? limits_.message_size / 8 + 16 : 0;
        const size_t limit = limits_.message_size + slack;
        return limit - std::min(limit, state_.message.size());
    }

    void begin_payload() {
        const unsigned char first = state_.header[0];
        state_.is_final = first & kFin;
        state_.opcode = header_opcode();
        state_.remaining = length();
        std::memcpy(state_.key.data(), &state_.header[2 + length_bytes()], sizeof(MaskKey));
        state_.header_size = 0;
        state_.in_payload = true;
        if (state_.opcode == Opcode::Text || state_.opcode == Opcode::Binary) {
            state_.message_opcode = state_.opcode;
            state_.is_compressed = first & kRsv1;
            state_.fragments = 0;
            state_.utf8.reset();
        }
        if (!is_control(state_.opcode))
            ++state_.fragments;
        read_payload(); // here, as an empty one needs no further byte
    }

    void read_payload() {
        const auto chunk = take(std::min<uint64_t>(state_.remaining, rest_.size()));
        apply_mask(chunk, state_.key);
        state_.remaining -= chunk.size();
        state_.in_payload = state_.remaining > 0;
        const std::string_view text(chunk.data(), chunk.size());
        if (is_control(state_.opcode))
            read_control(text);
        else
            read_data(text);
    }

    void read_data(std::string_view chunk) {
        if (state_.is_checked_text() && !state_.utf8.feed(chunk))
            return fail(kNotUtf8, "text is not UTF-8");
        state_.message.append(chunk);
        if (!state_.in_payload && state_.is_final)
            finish_message();
    }

    void finish_message() {
        if (state_.is_checked_text() && !state_.utf8.complete())
            return fail(kNotUtf8, "text is not UTF-8");
        const Opcode opcode = std::exchange(state_.message_opcode, Opcode::Continuation);
        state_.fragments = 0;
        is_running_ =
            handler_.on_message(opcode, std::exchange(state_.message, {}), state_.is_compressed);
    }

    void read_control(std::string_view chunk) {
        state_.control.append(chunk);
        if (state_.in_payload)
            return;
        const std::string payload = std::exchange(state_.control, {});
        if (state_.opcode == Opcode::Close)
            finish_close(payload);
        else if (state_.opcode == Opcode::Ping)
            is_running_ = handler_.on_ping(payload);
        else
            is_running_ = handler_.on_pong(payload);
    }

    // RFC 6455 section 5.5.1.
    void finish_close(std::string_view payload) {
        if (payload.size() == 1)
            return fail(kProtocolError, "close with half a code");
        const uint16_t code = payload.empty() ? uint16_t{0} : read_code(payload);
        const std::string_view reason = payload.empty() ? payload : payload.substr(2);
        if (!payload.empty() && !is_close_code(code))
            return fail(kProtocolError, "close code not allowed");
        if (!is_utf8(reason))
            return fail(kNotUtf8, "close reason is not UTF-8");
        end();
        handler_.on_close(code, reason);
    }

    Partial& state_;
    std::span<char> rest_;
    const ReaderLimits& limits_;
    FrameHandler& handler_;
    bool is_running_ = true;
    bool has_ended_ = false;
};

MessageReader::MessageReader() = default;
MessageReader::MessageReader(MessageReader&&) noexcept = default;
MessageReader& MessageReader::operator=(MessageReader&&) noexcept = default;
MessageReader::~MessageReader() = default;

size_t MessageReader::feed(std::span<char> bytes, const ReaderLimits& limits,
                           FrameHandler& handler) {
    if (ended_)
        return 0;
    Partial fresh;
    Turn turn(partial_ ? *partial_ : fresh, bytes, limits, handler);
    turn.run();
    ended_ = turn.has_ended();
    if (ended_ || (partial_ ? *partial_ : fresh).is_idle())
        partial_.reset();
    else if (!partial_)
        partial_ = std::make_unique<Partial>(std::move(fresh));
    return bytes.size() - turn.unread();
}

namespace {

// A client's frame of `size` bytes of payload, of which `begin` are there; `key` is that of the
// next one.
void append_begin(std::string& out, unsigned char first, std::string_view begin, uint64_t size,
                  const MaskKey& key) {
    out += static_cast<char>(first);
    const int length_bytes = size < kLength16 ? 0 : size <= 0xffff ? 2 : 8;
    const uint64_t length = length_bytes == 0 ? size : length_bytes == 2 ? kLength16 : kLength64;
    out += static_cast<char>(kMasked | length);
    for (int shift = 8 * (length_bytes - 1); shift >= 0; shift -= 8)
        out += static_cast<char>(size >> shift);
    MaskKey first_key{};
    for (size_t i = 0; i < key.size(); ++i)
        first_key[(i + begin.size()) % 4] = key[i];
    out.append(reinterpret_cast<const char*>(first_key.data()), first_key.size());
    std::string payload(begin);
    apply_mask(payload, first_key);
    out += payload;
}

} // namespace

void MessageReader::append_partial(std::string& out) const {
    if (!partial_)
        return;
    const Partial& state = *partial_;
    const bool in_control = state.in_payload && is_control(state.opcode);
    const bool in_data = state.in_payload && !in_control;
    const auto first = [&](Opcode opcode, bool is_final) {
        const bool is_compressed = state.is_compressed && opcode == state.message_opcode;
        return static_cast<unsigned char>((is_final ? kFin : 0) | (is_compressed ? kRsv1 : 0) |
                                          static_cast<unsigned char>(opcode));
    };
    if (in_data && state.fragments == 1) {
        append_begin(out, first(state.message_opcode, state.is_final), state.message,
                     state.message.size() + state.remaining, state.key);
    } else {
        if (state.in_message())
            append_begin(out, first(state.message_opcode, false), state.message,
                         state.message.size(), {});
        if (in_data)
            append_begin(out, first(Opcode::Continuation, state.is_final), "", state.remaining,
                         state.key);
    }
    if (in_control)
        append_begin(out, first(state.opcode, true), state.control,
                     state.control.size() + state.remaining, state.key);
    out.append(reinterpret_cast<const char*>(state.header.data()), state.header_size);
}

std::string accept_key(std::string_view key) {
    constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    const auto digest = sha1(std::string(key).append(kGuid));
    return base64_encode({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

bool is_websocket_key(std::string_view key) {
    const auto bytes = base64_decode(key);
    return bytes && bytes->size() == 16;
}

} // namespace fanhorn
