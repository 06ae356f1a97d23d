// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"
#include "base/random.h"

#include <set>
#include <unordered_map>

#include "tests/unit/test.h"

using namespace fanhorn;

// Key 00..0f and input 00, 01, 02, ...: the vectors that SipHash-1-3's users share.
static void test_siphash_vectors(void**) {
    const SipKey key{0x0706050403020100u, 0x0f0e0d0c0b0a0908u};
    const uint64_t expected[] = {0xabac0158050fc4dcu, 0xc9f49bf37d57ca93u, 0x82cb9b024dc7d44du,
                                 0x8bf80ab8e7ddf7fbu, 0xcf75576088d38328u, 0xdef9d52f49533b67u,
                                 0xc50d2b50c59f22a7u, 0xd3927d989bb11140u, 0x369095118d299a8eu,
                                 0x25a48eb36c063de4u};
    std::string input;
    for (const uint64_t hash : expected) {
        assert_true(siphash13(key, input) == hash);
        input += static_cast<char>(input.size());
    }
}

static void test_keyed_hash(void**) {
    assert_true(keyed_hash("channel") == keyed_hash(std::string("channel")));
    assert_true(keyed_hash("channel") == KeyedHash()("channel"));
    assert_true(keyed_hash("") != keyed_hash(std::string(1, '\0')));
    assert_true(keyed_hash("a") != siphash13({}, "a")); // there is a key
}

static void test_in_a_table(void**) {
    std::unordered_map<std::string, int, KeyedHash, std::equal_to<>> table;
    table["chat:room1"] = 1;
    const std::string_view name = "chat:room1";
    assert_true(table.find(name) != table.end());
    assert_true(table.find(name.substr(1)) == table.end());
}

static void test_random(void**) {
    std::set<uint64_t> drawn;
    for (int i = 0; i < 1000; ++i)
        drawn.insert(random_u64());
    assert_int_equal(drawn.size(), 1000);

    int counts[7] = {};
    for (int i = 0; i < 70'000; ++i) {
        const uint32_t number = random_below(7);
        assert_true(number < 7);
        ++counts[number];
    }
    for (const int count : counts) // 14 standard deviations
        assert_in_range(count, 8700, 11300);
    assert_int_equal(random_below(1), 0);
    random_bytes(nullptr, 0);
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_siphash_vectors),
        cmocka_unit_test(test_keyed_hash),
        cmocka_unit_test(test_in_a_table),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
