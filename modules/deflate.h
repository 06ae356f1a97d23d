// SPDX-License-Identifier: Apache-2.0
// permessage-deflate (RFC 7692) without context takeover in either direction: no compression state
// belongs to a connection, so one Deflater and one Inflater serve a whole worker, and a compressed
// message is the same bytes for every subscriber.
#pragma once

#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct z_stream_s;

namespace fanhorn {

// Chooses from the offers of Sec-WebSocket-Extensions (several header fields joined by commas):
// the value to answer with, or "" to go on uncompressed. An Error is a value outside the grammar
// of RFC 6455 section 9.1, with which the handshake fails (400). Linear.
//
// The first acceptable permessage-deflate offer wins. Declined are unknown, repeated and badly
// valued parameters (RFC 7692 section 7.1), and server_max_window_bits below 15: every subscriber
// of a channel is sent the same compressed bytes, made with the full window, and those a smaller
// window could not read. client_max_window_bits needs no answer: the Inflater has the full window,
// which reads any.
Result<std::string> choose_deflate(std::string_view offers);

// Compresses messages; about 270 kB from the first use on. One thread.
class Deflater {
  public:
    // zlib's level, 1 to 9.
    explicit Deflater(int level = 6) : level_(level) {}

    // The payload of a frame with RSV1 (RFC 7692 section 7.2.1). The view lives until the next
    // call.
    std::string_view compress(std::string_view payload);

  private:
    struct End {
        void operator()(z_stream_s* stream) const;
    };

    int level_;
    std::unique_ptr<z_stream_s, End> stream_;
    std::string buffer_;
};

enum class InflateStatus : uint8_t {
    Ok,
    TooBig,   // more than the limit: close with 1009
    Malformed // not DEFLATE, or cut short: close with 1007
};

// Decompresses messages; about 40 kB from the first use on. One thread.
class Inflater {
  public:
    // Replaces `out` by the message (RFC 7692 section 7.2.2), stopping as soon as it is over
    // `limit` bytes. `out` is empty unless Ok.
    InflateStatus inflate(std::string_view payload, size_t limit, std::string& out);

  private:
    struct End {
        void operator()(z_stream_s* stream) const;
    };

    InflateStatus run(std::string_view input, size_t limit, std::string& out);

    std::unique_ptr<z_stream_s, End> stream_;
};

// The same library's checksum, of IEEE 802.3.
uint32_t crc32_of(std::string_view bytes);

// The library below, for -V.
std::string_view deflate_library_version();

} // namespace fanhorn
