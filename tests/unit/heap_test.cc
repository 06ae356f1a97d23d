// SPDX-License-Identifier: Apache-2.0
#include "base/heap.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <sys/mman.h>
#include <sys/resource.h>
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

bool has_huge_pages() {
    return access("/sys/kernel/mm/transparent_hugepage", F_OK) == 0;
}

// Whether that address is in memory which is to be in huge pages: "hg" of smaps in proc(5).
bool has_advice(const void* at) {
    std::ifstream map("/proc/self/smaps");
    bool is_it = false;
    for (std::string line; std::getline(map, line);) {
        size_t begin = 0, end = 0;
        if (std::sscanf(line.c_str(), "%zx-%zx ", &begin, &end) == 2)
            is_it = begin <= reinterpret_cast<size_t>(at) && reinterpret_cast<size_t>(at) < end;
        if (is_it && line.starts_with("VmFlags:"))
            return line.find(" hg") != line.npos;
    }
    return false;
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
        skip();
    const size_t before = heap_end();
    {
        const HeapGrowth growth(kGrowth);
        assert_true(heap_end() - before >= kLeast);
        assert_true(!has_huge_pages() || has_advice(reinterpret_cast<void*>(before + kGrowth / 2)));
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

// The kernel gives no more: what there is goes on being enough.
static void test_without_room(void**) {
    if (!has_usual_heap())
        skip();
    rlimit usual{};
    assert_int_equal(getrlimit(RLIMIT_DATA, &usual), 0);
    const rlimit small = {64 << 20, usual.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_DATA, &small), 0);
    const size_t before = heap_end();
    {
        const HeapGrowth growth(SIZE_MAX);
        assert_in_range(heap_end(), before, before + (32 << 20));
        assert_in_range(first_move(4 << 20), 1, kLeast);
    }
    assert_int_equal(setrlimit(RLIMIT_DATA, &usual), 0);
}

static void test_pages_of_others_are_left_alone(void**) {
    if (!has_huge_pages())
        skip();
    constexpr size_t kPage = 4096, kSize = 16 << 20;
    void* const all =
        mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(all, MAP_FAILED);
    char* const begin = static_cast<char*>(all);
    use_huge_pages(begin + 1, kPage);
    assert_false(has_advice(begin));
    use_huge_pages(begin + kPage - 1, kSize / 2);
    assert_false(has_advice(begin));
    assert_true(has_advice(begin + kPage));
    assert_false(has_advice(begin + kSize / 2 + kPage));
    use_huge_pages(nullptr, 0);
    munmap(all, kSize);
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
