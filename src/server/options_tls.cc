// SPDX-License-Identifier: Apache-2.0
// The rows of [tls NAME].
#include "server/config.h"
#include "server/options_rows.h"

namespace fanhorn {

namespace {

constexpr Row kTlsRows[] = {
    {.name = "certificate",
     .type = Type::Texts,
     .binding = kField<&TlsSection::certificates>,
     .min = 1,
     .max = 1000,
     .check = check_path,
     .meta = "Ar /path",
     .documentation =
         "A file with the server's certificate in PEM, and behind it those that lead to the "
         "authority that browsers know.\n"
         "More of them, each with its key: a client is shown the one whose DNS names have the "
         "host that it asks for, and the first when none has.\n"
         "Two with the same names may differ in the kind of key, RSA and EC."},
    {.name = "key",
     .type = Type::Texts,
     .binding = kField<&TlsSection::keys>,
     .min = 1,
     .max = 1000,
     .check = check_path,
     .meta = "Ar /path",
     .documentation =
         "The file with the private key of each certificate, in the same order; in PEM, without a "
         "password.\n"
         "The daemon's own user must be able to read it, at each reload too: with systemd, "
         "LoadCredential=tls-key:/path and ${CREDENTIALS_DIRECTORY}/tls-key see to that.\n"
         "EC keys cost a fraction of what RSA keys cost in each handshake."},
    {.name = "protocols",
     .type = Type::Flags,
     .binding = kField<&TlsSection::protocols>,
     .preset = "TLSv1.2, TLSv1.3",
     .min = 1,
     .choices = "TLSv1.2 TLSv1.3",
     .documentation = "The versions that are spoken."},
    {.name = "ciphers",
     .type = Type::Texts,
     .binding = kField<&TlsSection::ciphers>,
     .preset = "",
     .max = 100,
     .meta = "Ar name",
     .documentation =
         "Ciphers in the order of preference, by OpenSSL's names: those of TLS 1.2 and the suites "
         "of TLS 1.3, TLS_AES_128_GCM_SHA256 and so on.\n"
         "Empty, and for the version of which none is named: those with forward secrecy and "
         "authentication, of which the client chooses."},
    {.name = "groups",
     .type = Type::Texts,
     .binding = kField<&TlsSection::groups>,
     .preset = "",
     .max = 32,
     .meta = "Ar name",
     .documentation = "Groups for the key exchange in the order of preference, as X25519 or P-256; "
                      "empty: OpenSSL's.\n"
                      "X25519 alone saves memory where OpenSSL would also offer a post-quantum "
                      "one."},
    {.name = "ticket_key",
     .type = Type::Texts,
     .binding = kField<&TlsSection::ticket_keys>,
     .preset = "",
     .max = 16,
     .check = check_path,
     .meta = "Ar /path",
     .documentation =
         "Files of 80 or 48 random bytes, as nginx has them, with which clients that come back "
         "save most of the handshake, on each machine that has the same files and across "
         "restarts.\n"
         "The first encrypts tickets, all decrypt: put a new one before the old ones and reload.\n"
         "Empty: a key that ends with the daemon."},
    {.name = "client_ca",
     .type = Type::Text,
     .binding = kField<&TlsSection::client_ca>,
     .preset = "",
     .max = kMaxTextBytes,
     .check = check_path,
     .meta = "Ar /path",
     .documentation = "A file with the certificates, in PEM, of the authorities of which clients "
                      "must have one; who has none is not let in.\n"
                      "Empty: clients need none."},
};

} // namespace

std::span<const Row> tls_rows() {
    return kTlsRows;
}

} // namespace fanhorn
