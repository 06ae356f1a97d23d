// SPDX-License-Identifier: Apache-2.0
#include "base/heap.h"

#include <cstdlib>
#include <cstring>
#include <unistd.h>
#include <vector>

#include "tests/unit/test.h"

using namespace fanhorn;

namespace {

// What is asked for, and what is there of it at least: malloc() gives some back at once.
constexpr size_t kGrowth = 32 << 20, kLeast = 31 << 20;

size_t heap_end() {
    return reinterpret_cast<size_t>(sbrk(0));
}

// A sanitizer has a malloc() of its own, to which all this means nothing.
bool has_usual_heap() {
    void* const piece = std::malloc(5000);
    const auto at = reinterpret_cast<size_t>(piece);
    std::free(piece);
    return at < heap_end() && heap_end() - at < (size_t{1} << 30);
}

// How far the heap's end moves on while so much is taken in small pieces, at its first move.
size_t first_move(size_t bytes) {
    std::vector<void*> pieces;
    size_t before = heap_end(), after = before;
    for (size_t taken = 0; taken < bytes && after <= before; taken += 4000) {
        before = after; // it may have become less
        pieces.push_back(std::malloc(4000));
        std::memset(pieces.back(), 1, 4000);
        after = heap_end();
    }
    const size_t move = after > before ? after - before : 0;
    for (void* piece : pieces)
        std::free(piece);
    return move;
}

} // namespace

static void test_it_grows_at_once(void**) {
    if (!has_usual_heap())
        return;
    const size_t before = heap_end();
    {
        const HeapGrowth growth(kGrowth);
        assert_true(heap_end() - before >= kLeast);
        assert_int_equal(first_move(kGrowth / 2), 0);
        assert_true(first_move(2 * kGrowth) >= kLeast);
    }
    assert_in_range(first_move(4 * kGrowth), 1, kLeast / 2);
}

static void test_small_ones_change_nothing(void**) {
    const size_t before = heap_end();
    const HeapGrowth growth(1000);
    assert_int_equal(heap_end(), before);
}

// More than there can be: it goes on as it was.
static void test_without_room(void**) {
    const HeapGrowth growth(SIZE_MAX);
    void* const piece = std::malloc(100'000);
    assert_non_null(piece);
    std::free(piece);
}

static void test_pages_of_others_are_left_alone(void**) {
    std::vector<char> some(3 << 20);
    use_huge_pages(some.data(), some.size());
    use_huge_pages(some.data() + 1, 10);
    use_huge_pages(nullptr, 0);
    std::memset(some.data(), 7, some.size());
    assert_int_equal(some.front() + some.back(), 14);
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_it_grows_at_once),
        cmocka_unit_test(test_small_ones_change_nothing),
        cmocka_unit_test(test_without_room),
        cmocka_unit_test(test_pages_of_others_are_left_alone),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
