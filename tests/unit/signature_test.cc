// SPDX-License-Identifier: Apache-2.0
// The examples of RFC 7515 and RFC 8037, and what is no key.
#include "base/signature.h"
#include "base/text.h"
#include "token_maker.h"

#include "test.h"

using namespace fanhorn;
using Algorithm = SignatureAlgorithm;
using Kind = VerificationKey::Kind;

// RFC 7515 appendix A.1 to A.3 share their claims.
static const std::string kClaims =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnV"
    "lfQ";

static std::string decoded(std::string_view text) {
    return base64url_decode(text).value();
}

static void check_example(const VerificationKey& key, Algorithm algorithm,
                          const std::string& signed_text, const std::string& signature) {
    const std::string bytes = decoded(signature);
    assert_true(key.verifies(algorithm, signed_text, bytes));
    assert_false(key.verifies(algorithm, signed_text + "x", bytes));
    assert_false(key.verifies(algorithm, signed_text, bytes.substr(1)));
    assert_false(key.verifies(algorithm, signed_text, bytes + '\0'));
    assert_false(key.verifies(algorithm, signed_text, ""));
    for (size_t i = 0; i < bytes.size(); i += 7) {
        std::string other = bytes;
        other[i] = static_cast<char>(other[i] ^ 1);
        assert_false(key.verifies(algorithm, signed_text, other));
    }
    for (size_t i = 0; i < kSignatureAlgorithms; ++i)
        if (static_cast<Algorithm>(i) != algorithm)
            assert_false(key.verifies(static_cast<Algorithm>(i), signed_text, bytes));
}

static void rfc7515_hs256(void**) {
    auto key = VerificationKey::secret(decoded("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0g"
                                               "ZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"));
    check_example(*key, Algorithm::HS256, "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + kClaims,
                  "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
}

static void rfc7515_rs256(void**) {
    auto key = VerificationKey::rsa(
        decoded("ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPM"
                "EzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-"
                "bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3"
                "qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9g"
                "b54h4FRWyuXpoQ"),
        decoded("AQAB"));
    check_example(
        *key, Algorithm::RS256, "eyJhbGciOiJSUzI1NiJ9." + kClaims,
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2"
        "Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQ"
        "BMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6Ie"
        "YI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw");
}

static void rfc7515_es256(void**) {
    auto key =
        VerificationKey::ec(Kind::P256, decoded("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
                            decoded("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"));
    check_example(
        *key, Algorithm::ES256, "eyJhbGciOiJFUzI1NiJ9." + kClaims,
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6N"
        "U1Q");
}

static void rfc8037_eddsa(void**) {
    auto key = VerificationKey::ed25519(decoded("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"));
    check_example(
        *key, Algorithm::EdDSA, "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0"
        "KAg");
}

static void each_kind_from_pem(void**) {
    struct {
        SigningKey key;
        const char* algorithms;
    } rows[] = {{SigningKey::rsa(), "RS256 PS256"},
                {SigningKey::ec("P-256"), "ES256"},
                {SigningKey::ec("P-384"), "ES384"},
                {SigningKey::ed25519(), "EdDSA"}};
    for (const auto& row : rows) {
        auto keys = read_pem_keys("comment\n" + row.key.public_pem());
        assert_int_equal(keys->size(), 1);
        for (std::string_view algorithm : split(row.algorithms, ' ')) {
            const std::string signature = row.key.sign(algorithm, "text");
            assert_row(algorithm,
                       (*keys)[0].verifies(*algorithm_named(algorithm), "text", signature));
            for (size_t i = 0; i < kSignatureAlgorithms; ++i)
                if (algorithm_name(static_cast<Algorithm>(i)) != algorithm)
                    assert_row(algorithm,
                               !(*keys)[0].verifies(static_cast<Algorithm>(i), "text", signature));
        }
    }
}

// CVE-2022-21449: a signature of zeros that holds for any text.
static void ec_signatures_of_zeros(void**) {
    const SigningKey signer = SigningKey::ec("P-256");
    auto keys = read_pem_keys(signer.public_pem());
    const std::string good = signer.sign("ES256", "text");
    const std::string zero(32, '\0');
    const std::string order = "\xff\xff\xff\xff" + std::string(4, '\0') + std::string(8, '\xff') +
                              decoded("vOb6racXnoTzucrC_GMlUQ");
    assert_int_equal(order.size(), 32);
    for (const std::string& bad :
         {zero + zero, zero + good.substr(32), good.substr(0, 32) + zero, order + order,
          good.substr(0, 32) + order, std::string(64, '\xff')})
        assert_false((*keys)[0].verifies(Algorithm::ES256, "text", bad));
    assert_true((*keys)[0].verifies(Algorithm::ES256, "text", good));
}

static void what_is_no_pem(void**) {
    const std::string pem = SigningKey::ec("P-256").public_pem();
    std::string broken = pem;
    broken[pem.size() / 2] = broken[pem.size() / 2] == 'A' ? 'B' : 'A';
    const struct {
        std::string text, error;
    } rows[] = {
        {"", "holds no PUBLIC KEY block"},
        {"not a key", "holds no PUBLIC KEY block"},
        {pem.substr(0, pem.size() / 2), "is cut off: a PUBLIC KEY block has no end"},
        {pem + SigningKey::ec("P-256").private_pem(),
         "holds a private key; what checks tokens needs the public one only"},
        {"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
         "holds something else than PUBLIC KEY blocks"},
        {"-----BEGIN ", "holds something else than PUBLIC KEY blocks"},
        {"-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----\n",
         "holds a block that is not a public key"},
        {SigningKey::rsa(1024).public_pem(),
         "holds a block that has 1024 bits; RSA keys have 2048 to 8192"},
        {SigningKey::ec("P-521").public_pem(),
         "holds a block that is not RSA, EC on P-256 or P-384, or Ed25519"},
    };
    for (const auto& row : rows)
        assert_text(read_pem_keys(row.text).error(), row.error);
    assert_false(read_pem_keys(broken).ok());
    assert_int_equal(read_pem_keys(pem + pem)->size(), 2);
}

static void what_is_no_key(void**) {
    const std::string x(32, '\x01');
    assert_text(VerificationKey::ec(Kind::P256, x, x).error(), "is not a public key");
    assert_text(VerificationKey::ec(Kind::P256, x, x + x).error(),
                "has coordinates of another length than its curve's");
    assert_false(VerificationKey::ed25519(x + x).ok());
    assert_false(VerificationKey::ed25519("").ok());
    assert_text(VerificationKey::secret(std::string(31, 'x')).error(),
                "is shorter than 32 bytes (RFC 7518 section 3.2)");
    assert_text(VerificationKey::secret(SigningKey::rsa().public_pem()).error(),
                "is a PEM text; a public key belongs into a file that 'keys' names");
    const std::string modulus = "\xc1" + std::string(255, '\x11');
    assert_true(VerificationKey::rsa(modulus, "\x03").ok());
    assert_false(VerificationKey::rsa(modulus, "\x01").ok()); // anything would be signed
    assert_false(VerificationKey::rsa(modulus, "\x02").ok());
    assert_false(VerificationKey::rsa(modulus, "").ok());
    assert_false(VerificationKey::rsa("", "\x03").ok());
    assert_false(VerificationKey::rsa(std::string(1 << 16, '\x11'), "\x03").ok());
}

// RFC 7518 section 3.2.
static void a_secret_is_as_long_as_the_digest(void**) {
    const auto fits = [](size_t size) {
        auto key = VerificationKey::secret(std::string(size, 'x'));
        return int{key->fits(Algorithm::HS256)} + key->fits(Algorithm::HS384) +
               key->fits(Algorithm::HS512);
    };
    assert_int_equal(fits(32), 1);
    assert_int_equal(fits(47), 1);
    assert_int_equal(fits(48), 2);
    assert_int_equal(fits(63), 2);
    assert_int_equal(fits(64), 3);
}

static void names(void**) {
    for (size_t i = 0; i < kSignatureAlgorithms; ++i)
        assert_true(algorithm_named(algorithm_name(static_cast<Algorithm>(i))) ==
                    static_cast<Algorithm>(i));
    for (const char* name : {"", "none", "None", "hs256", "HS256 ", "RS512", "ES256K"})
        assert_false(algorithm_named(name).has_value());
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(rfc7515_hs256),
        cmocka_unit_test(rfc7515_rs256),
        cmocka_unit_test(rfc7515_es256),
        cmocka_unit_test(rfc8037_eddsa),
        cmocka_unit_test(each_kind_from_pem),
        cmocka_unit_test(ec_signatures_of_zeros),
        cmocka_unit_test(what_is_no_pem),
        cmocka_unit_test(what_is_no_key),
        cmocka_unit_test(a_secret_is_as_long_as_the_digest),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
