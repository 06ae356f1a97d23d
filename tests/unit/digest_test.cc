// SPDX-License-Identifier: Apache-2.0
#include "base/digest.h"
#include "base/text.h"

#include "tests/unit/test.h"

using namespace fanhorn;

// FIPS 180-4's own examples, and the handshake of RFC 6455 section 1.3.
static void test_digests(void**) {
    assert_text(hex_encode(sha1("")), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    assert_text(hex_encode(sha1("abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_text(hex_encode(sha256("")),
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_text(hex_encode(sha256("abc")),
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_text(hex_encode(sha256(std::string(1'000'000, 'a'))),
                "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");

    const auto accept = sha1("dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    assert_text(base64_encode({reinterpret_cast<const char*>(accept.data()), accept.size()}),
                "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void test_equality(void**) {
    assert_true(equal_in_constant_time("", ""));
    assert_true(equal_in_constant_time("secret", "secret"));
    assert_false(equal_in_constant_time("secret", "secreT"));
    assert_false(equal_in_constant_time("secret", "Secret"));
    assert_false(equal_in_constant_time("secret", "secre"));
    assert_false(equal_in_constant_time("", "s"));
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_digests),
        cmocka_unit_test(test_equality),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
