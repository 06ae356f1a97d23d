// SPDX-License-Identifier: Apache-2.0
// What TLS connections of ours to other servers have in common: whom to trust, and who we are.
#pragma once

#include "net/tls_context.h"

#include <memory>
#include <string>
#include <variant>

namespace fanhorn {

// All texts are the contents of files, in PEM.
struct ClientTlsSettings {
    std::string authorities; // whose certificates are trusted; empty: the system's
    std::string certificate; // ours, and its chain; empty: none
    std::string key;         // of that
};

// TLS 1.2 and on. Constant once made; shared by the threads.
class ClientTls {
  public:
    // The keys of a fault are "tls_ca", "tls_certificate" and "tls_key".
    static std::variant<std::shared_ptr<const ClientTls>, TlsFault>
    make(const ClientTlsSettings& settings);
    ~ClientTls();
    ClientTls(const ClientTls&) = delete;
    ClientTls& operator=(const ClientTls&) = delete;

    // Our side of a connection, which must not outlive this. The server's certificate must be that
    // of `host`, a name, which it is also told (RFC 6066 section 3), or a literal address.
    ssl_st* open(int fd, const std::string& host) const;

  private:
    explicit ClientTls(ssl_ctx_st* context) : context_(context) {}

    ssl_ctx_st* const context_;
};

} // namespace fanhorn
