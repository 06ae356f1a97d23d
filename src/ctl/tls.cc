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
#include <unistd.h>

namespace fanhorn::ctl {

namespace {

constexpr int kSilenceS = 10;
constexpr size_t kMostBytes = 1 << 20; // of one call; OpenSSL counts in int

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

// Whether a call that did nothing may be made again.
bool is_later(const SSL* ssl, ssize_t result) {
    if (!ssl)
        return result < 0 && (errno == EAGAIN || errno == EINTR);
    const int error = SSL_get_error(ssl, static_cast<int>(result));
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

// "" for an end in order: with TLS, somebody on the way may have made any other.
std::string fault_text(const SSL* ssl, ssize_t result) {
    if (!ssl)
        return result == 0 ? "" : std::strerror(errno);
    const int error = SSL_get_error(ssl, static_cast<int>(result));
    if (error == SSL_ERROR_ZERO_RETURN)
        return {};
    return error == SSL_ERROR_SYSCALL && errno ? std::strerror(errno) : openssl_reason();
}

// Of the process, with the system's store.
SSL_CTX* context() {
    static SSL_CTX* const kContext = [] {
        SSL_CTX* made = SSL_CTX_new(TLS_client_method());
        CHECK(made);
        SSL_CTX_set_min_proto_version(made, TLS1_2_VERSION);
        SSL_CTX_set_default_verify_paths(made);
        SSL_CTX_set_verify(made, SSL_VERIFY_PEER, nullptr);
        SSL_CTX_set_mode(made, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
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

// What cannot be read is told by the system's reason, which OpenSSL does not have.
std::string file_fault(const std::string& path) {
    const bool is_there = access(path.c_str(), R_OK) == 0;
    return path + ": " + (is_there ? openssl_reason() : std::strerror(errno));
}

Result<void> show(SSL* ssl, const ClientCertificate& own) {
    if (own.certificate.empty())
        return {};
    // Nobody is asked for a password: we may be without a terminal.
    SSL_set_default_passwd_cb(ssl, [](char*, int, int, void*) { return 0; });
    if (SSL_use_certificate_chain_file(ssl, own.certificate.c_str()) != 1)
        return Error{"the certificate in " + file_fault(own.certificate)};
    if (SSL_use_PrivateKey_file(ssl, own.key.c_str(), SSL_FILETYPE_PEM) != 1)
        return Error{"the key in " + file_fault(own.key)};
    return {};
}

} // namespace

Result<void> check_certificate(const ClientCertificate& own) {
    if (own.certificate.empty())
        return {};
    ERR_clear_error();
    SSL* ssl = SSL_new(context());
    CHECK(ssl);
    auto shown = show(ssl, own);
    SSL_free(ssl);
    return shown;
}

ServerStream::~ServerStream() {
    SSL_free(ssl_);
}

Result<std::unique_ptr<ServerStream>> ServerStream::open(Result<Socket> socket,
                                                         const Endpoint& server,
                                                         std::string_view request,
                                                         bool& is_untrusted) {
    if (!socket)
        return Error{socket.error()};
    configure(socket->fd());
    std::unique_ptr<ServerStream> stream(new ServerStream(std::move(*socket)));
    const http::Url& url = server.url;
    if (url.is_secure)
        if (const auto secured = stream->start_tls(server, is_untrusted); !secured)
            return Error{url.authority + ": " + secured.error()};
    if (!stream->send_all(request))
        return Error{url.authority + ": the request cannot be sent"};
    fcntl(stream->fd(), F_SETFL, fcntl(stream->fd(), F_GETFL) | O_NONBLOCK);
    return stream;
}

Result<void> ServerStream::start_tls(const Endpoint& server, bool& is_untrusted) {
    ERR_clear_error();
    ssl_ = SSL_new(context());
    CHECK(ssl_);
    if (!expect_host(ssl_, server.url.host) || SSL_set_fd(ssl_, fd()) != 1)
        return Error{openssl_reason()};
    if (auto shown = show(ssl_, server.own); !shown)
        return shown;
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
        const auto sent = send(bytes);
        if (!sent || *sent == 0)
            return false;
        bytes.remove_prefix(*sent);
    }
    return true;
}

Result<size_t> ServerStream::send(std::string_view bytes) {
    ERR_clear_error();
    bytes = bytes.substr(0, kMostBytes);
    const ssize_t sent = ssl_ ? SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                              : ::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0)
        return static_cast<size_t>(sent);
    if (is_later(ssl_, sent))
        return size_t{0};
    return Error{"cannot send: " + fault_text(ssl_, sent)};
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
    is_over = !is_later(ssl_, got);
    if (is_over)
        failure_ = fault_text(ssl_, got);
    return {};
}

} // namespace fanhorn::ctl
