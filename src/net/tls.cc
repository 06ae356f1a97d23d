// SPDX-License-Identifier: Apache-2.0
#include "net/tls.h"

#include "base/check.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <utility>

namespace fanhorn {

namespace {

constexpr size_t kRecordBytes = 8192; // as TlsContext sets it
constexpr size_t kSmallestFragment = 512;

std::span<char> scratch() {
    static thread_local std::array<char, kRecordBytes> bytes;
    return bytes;
}

// Cuts pieces into records: as they lie where they are large, else copied together.
class Records {
  public:
    Records(const iovec* pieces, int count, size_t limit)
        : pieces_(pieces, static_cast<size_t>(count)), limit_(limit) {}

    // Empty at the end; valid until the next one.
    std::string_view next() {
        while (!pieces_.empty() && left() == 0)
            advance();
        if (pieces_.empty())
            return {};
        if (pieces_.size() == 1 || left() >= limit_)
            return take(std::min(left(), limit_));
        return gather();
    }

  private:
    size_t left() const { return pieces_.front().iov_len - at_; }
    void advance() {
        pieces_ = pieces_.subspan(1);
        at_ = 0;
    }
    std::string_view take(size_t size) {
        const std::string_view bytes(static_cast<const char*>(pieces_.front().iov_base) + at_,
                                     size);
        at_ += size;
        return bytes;
    }
    std::string_view gather() {
        const std::span<char> buffer = scratch().first(limit_);
        size_t size = 0;
        while (!pieces_.empty() && size < buffer.size()) {
            const std::string_view bytes = take(std::min(left(), buffer.size() - size));
            bytes.copy(buffer.data() + size, bytes.size());
            size += bytes.size();
            if (left() == 0)
                advance();
        }
        return {buffer.data(), size};
    }

    std::span<const iovec> pieces_;
    size_t at_ = 0; // in the first of them
    const size_t limit_;
};

// What the peer's alerts are numbered from (SSL_R_SSLV3_ALERT_CLOSE_NOTIFY and on).
constexpr int kFirstAlert = SSL_AD_REASON_OFFSET, kLastAlert = SSL_AD_REASON_OFFSET + 255;

HandshakeEnd end_of_reason(int reason) {
    if (reason >= kFirstAlert && reason <= kLastAlert)
        return HandshakeEnd::Refused;
    switch (reason) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
        return HandshakeEnd::PlainHttp;
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_UNEXPECTED_MESSAGE:
    case SSL_R_BAD_RECORD_TYPE:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_DATA_LENGTH_TOO_LONG:
    case SSL_R_ENCRYPTED_LENGTH_TOO_LONG:
    case SSL_R_RECORD_TOO_SMALL:
        return HandshakeEnd::NotTls;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
        return HandshakeEnd::Version;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
        return HandshakeEnd::Cipher;
    case SSL_R_NO_APPLICATION_PROTOCOL:
        return HandshakeEnd::Protocol;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
        return HandshakeEnd::ClientCertificate;
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        return HandshakeEnd::Closed;
    default:
        return HandshakeEnd::Other;
    }
}

// The length that a client may ask records to be bounded by (RFC 6066 section 4).
size_t fragment_limit(const SSL* ssl) {
    const SSL_SESSION* session = SSL_get0_session(ssl);
    const uint8_t code = session ? SSL_SESSION_get_max_fragment_length(session) : 0;
    return code ? std::min(kRecordBytes, kSmallestFragment << (code - 1)) : kRecordBytes;
}

} // namespace

std::string_view handshake_end_name(HandshakeEnd end) {
    static constexpr std::array<std::string_view, kHandshakeEnds> kNames = {
        "full",    "resumed", "closed", "timeout",  "plain_http",
        "not_tls", "version", "cipher", "protocol", "client_certificate",
        "refused", "other"};
    return kNames[static_cast<size_t>(end)];
}

TlsStream::TlsStream(std::shared_ptr<const TlsContext> context, int fd, bool has_http2)
    : context_(std::move(context)), ssl_(context_->open(fd, has_http2)) {}

TlsStream::~TlsStream() {
    SSL_free(ssl_);
}

std::string_view TlsStream::protocol() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_, &name, &size);
    return {reinterpret_cast<const char*>(name), size};
}

// Of a call that did not succeed.
Received::State TlsStream::fail(int result) {
    switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return Received::State::WouldBlock;
    case SSL_ERROR_ZERO_RETURN:
        if (is_shaking())
            end_ = HandshakeEnd::Closed;
        state_ = State::Ended;
        return Received::State::End;
    default:
        break;
    }
    const unsigned long code = ERR_peek_error();
    if (const char* reason = code ? ERR_reason_error_string(code) : nullptr)
        reason_ = reason;
    if (is_shaking())
        end_ = code ? end_of_reason(ERR_GET_REASON(code)) : HandshakeEnd::Closed;
    state_ = State::Broken;
    return Received::State::Broken;
}

void TlsStream::look_at_handshake() {
    if (!is_shaking() || !SSL_is_init_finished(ssl_))
        return;
    end_ = SSL_session_reused(ssl_) ? HandshakeEnd::Resumed : HandshakeEnd::Full;
    record_bytes_ = static_cast<uint16_t>(fragment_limit(ssl_));
    state_ = State::Open;
}

// One call of OpenSSL gives a record at most: it is asked until it has no more.
Received TlsStream::receive(std::span<char> buffer) {
    if (state_ == State::Broken)
        return {Received::State::Broken};
    has_begun_ = true;
    size_t size = 0;
    auto state = Received::State::Bytes;
    while (state == Received::State::Bytes && size < buffer.size()) {
        size_t got = 0;
        ERR_clear_error();
        const int result = SSL_read_ex(ssl_, buffer.data() + size, buffer.size() - size, &got);
        look_at_handshake();
        size += got;
        if (result != 1)
            state = fail(result);
    }
    reads_when_writable_ = SSL_want_write(ssl_);
    if (size == 0)
        return {state};
    // An end behind the bytes is told by the next call.
    return {Received::State::Bytes, size, state == Received::State::WouldBlock};
}

ssize_t TlsStream::send(const iovec* pieces, int count) {
    if (state_ == State::Broken || is_closing_)
        return -1;
    if (is_shaking())
        return 0;
    Flushed flushed = flush();
    Records records(pieces, count, record_bytes_);
    size_t taken = 0;
    while (flushed == Flushed::All) {
        const std::string_view record = records.next();
        if (record.empty())
            break;
        flushed = write_record(record);
        if (flushed == Flushed::All || has_unsent())
            taken += record.size();
    }
    return flushed == Flushed::Broken ? -1 : static_cast<ssize_t>(taken);
}

// A record that is made is on its way, whatever its owner thinks of next: it cannot be taken back.
// None is made while OpenSSL has a message of its own to send first, the answer to a KeyUpdate.
TlsStream::Flushed TlsStream::write_record(std::string_view bytes) {
    while (!bytes.empty()) {
        size_t written = 0;
        ERR_clear_error();
        const int result = SSL_write_ex(ssl_, bytes.data(), bytes.size(), &written);
        if (result != 1) {
            if (fail(result) != Received::State::WouldBlock)
                return Flushed::Broken;
            if (!SSL_in_init(ssl_))
                unsent_ = static_cast<uint32_t>(bytes.size());
            return Flushed::Full;
        }
        bytes.remove_prefix(written);
    }
    unsent_ = 0;
    return Flushed::All;
}

TlsStream::Flushed TlsStream::flush() {
    if (state_ == State::Broken)
        return Flushed::Broken;
    // OpenSSL has the record: of what it is given again only the length counts
    // (SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER).
    return write_record({scratch().data(), unsent_});
}

bool TlsStream::close() {
    is_closing_ = true;
    if (is_shaking() || flush() == Flushed::Broken)
        return true;
    if (has_unsent())
        return false;
    ERR_clear_error();
    const int result = SSL_shutdown(ssl_);
    return result >= 0 || SSL_get_error(ssl_, result) != SSL_ERROR_WANT_WRITE;
}

} // namespace fanhorn
