// SPDX-License-Identifier: Apache-2.0
// The server's side of one TLS connection, over a socket that does not block.
#pragma once

#include "net/socket.h"
#include "net/tls_context.h"

#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace fanhorn {

// How a handshake ended.
enum class HandshakeEnd : uint8_t {
    Full,
    Resumed, // by a ticket
    // What follows are failures.
    Closed,            // the peer went away
    Timeout,           // it did not come to an end in time
    PlainHttp,         // an http request
    NotTls,            // what came is not TLS
    Version,           // none in common
    Cipher,            // no cipher, group or signature in common
    Protocol,          // none of ALPN in common
    ClientCertificate, // missing, or not of our authorities
    Refused,           // by the peer, who does not like our certificate for example
    Other,
};
inline constexpr size_t kHandshakeEnds = 12;
inline constexpr size_t kHandshakeSuccesses = 2; // the first ones
std::string_view handshake_end_name(HandshakeEnd end);

// Shakes hands within receive(). Edge-triggered: what it could not do for a full or an empty socket
// goes on when the socket is ready, by the calls that are named below; which way a call wanted to
// go does not matter to its caller.
class TlsStream {
  public:
    // Takes no ownership of `fd`. `has_http2`: whether that is offered by ALPN.
    TlsStream(std::shared_ptr<const TlsContext> context, int fd, bool has_http2 = false);
    ~TlsStream();
    TlsStream(const TlsStream&) = delete;
    TlsStream& operator=(const TlsStream&) = delete;

    bool is_shaking() const { return state_ == State::Shaking; }
    // Whether receive() has been called.
    bool has_begun() const { return has_begun_; }
    // Whether receive() is to be called when the socket is writable.
    bool reads_when_writable() const { return reads_when_writable_; }
    // Once it does not shake hands any more.
    HandshakeEnd handshake_end() const { return end_; }
    // What ALPN (RFC 7301) chose, as it is registered, "h2" for example; "" when it chose nothing.
    std::string_view protocol() const;
    // Why it is broken, for people; "" for a connection that was cut.
    const std::string& reason() const { return reason_; }

    // As fanhorn::receive(). An end without a close_notify is Broken: somebody on the way may have
    // cut it.
    Received receive(std::span<char> buffer);

    // As fanhorn::send_pieces(). Pieces go together in as few records as they fit in. All that is
    // taken is on its way: what the socket did not take of a record is kept for flush().
    ssize_t send(const iovec* pieces, int count);
    enum class Flushed : uint8_t { All, Full, Broken };
    // The rest of a record; when the socket is writable.
    Flushed flush();
    bool has_unsent() const { return unsent_ > 0; }

    // Says that nothing more comes. False: when the socket is writable, flush() and again.
    bool close();
    bool is_closing() const { return is_closing_; }

  private:
    enum class State : uint8_t { Shaking, Open, Ended, Broken };

    Received::State fail(int result);
    void look_at_handshake();
    Flushed write_record(std::string_view bytes);

    const std::shared_ptr<const TlsContext> context_;
    ssl_st* const ssl_;
    uint32_t unsent_ = 0; // bytes in the record that the socket has not all of
    uint16_t record_bytes_ = 0;
    State state_ = State::Shaking;
    HandshakeEnd end_ = HandshakeEnd::Other;
    bool has_begun_ = false;
    bool reads_when_writable_ = false;
    bool is_closing_ = false;
    std::string reason_;
};

} // namespace fanhorn
