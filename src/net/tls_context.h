// SPDX-License-Identifier: Apache-2.0
// What TLS connections of a server have in common: certificates, keys, and the rules of handshakes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

struct evp_cipher_st;
struct ssl_ctx_st;
struct ssl_st;

namespace fanhorn {

// All texts are the contents of files.
struct TlsSettings {
    struct Pair {
        std::string certificate; // PEM: the server's own first, then its chain
        std::string key;         // PEM, not encrypted
    };
    std::string name;        // tickets of one are not taken by another
    std::vector<Pair> pairs; // the first is for clients that ask for no name of the others
    bool has_tls12 = true, has_tls13 = true;
    std::vector<std::string> ciphers, groups; // by OpenSSL's names; empty: ours
    // 48 bytes (name, AES-128 key, HMAC key) or 80 (name, HMAC key, AES-256 key), as nginx has
    // them. The first encrypts, all decrypt. Empty: one that the process has made for itself.
    std::vector<std::string> ticket_keys;
    std::string client_ca; // PEM; clients must have a certificate of these; empty: need none
};

// What is wrong, and where: the key of the configuration and its item, counted from 0. The text
// goes on behind the item.
struct TlsFault {
    const char* key = "";
    size_t item = 0;
    std::string text;
};

struct TlsCertificate {
    std::string subject;   // RFC 4514
    int64_t not_after = 0; // seconds since 1970
};

// Constant once made; shared by the workers.
class TlsContext {
  public:
    static std::variant<std::shared_ptr<const TlsContext>, TlsFault>
    make(const TlsSettings& settings);
    ~TlsContext();
    TlsContext(const TlsContext&) = delete;
    TlsContext& operator=(const TlsContext&) = delete;

    // The server's side of a connection, which must not outlive this.
    ssl_st* open(int fd, bool has_http2) const;
    // One a pair, in their order.
    const std::vector<TlsCertificate>& certificates() const { return certificates_; }

  private:
    struct TicketKey;
    class Maker;
    struct Callbacks;
    TlsContext();

    // The context for that name, as SNI has it; null for the default.
    ssl_ctx_st* find(std::string_view host) const;

    std::vector<ssl_ctx_st*> contexts_;
    std::map<std::string, ssl_ctx_st*, std::less<>> hosts_; // lower case; "*.example.com" as it is
    std::vector<TicketKey> ticket_keys_;
    std::vector<TlsCertificate> certificates_;
};

} // namespace fanhorn
