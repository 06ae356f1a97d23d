// SPDX-License-Identifier: Apache-2.0
#include "base/digest.h"

#include "base/check.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace fanhorn {
namespace {

template <size_t size>
std::array<uint8_t, size> digest(const EVP_MD* kind, std::string_view bytes) {
    std::array<uint8_t, size> out{};
    unsigned int written = 0;
    CHECK(EVP_Digest(bytes.data(), bytes.size(), out.data(), &written, kind, nullptr) == 1);
    CHECK(written == size);
    return out;
}

// Fetched once for the life of the process: an implicit fetch costs more than a short digest.
const EVP_MD* fetch(const char* name) {
    const EVP_MD* kind = EVP_MD_fetch(nullptr, name, nullptr);
    CHECK(kind);
    return kind;
}

} // namespace

std::array<uint8_t, 20> sha1(std::string_view bytes) {
    static const EVP_MD* const kKind = fetch("SHA1");
    return digest<20>(kKind, bytes);
}

std::array<uint8_t, 32> sha256(std::string_view bytes) {
    static const EVP_MD* const kKind = fetch("SHA256");
    return digest<32>(kKind, bytes);
}

std::array<uint8_t, 32> hmac_sha256(std::string_view key, std::string_view bytes) {
    std::array<uint8_t, 32> out{};
    unsigned int written = 0;
    CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
               reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), out.data(),
               &written));
    CHECK(written == out.size());
    return out;
}

void load_digests() {
    sha1({});
    sha256({});
}

bool equal_in_constant_time(std::string_view left, std::string_view right) {
    return left.size() == right.size() &&
           CRYPTO_memcmp(left.data(), right.data(), left.size()) == 0;
}

std::string_view crypto_library_version() {
    return OpenSSL_version(OPENSSL_VERSION);
}

} // namespace fanhorn
