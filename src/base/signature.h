// SPDX-License-Identifier: Apache-2.0
// Checking signatures and authentication codes, by the names that RFC 7518 section 3.1 and RFC 8037
// give them. Keys are constant: any thread may use one at any time.
#pragma once

#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct evp_pkey_st; // OpenSSL's, which only signature.cc knows

namespace fanhorn {

enum class SignatureAlgorithm : uint8_t { HS256, HS384, HS512, RS256, PS256, ES256, ES384, EdDSA };
inline constexpr size_t kSignatureAlgorithms = 8;

std::string_view algorithm_name(SignatureAlgorithm algorithm);
// Exactly that name; nothing for `none` and for what we do not have.
std::optional<SignatureAlgorithm> algorithm_named(std::string_view name);

class VerificationKey {
  public:
    enum class Kind : uint8_t { Secret, Rsa, P256, P384, Ed25519 };

    // At least 32 bytes; a PEM text is refused, since public keys are no secrets.
    static Result<VerificationKey> secret(std::string bytes);
    // Of 2048 to 8192 bits; the numbers as big-endian bytes.
    static Result<VerificationKey> rsa(std::string_view modulus, std::string_view exponent);
    // A point of P256 or P384, each coordinate with all its bytes.
    static Result<VerificationKey> ec(Kind curve, std::string_view x, std::string_view y);
    static Result<VerificationKey> ed25519(std::string_view bytes);

    VerificationKey(VerificationKey&&) = default;
    VerificationKey& operator=(VerificationKey&&) = default;
    ~VerificationKey();

    Kind kind() const { return kind_; }
    // Whether it is a key of that algorithm: each kind has its own, so that a public key is never
    // taken for a secret. A secret must be as long as the digest (RFC 7518 section 3.2).
    bool fits(SignatureAlgorithm algorithm) const;
    // False as well where the algorithm does not fit.
    bool verifies(SignatureAlgorithm algorithm, std::string_view message,
                  std::string_view signature) const;

  private:
    friend Result<std::vector<VerificationKey>> read_pem_keys(std::string_view text);
    struct Free {
        void operator()(evp_pkey_st* key) const;
    };
    using Handle = std::unique_ptr<evp_pkey_st, Free>;

    VerificationKey(Kind kind, std::string secret) : kind_(kind), secret_(std::move(secret)) {}
    VerificationKey(Kind kind, Handle key) : kind_(kind), key_(std::move(key)) {}
    static Result<VerificationKey> checked(Handle key);
    static Result<VerificationKey> from_pem_block(std::string_view block);
    bool verifies_code(SignatureAlgorithm algorithm, std::string_view message,
                       std::string_view code) const;
    bool verifies_signature(SignatureAlgorithm algorithm, std::string_view message,
                            std::string_view signature) const;

    Kind kind_;
    std::string secret_; // Secret
    Handle key_;         // the others
};

// The PUBLIC KEY blocks (RFC 7468 section 13) of a PEM text, at least one. Anything else between
// BEGIN and END lines is an error that names it: private keys above all.
Result<std::vector<VerificationKey>> read_pem_keys(std::string_view text);

} // namespace fanhorn
