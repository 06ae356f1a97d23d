// SPDX-License-Identifier: Apache-2.0
#include "base/pool.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <vector>

#include "tests/unit/test.h"

using namespace fanhorn;

namespace {

constexpr size_t kSize = 200;

std::vector<void*> take(Pool& pool, size_t count) {
    std::vector<void*> pieces;
    for (size_t i = 0; i < count; ++i) {
        pieces.push_back(pool.take());
        std::memset(pieces.back(), static_cast<int>(i), kSize);
    }
    return pieces;
}

// More than two blocks' worth.
constexpr size_t kMany = 3 * Pool::kBlockBytes / kSize;

} // namespace

static void test_pieces_are_apart(void**) {
    Pool pool(kSize);
    auto pieces = take(pool, kMany);
    for (size_t i = 0; i < pieces.size(); ++i)
        assert_int_equal(static_cast<uint8_t*>(pieces[i])[kSize - 1], i & 0xff);
    std::sort(pieces.begin(), pieces.end());
    for (size_t i = 1; i < pieces.size(); ++i)
        assert_true(static_cast<char*>(pieces[i]) - static_cast<char*>(pieces[i - 1]) >=
                    static_cast<ptrdiff_t>(kSize));
    for (void* piece : pieces)
        pool.give(piece);
}

static void test_empty_blocks_go(void**) {
    Pool pool(kSize);
    const auto pieces = take(pool, kMany);
    assert_true(pool.blocks() > 2);
    for (void* piece : pieces)
        pool.give(piece);
    assert_int_equal(pool.blocks(), 1); // kept
    pool.give(pool.take());
    assert_int_equal(pool.blocks(), 1);
}

static void test_what_was_given_is_taken_again(void**) {
    Pool pool(kSize);
    const auto pieces = take(pool, kMany);
    const size_t blocks = pool.blocks();
    std::set<void*> given;
    for (size_t i = 0; i < pieces.size(); i += 3) {
        pool.give(pieces[i]);
        given.insert(pieces[i]);
    }
    for (size_t i = given.size(); i > 0; --i)
        assert_int_equal(given.erase(pool.take()), 1);
    assert_int_equal(pool.blocks(), blocks);
    for (void* piece : pieces)
        pool.give(piece);
}

static void test_class(void**) {
    struct Item : Pooled<Item> {
        long value = 7;
        char rest[kSize];
    };
    auto* first = new Item;
    auto* second = new Item;
    assert_int_equal(first->value + second->value, 14);
    delete first;
    auto* third = new Item;
    assert_ptr_equal(third, first);
    delete second;
    delete third;
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_are_apart),
        cmocka_unit_test(test_empty_blocks_go),
        cmocka_unit_test(test_what_was_given_is_taken_again),
        cmocka_unit_test(test_class),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
