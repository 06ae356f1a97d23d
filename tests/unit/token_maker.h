// SPDX-License-Identifier: Apache-2.0
// Makes keys and signs tokens with them, as an application does: the other side of what is tested.
// Include before test.h.
#pragma once

#include "base/check.h"
#include "base/text.h"

#include <memory>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <string>
#include <string_view>

namespace fanhorn {

inline std::string base64url(std::string_view bytes) {
    std::string text = base64_encode(bytes);
    for (char& c : text)
        c = c == '+' ? '-' : c == '/' ? '_' : c;
    return text.substr(0, text.find('='));
}

inline std::string hmac(const EVP_MD* digest, std::string_view key, std::string_view text) {
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    CHECK(HMAC(digest, key.data(), static_cast<int>(key.size()),
               reinterpret_cast<const unsigned char*>(text.data()), text.size(), out, &size));
    return std::string(reinterpret_cast<char*>(out), size);
}

// A key pair of one of the kinds, new for each run.
class SigningKey {
  public:
    static SigningKey rsa(unsigned bits = 2048) {
        return SigningKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", size_t{bits}));
    }
    static SigningKey ec(const char* curve) {
        return SigningKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", curve));
    }
    static SigningKey ed25519() {
        return SigningKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
    }

    std::string public_pem() const {
        BIO* bio = BIO_new(BIO_s_mem());
        CHECK(PEM_write_bio_PUBKEY(bio, key_.get()) == 1);
        return taken(bio);
    }
    std::string private_pem() const {
        BIO* bio = BIO_new(BIO_s_mem());
        CHECK(PEM_write_bio_PrivateKey(bio, key_.get(), nullptr, nullptr, 0, nullptr, nullptr));
        return taken(bio);
    }
    // A number of the public key, as a JWK has it; `size` pads with zeros in front.
    std::string number(const char* name, size_t size = 0) const {
        BIGNUM* number = nullptr;
        CHECK(EVP_PKEY_get_bn_param(key_.get(), name, &number) == 1);
        std::string bytes(size ? size : static_cast<size_t>(BN_num_bytes(number)), '\0');
        BN_bn2binpad(number, reinterpret_cast<unsigned char*>(bytes.data()),
                     static_cast<int>(bytes.size()));
        BN_free(number);
        return base64url(bytes);
    }
    // Of an Ed25519 key.
    std::string raw() const {
        unsigned char bytes[32];
        size_t size = sizeof bytes;
        CHECK(EVP_PKEY_get_raw_public_key(key_.get(), bytes, &size) == 1);
        return base64url({reinterpret_cast<char*>(bytes), size});
    }

    // As the algorithm's name in RFC 7518 says.
    std::string sign(std::string_view algorithm, std::string_view text) const {
        EVP_MD_CTX* context = EVP_MD_CTX_new();
        EVP_PKEY_CTX* key_context = nullptr;
        const char* digest = algorithm == "EdDSA"   ? nullptr
                             : algorithm == "ES384" ? "SHA384"
                                                    : "SHA256";
        CHECK(EVP_DigestSignInit_ex(context, &key_context, digest, nullptr, nullptr, key_.get(),
                                    nullptr) == 1);
        if (algorithm == "PS256") {
            CHECK(EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING) == 1);
            CHECK(EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, RSA_PSS_SALTLEN_DIGEST) == 1);
        }
        size_t size = 1024;
        std::string out(size, '\0');
        CHECK(EVP_DigestSign(context, reinterpret_cast<unsigned char*>(out.data()), &size,
                             reinterpret_cast<const unsigned char*>(text.data()),
                             text.size()) == 1);
        EVP_MD_CTX_free(context);
        out.resize(size);
        return algorithm.starts_with("ES") ? side_by_side(out, algorithm == "ES384" ? 48 : 32)
                                           : out;
    }

  private:
    struct Free {
        void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    };
    explicit SigningKey(EVP_PKEY* key) : key_(key) { CHECK(key); }

    static std::string taken(BIO* bio) {
        char* data = nullptr;
        const long size = BIO_get_mem_data(bio, &data);
        std::string text(data, static_cast<size_t>(size));
        BIO_free(bio);
        return text;
    }
    static std::string side_by_side(const std::string& der, int half) {
        const auto* at = reinterpret_cast<const unsigned char*>(der.data());
        ECDSA_SIG* pair = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size()));
        std::string out(static_cast<size_t>(2 * half), '\0');
        auto* to = reinterpret_cast<unsigned char*>(out.data());
        BN_bn2binpad(ECDSA_SIG_get0_r(pair), to, half);
        BN_bn2binpad(ECDSA_SIG_get0_s(pair), to + half, half);
        ECDSA_SIG_free(pair);
        return out;
    }

    std::unique_ptr<EVP_PKEY, Free> key_;
};

inline std::string signed_part(std::string_view header, std::string_view claims) {
    return base64url(header) + "." + base64url(claims);
}

inline std::string secret_token(std::string_view secret, std::string_view claims,
                                std::string_view header = R"({"alg":"HS256"})") {
    const std::string text = signed_part(header, claims);
    return text + "." + base64url(hmac(EVP_sha256(), secret, text));
}

inline std::string key_token(const SigningKey& key, const std::string& algorithm,
                             std::string_view claims, std::string_view more = "") {
    const std::string header = "{\"alg\":\"" + algorithm + "\"" + std::string(more) + "}";
    const std::string text = signed_part(header, claims);
    return text + "." + base64url(key.sign(algorithm, text));
}

} // namespace fanhorn
