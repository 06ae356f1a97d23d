// SPDX-License-Identifier: Apache-2.0
#include "base/signature.h"

#include <array>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

namespace fanhorn {
namespace {

constexpr size_t kMinSecretBytes = 32; // RFC 7518 section 3.2, for HS256
constexpr int kMinRsaBits = 2048;      // RFC 7518 section 3.3
constexpr int kMaxRsaBits = 8192;      // beyond, one check takes milliseconds
constexpr std::string_view kPemBegin = "-----BEGIN ";

struct Facts {
    std::string_view name;
    VerificationKey::Kind kind;
    const char* digest;  // null: the algorithm has its own
    size_t digest_bytes; // of a code
};

constexpr std::array<Facts, kSignatureAlgorithms> kFacts = {{
    {"HS256", VerificationKey::Kind::Secret, "SHA256", 32},
    {"HS384", VerificationKey::Kind::Secret, "SHA384", 48},
    {"HS512", VerificationKey::Kind::Secret, "SHA512", 64},
    {"RS256", VerificationKey::Kind::Rsa, "SHA256", 32},
    {"PS256", VerificationKey::Kind::Rsa, "SHA256", 32},
    {"ES256", VerificationKey::Kind::P256, "SHA256", 32},
    {"ES384", VerificationKey::Kind::P384, "SHA384", 48},
    {"EdDSA", VerificationKey::Kind::Ed25519, nullptr, 0},
}};

const Facts& facts_of(SignatureAlgorithm algorithm) {
    return kFacts[static_cast<size_t>(algorithm)];
}

template <auto Function> struct Freeing {
    template <typename T> void operator()(T* object) const { Function(object); }
};
template <typename T, auto Function> using Owned = std::unique_ptr<T, Freeing<Function>>;
using Number = Owned<BIGNUM, BN_free>;

// The library notes each failure in a list of the thread's: nobody reads it, so it is emptied.
struct ForgetErrors {
    ~ForgetErrors() { ERR_clear_error(); }
};

const unsigned char* bytes_of(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

Number number_of(std::string_view bytes) {
    return Number(BN_bin2bn(bytes_of(bytes), static_cast<int>(bytes.size()), nullptr));
}

EVP_PKEY* key_from(const char* type, OSSL_PARAM_BLD* builder) {
    Owned<OSSL_PARAM, OSSL_PARAM_free> params(OSSL_PARAM_BLD_to_param(builder));
    Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free> context(
        EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
    EVP_PKEY* key = nullptr;
    if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1)
        return nullptr;
    return key;
}

std::optional<VerificationKey::Kind> kind_of(const EVP_PKEY* key) {
    using Kind = VerificationKey::Kind;
    if (EVP_PKEY_is_a(key, "RSA"))
        return Kind::Rsa;
    if (EVP_PKEY_is_a(key, "ED25519"))
        return Kind::Ed25519;
    std::array<char, 32> group{};
    if (!EVP_PKEY_is_a(key, "EC") ||
        EVP_PKEY_get_group_name(key, group.data(), group.size(), nullptr) != 1)
        return std::nullopt;
    const std::string_view name = group.data();
    return name == SN_X9_62_prime256v1 ? std::optional(Kind::P256)
           : name == SN_secp384r1      ? std::optional(Kind::P384)
                                       : std::nullopt;
}

// RFC 7518 section 3.4 has r and s side by side, each with all its bytes; the library wants DER.
std::string der_signature(std::string_view signature) {
    Owned<ECDSA_SIG, ECDSA_SIG_free> pair(ECDSA_SIG_new());
    const size_t half = signature.size() / 2;
    Number r = number_of(signature.substr(0, half));
    Number s = number_of(signature.substr(half));
    if (!pair || !r || !s || ECDSA_SIG_set0(pair.get(), r.get(), s.get()) != 1)
        return {};
    static_cast<void>(r.release()); // the pair's
    static_cast<void>(s.release());
    unsigned char* der = nullptr;
    const int size = i2d_ECDSA_SIG(pair.get(), &der);
    if (size <= 0)
        return {};
    std::string out(reinterpret_cast<char*>(der), static_cast<size_t>(size));
    OPENSSL_free(der);
    return out;
}

// RFC 7518 section 3.5: MGF1 over the same digest, the salt as long as that.
bool set_pss(EVP_PKEY_CTX* context) {
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
}

} // namespace

std::string_view algorithm_name(SignatureAlgorithm algorithm) {
    return facts_of(algorithm).name;
}

std::optional<SignatureAlgorithm> algorithm_named(std::string_view name) {
    for (size_t i = 0; i < kFacts.size(); ++i)
        if (kFacts[i].name == name)
            return static_cast<SignatureAlgorithm>(i);
    return std::nullopt;
}

// ---- keys

void VerificationKey::Free::operator()(evp_pkey_st* key) const {
    EVP_PKEY_free(key);
}

VerificationKey::~VerificationKey() {
    OPENSSL_cleanse(secret_.data(), secret_.size());
}

Result<VerificationKey> VerificationKey::secret(std::string bytes) {
    if (bytes.find(kPemBegin) != bytes.npos)
        return Error{"is a PEM text; a public key belongs into a file that 'keys' names"};
    if (bytes.size() < kMinSecretBytes)
        return Error{"is shorter than 32 bytes (RFC 7518 section 3.2)"};
    return VerificationKey(Kind::Secret, std::move(bytes));
}

Result<VerificationKey> VerificationKey::rsa(std::string_view modulus, std::string_view exponent) {
    const ForgetErrors forget;
    if (modulus.size() > kMaxRsaBits / 8 || exponent.empty() || exponent.size() > 8)
        return Error{"is not an RSA key of 2048 to 8192 bits"};
    Number n = number_of(modulus);
    Number e = number_of(exponent);
    Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free> builder(OSSL_PARAM_BLD_new());
    if (!n || !e || !builder ||
        OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
        OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1)
        return Error{"is not an RSA key"};
    if (BN_is_one(e.get()) || !BN_is_odd(e.get()))
        return Error{"has an RSA exponent that makes no key"};
    return checked(Handle(key_from("RSA", builder.get())));
}

Result<VerificationKey> VerificationKey::ec(Kind curve, std::string_view x, std::string_view y) {
    const ForgetErrors forget;
    const size_t size = curve == Kind::P384 ? 48 : 32;
    if (x.size() != size || y.size() != size)
        return Error{"has coordinates of another length than its curve's"};
    const char* group = curve == Kind::P384 ? SN_secp384r1 : SN_X9_62_prime256v1;
    const std::string point = std::string("\x04").append(x).append(y); // SEC 1 section 2.3.3
    Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free> builder(OSSL_PARAM_BLD_new());
    if (!builder ||
        OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, 0) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                         point.size()) != 1)
        return Error{"is not an EC key"};
    return checked(Handle(key_from("EC", builder.get())));
}

Result<VerificationKey> VerificationKey::ed25519(std::string_view bytes) {
    const ForgetErrors forget;
    return checked(Handle(EVP_PKEY_new_raw_public_key_ex(nullptr, "ED25519", nullptr,
                                                         bytes_of(bytes), bytes.size())));
}

Result<VerificationKey> VerificationKey::checked(Handle key) {
    if (!key)
        return Error{"is not a public key"};
    const auto kind = kind_of(key.get());
    if (!kind)
        return Error{"is not RSA, EC on P-256 or P-384, or Ed25519"};
    const int bits = EVP_PKEY_get_bits(key.get());
    if (*kind == Kind::Rsa && (bits < kMinRsaBits || bits > kMaxRsaBits))
        return Error{"has " + std::to_string(bits) + " bits; RSA keys have 2048 to 8192"};
    if (*kind == Kind::P256 || *kind == Kind::P384) { // whether the point is on its curve
        Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free> context(
            EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
        if (!context || EVP_PKEY_public_check(context.get()) != 1)
            return Error{"is not a point of its curve"};
    }
    return VerificationKey(*kind, std::move(key));
}

Result<VerificationKey> VerificationKey::from_pem_block(std::string_view block) {
    const ForgetErrors forget;
    Owned<BIO, BIO_free_all> bio(BIO_new_mem_buf(block.data(), static_cast<int>(block.size())));
    // Not asked for a passphrase, whatever the block says.
    const auto no_passphrase = [](char*, int, int, void*) { return -1; };
    return checked(
        Handle(bio ? PEM_read_bio_PUBKEY(bio.get(), nullptr, no_passphrase, nullptr) : nullptr));
}

Result<std::vector<VerificationKey>> read_pem_keys(std::string_view text) {
    constexpr std::string_view kDashes = "-----";
    std::vector<VerificationKey> keys;
    for (size_t from; (from = text.find(kPemBegin)) != text.npos;) {
        text.remove_prefix(from);
        const std::string_view rest = text.substr(kPemBegin.size());
        const std::string_view label = rest.substr(0, rest.find(kDashes));
        if (label != "PUBLIC KEY")
            return Error{label.find("PRIVATE") != label.npos
                             ? "holds a private key; what checks tokens needs the public one only"
                             : "holds something else than PUBLIC KEY blocks"};
        const std::string end = "-----END PUBLIC KEY-----";
        const size_t size = text.find(end);
        if (size == text.npos)
            return Error{"is cut off: a PUBLIC KEY block has no end"};
        auto key = VerificationKey::from_pem_block(text.substr(0, size + end.size()));
        if (!key)
            return Error{"holds a block that " + key.error()};
        keys.push_back(std::move(*key));
        text.remove_prefix(size + end.size());
    }
    if (keys.empty())
        return Error{"holds no PUBLIC KEY block"};
    return keys;
}

// ---- checking

bool VerificationKey::fits(SignatureAlgorithm algorithm) const {
    const Facts& facts = facts_of(algorithm);
    return facts.kind == kind_ && (kind_ != Kind::Secret || secret_.size() >= facts.digest_bytes);
}

bool VerificationKey::verifies(SignatureAlgorithm algorithm, std::string_view message,
                               std::string_view signature) const {
    if (!fits(algorithm))
        return false;
    const ForgetErrors forget;
    return kind_ == Kind::Secret ? verifies_code(algorithm, message, signature)
                                 : verifies_signature(algorithm, message, signature);
}

bool VerificationKey::verifies_code(SignatureAlgorithm algorithm, std::string_view message,
                                    std::string_view code) const {
    const EVP_MD* digest = algorithm == SignatureAlgorithm::HS256   ? EVP_sha256()
                           : algorithm == SignatureAlgorithm::HS384 ? EVP_sha384()
                                                                    : EVP_sha512();
    std::array<unsigned char, EVP_MAX_MD_SIZE> own{};
    unsigned size = 0;
    if (!HMAC(digest, secret_.data(), static_cast<int>(secret_.size()), bytes_of(message),
              message.size(), own.data(), &size))
        return false;
    return code.size() == size && CRYPTO_memcmp(own.data(), code.data(), size) == 0;
}

bool VerificationKey::verifies_signature(SignatureAlgorithm algorithm, std::string_view message,
                                         std::string_view signature) const {
    const bool is_ec = kind_ == Kind::P256 || kind_ == Kind::P384;
    std::string der;
    if (is_ec) {
        if (signature.size() != (kind_ == Kind::P384 ? 96u : 64u))
            return false;
        der = der_signature(signature);
        signature = der;
    }
    Owned<EVP_MD_CTX, EVP_MD_CTX_free> context(EVP_MD_CTX_new());
    EVP_PKEY_CTX* key_context = nullptr; // the context's
    if (!context || EVP_DigestVerifyInit_ex(context.get(), &key_context, facts_of(algorithm).digest,
                                            nullptr, nullptr, key_.get(), nullptr) != 1)
        return false;
    if (algorithm == SignatureAlgorithm::PS256 && !set_pss(key_context))
        return false;
    return EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(message),
                            message.size()) == 1;
}

} // namespace fanhorn
