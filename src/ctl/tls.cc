// SPDX-License-Identifier: Apache-2.0
#include "ctl/tls.h"

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/time.h>

namespace fanhorn::ctl {

namespace {

constexpr int kSilenceS = 10;

template <typename Value> void set(int fd, int level, int name, Value value) {
    setsockopt(fd, level, name, &value, sizeof value);
}

// A stream may be silent for hours: that its peer is dead only these probes tell, after a minute.
void configure(int fd) {
    set(fd, SOL_SOCKET, SO_RCVTIMEO, timeval{kSilenceS, 0});
    set(fd, SOL_SOCKET, SO_SNDTIMEO, timeval{kSilenceS, 0});
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 30);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 10);
    set(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
}

std::string openssl_reason() {
    const unsigned long code = ERR_peek_last_error();
    const char* reason = code ? ERR_reason_error_string(code) : nullptr;
    return reason ? reason : "the connection ended";
}

// Of the process, with the system's store.
SSL_CTX* context() {
    static SSL_CTX* const kContext = [] {
        SSL_CTX* made = SSL_CTX_new(TLS_client_method());
        CHECK(made);
        SSL_CTX_set_min_proto_version(made, TLS1_2_VERSION);
        SSL_CTX_set_default_verify_paths(made);
        SSL_CTX_set_verify(made, SSL_VERIFY_PEER, nullptr);
        return made;
    }();
    return kContext;
}

bool is_address(const std::string& host) {
    unsigned char bytes[16];
    return inet_pton(AF_INET, host.c_str(), bytes) == 1 ||
           inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

// Names the host to the server, and to the check of its certificate. An address is never sent
// (RFC 6066 section 3).
bool expect_host(SSL* ssl, const std::string& host) {
    if (is_address(host))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str()) == 1;
    return SSL_set1_host(ssl, host.c_str()) == 1 &&
           SSL_set_tlsext_host_name(ssl, host.c_str()) == 1;
}

} // namespace

ServerStream::~ServerStream() {
    SSL_free(ssl_);
}

Result<std::unique_ptr<ServerStream>>
ServerStream::open(const http::Upstream& upstream, std::string_view request, bool& is_untrusted) {
    auto socket = connect_to(upstream.url);
    if (!socket)
        return Error{socket.error()};
    configure(socket->fd());
    std::unique_ptr<ServerStream> stream(new ServerStream(std::move(*socket)));
    if (upstream.is_secure)
        if (const auto secured = stream->start_tls(upstream, is_untrusted); !secured)
            return Error{upstream.url.authority + ": " + secured.error()};
    if (!stream->send_all(request))
        return Error{upstream.url.authority + ": the request cannot be sent"};
    fcntl(stream->fd(), F_SETFL, fcntl(stream->fd(), F_GETFL) | O_NONBLOCK);
    return stream;
}

Result<void> ServerStream::start_tls(const http::Upstream& upstream, bool& is_untrusted) {
    ERR_clear_error();
    ssl_ = SSL_new(context());
    CHECK(ssl_);
    if (!expect_host(ssl_, upstream.url.host) || SSL_set_fd(ssl_, fd()) != 1)
        return Error{openssl_reason()};
    if (SSL_connect(ssl_) == 1)
        return {};
    const long verdict = SSL_get_verify_result(ssl_);
    is_untrusted = verdict != X509_V_OK;
    if (is_untrusted)
        return Error{std::string("its certificate is not trusted: ") +
                     X509_verify_cert_error_string(verdict) +
                     "; an authority of your own goes into the system's store or $SSL_CERT_FILE"};
    return Error{"no TLS: " + openssl_reason()};
}

bool ServerStream::send_all(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = ssl_ ? SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                                  : send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
}

bool ServerStream::has_buffered() const {
    return ssl_ && SSL_pending(ssl_) > 0;
}

std::string_view ServerStream::read(bool& is_over) {
    ERR_clear_error();
    const ssize_t got =
        ssl_ ? SSL_read(ssl_, buffer_, sizeof buffer_) : recv(fd(), buffer_, sizeof buffer_, 0);
    if (got > 0)
        return {buffer_, static_cast<size_t>(got)};
    is_over = ssl_ ? SSL_get_error(ssl_, static_cast<int>(got)) != SSL_ERROR_WANT_READ
                   : got == 0 || (errno != EAGAIN && errno != EINTR);
    return {};
}

} // namespace fanhorn::ctl
