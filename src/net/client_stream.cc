// SPDX-License-Identifier: Apache-2.0
#include "net/client_stream.h"

#include "base/check.h"
#include "net/client_tls.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <utility>

namespace fanhorn {

namespace {

constexpr size_t kReadBytes = 16 << 10;
constexpr int kReadsATurn = 16;

Millis now() {
    return monotonic_micros() / 1000;
}

std::string reason_of(int error) {
    return error ? std::strerror(error) : "";
}

// Of the call before, which failed; "" where the connection was cut.
std::string tls_reason() {
    const unsigned long code = ERR_peek_error();
    const char* reason = code ? ERR_reason_error_string(code) : nullptr;
    ERR_clear_error();
    return reason ? reason : "";
}

bool is_waiting(const SSL* ssl, int result) {
    const int error = SSL_get_error(ssl, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

std::string handshake_reason(const SSL* ssl) {
    const long verdict = SSL_get_verify_result(ssl);
    std::string reason = tls_reason();
    if (verdict != X509_V_OK)
        return std::string("its certificate is not trusted: ") +
               X509_verify_cert_error_string(verdict);
    return "no TLS: " + (reason.empty() ? "the connection was cut" : reason);
}

} // namespace

ClientStream::ClientStream(Loop& loop, User& user)
    : loop_(loop), user_(user), timer_(loop, [this] { on_time(); }) {}

ClientStream::~ClientStream() {
    disconnect();
}

void ClientStream::open(const Destination& destination, size_t first, Millis timeout) {
    CHECK(state_ == State::Closed && !destination.peers.empty());
    destination_ = &destination;
    left_ = destination.peers.size();
    peer_ = first % left_;
    until_ = now() + timeout;
    connect();
}

// To the next address that does not fail at once; on_time() tells that none is left.
void ClientStream::connect() {
    state_ = State::Connecting;
    while (left_ > 0) {
        const Millis share = (until_ - now()) / static_cast<Millis>(left_);
        --left_;
        socket_ = start_connecting(destination_->peers[peer_]);
        if (socket_ && watch(loop_, socket_.get()))
            return timer_.start(std::max<Millis>(share, 1));
        note(End::Unreachable, reason_of(errno));
    }
    timer_.start(0);
}

void ClientStream::note(End why, std::string reason) {
    disconnect();
    why_ = why;
    reason_ = std::move(reason);
    peer_ = (peer_ + 1) % destination_->peers.size();
}

void ClientStream::on_time() {
    switch (state_) {
    case State::Closed:
        return;
    case State::Connecting:
        if (!socket_)
            return end(why_, std::exchange(reason_, {}));
        note(End::TimedOut, "no answer in time");
        return connect();
    case State::Shaking:
        note(End::TimedOut, "no handshake in time");
        return connect();
    case State::Open: // there is more; or sending failed: what came before that is read first
        const uint32_t connection = closed_;
        receive_some();
        if (connection == closed_ && is_broken_)
            end(End::Broken, std::exchange(reason_, {}));
    }
}

void ClientStream::on_ready(uint8_t what) {
    if (state_ == State::Connecting)
        return on_connected();
    if (state_ == State::Shaking)
        return shake();
    const uint32_t connection = closed_;
    if (unsent() > 0 && (ssl_ || (what & kWritable))) {
        flush();
        if (unsent() == 0)
            user_.on_sent();
    }
    if (connection == closed_ && (ssl_ || (what & (kReadable | kClosed))))
        receive_some();
}

void ClientStream::on_connected() {
    const int error = connect_error(socket_.get());
    if (error == EINPROGRESS)
        return;
    if (error != 0) {
        note(End::Unreachable, reason_of(error));
        return connect();
    }
    if (!destination_->tls)
        return on_opened();
    ssl_ = destination_->tls->open(socket_.get(), destination_->host);
    state_ = State::Shaking;
    shake();
}

void ClientStream::shake() {
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_);
    if (result == 1)
        return on_opened();
    if (!is_waiting(ssl_, result))
        end(End::Handshake, handshake_reason(ssl_));
}

void ClientStream::on_opened() {
    const uint32_t connection = closed_;
    timer_.cancel();
    state_ = State::Open;
    user_.on_open();
    if (connection == closed_)
        receive_some(); // the edge was perhaps for that as well
}

void ClientStream::send(std::string_view bytes) {
    CHECK(state_ == State::Open);
    if (is_broken_)
        return;
    if (unsent() == 0)
        bytes.remove_prefix(write_some(bytes));
    unsent_.append(bytes);
}

void ClientStream::flush() {
    sent_ += write_some(std::string_view(unsent_).substr(sent_));
    if (sent_ == unsent_.size())
        unsent_.clear();
    else if (sent_ > unsent_.size() / 2)
        unsent_.erase(0, sent_);
    else
        return;
    sent_ = 0;
}

// How many the kernel took. OpenSSL, which keeps what it has begun, wants the same bytes again.
size_t ClientStream::write_some(std::string_view bytes) {
    size_t taken = 0;
    while (taken < bytes.size() && !is_broken_) {
        const ssize_t sent =
            ssl_ ? write_tls(bytes.substr(taken)) : write_plain(bytes.substr(taken));
        if (sent == 0)
            break;
        if (sent > 0)
            taken += static_cast<size_t>(sent);
        else
            break_off();
    }
    return taken;
}

ssize_t ClientStream::write_plain(std::string_view bytes) {
    const iovec piece = {const_cast<char*>(bytes.data()), bytes.size()};
    const ssize_t sent = send_pieces(socket_.get(), &piece, 1);
    if (sent < 0)
        reason_ = reason_of(errno);
    return sent;
}

ssize_t ClientStream::write_tls(std::string_view bytes) {
    size_t written = 0;
    ERR_clear_error();
    const int result = SSL_write_ex(ssl_, bytes.data(), bytes.size(), &written);
    if (result == 1)
        return static_cast<ssize_t>(written);
    if (is_waiting(ssl_, result))
        return 0;
    reason_ = tls_reason();
    return -1;
}

void ClientStream::break_off() {
    is_broken_ = true;
    timer_.start(0);
}

// A peer that always has more goes on when others have had their turn.
void ClientStream::receive_some() {
    const uint32_t connection = closed_;
    std::array<char, kReadBytes> buffer;
    for (int reads = 0; connection == closed_; ++reads) {
        if (reads >= kReadsATurn && !is_broken_)
            return timer_.start(0);
        const Received got = ssl_ ? receive_tls(buffer) : receive(socket_.get(), buffer);
        switch (got.state) {
        case Received::State::Bytes:
            user_.on_bytes({buffer.data(), got.size});
            break;
        case Received::State::WouldBlock:
            return;
        case Received::State::End:
            return is_broken_ ? end(End::Broken, std::exchange(reason_, {})) : end(End::Closed, "");
        case Received::State::Broken:
            return end(End::Broken, ssl_ ? tls_reason() : reason_of(errno));
        }
    }
}

Received ClientStream::receive_tls(std::span<char> buffer) {
    size_t got = 0;
    ERR_clear_error();
    const int result = SSL_read_ex(ssl_, buffer.data(), buffer.size(), &got);
    if (result == 1)
        return {Received::State::Bytes, got};
    if (is_waiting(ssl_, result))
        return {Received::State::WouldBlock};
    return {SSL_get_error(ssl_, result) == SSL_ERROR_ZERO_RETURN ? Received::State::End
                                                                 : Received::State::Broken};
}

void ClientStream::end(End why, const std::string& reason) {
    close();
    user_.on_end(why, reason);
}

void ClientStream::close() {
    if (state_ == State::Open && ssl_) {
        ERR_clear_error();
        SSL_shutdown(ssl_); // as far as the kernel takes it
    }
    disconnect();
    state_ = State::Closed;
    ++closed_;
}

void ClientStream::disconnect() {
    timer_.cancel();
    unwatch();
    SSL_free(ssl_);
    ssl_ = nullptr;
    socket_.reset();
    unsent_ = {};
    sent_ = 0;
    is_broken_ = false;
}

} // namespace fanhorn
