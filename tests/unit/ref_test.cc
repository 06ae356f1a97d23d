// SPDX-License-Identifier: Apache-2.0
#if defined(__GNUC__) && !defined(__clang__)
// gcc 12 does not see through the count that the object still has an owner.
#pragma GCC diagnostic ignored "-Wuse-after-free"
#endif

#include "base/ref.h"
#include "base/result.h"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "tests/unit/test.h"

using namespace fanhorn;

namespace {

std::atomic<int> alive = 0;

template <typename Count> struct Counted : Count {
    explicit Counted(int initial) : value(initial) { ++alive; }
    ~Counted() { --alive; }
    int value;
};
using Local = Counted<LocalCount>;
using Shared = Counted<AtomicCount>;

} // namespace

template <typename T> static void test_owners(void**) {
    alive = 0;
    Ref<T> first = make_ref<T>(7);
    assert_int_equal(first->value, 7);
    assert_int_equal((*first).value, 7);
    {
        Ref<T> second = first; // two owners
        Ref<T> third = std::move(second);
        assert_null(second.get());
        assert_true(third == first);
        third = nullptr;
        assert_int_equal(alive, 1);
    }
    Ref<T>& same = first;
    first = same; // to itself
    first = std::move(same);
    assert_int_equal(alive, 1);
    first = make_ref<T>(8);
    assert_int_equal(alive, 1);
    assert_int_equal(first->value, 8);
    const Ref<const T> constant(first.get());
    first = nullptr;
    assert_null(first.get());
    assert_int_equal(constant->value, 8);
    assert_int_equal(alive, 1);
}

template <typename T> static void test_last_one_frees(void**) {
    alive = 0;
    std::vector<Ref<T>> owners(100, make_ref<T>(1));
    assert_int_equal(alive, 1);
    while (owners.size() > 1)
        owners.pop_back();
    assert_int_equal(alive, 1);
    owners.clear();
    assert_int_equal(alive, 0);
}

// For TSan, too: the last owner on whichever thread frees it, once.
static void test_across_threads(void**) {
    alive = 0;
    for (int round = 0; round < 50; ++round) {
        Ref<Shared> object = make_ref<Shared>(round);
        std::vector<std::thread> threads;
        for (int thread = 0; thread < 2; ++thread) {
            threads.emplace_back([object] {
                for (int i = 0; i < 100; ++i)
                    assert_int_equal(Ref<Shared>(object)->value, object->value);
            });
        }
        object = nullptr;
        for (auto& thread : threads)
            thread.join();
        threads.clear();
        assert_int_equal(alive, 0);
    }
}

static void test_result(void**) {
    Result<std::unique_ptr<int>> good = std::make_unique<int>(5);
    assert_true(good.ok());
    assert_int_equal(**good, 5);
    assert_text(good.error(), "");
    const std::unique_ptr<int> moved = std::move(*good);
    assert_int_equal(*moved, 5);

    const Result<std::string> bad = Error{"no such file"};
    assert_false(bad.ok());
    assert_text(bad.error(), "no such file");
    assert_true(Result<void>().ok());
    const Result<void> silent = Error{""}; // an error without words is one
    assert_false(silent.ok());
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_owners<Local>),         cmocka_unit_test(test_owners<Shared>),
        cmocka_unit_test(test_last_one_frees<Local>), cmocka_unit_test(test_last_one_frees<Shared>),
        cmocka_unit_test(test_across_threads),        cmocka_unit_test(test_result),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
