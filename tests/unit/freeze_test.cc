// SPDX-License-Identifier: Apache-2.0
// Workers hold still together.
#include "base/check.h"
#include "server/freeze.h"

#include <atomic>
#include <thread>

#include "tests/unit/test.h"

using namespace fanhorn;
using Verdict = Freeze::Verdict;

namespace {

Packed packed(size_t worker) {
    return {.socket = 3, .worker = worker, .record = "r" + std::to_string(worker)};
}

// Workers that have mail for each other, `rounds` times; what each then heard.
std::vector<Verdict> play(Freeze& freeze, size_t workers, int rounds, std::atomic<int>& moved) {
    std::vector<Verdict> heard(workers);
    std::vector<std::thread> threads;
    for (size_t i = 0; i < workers; ++i)
        threads.emplace_back([&, i] {
            for (int round = 0; freeze.settle(i == 0 && round < rounds); ++round)
                ++moved;
            std::vector<Packed> mine;
            mine.push_back(packed(i));
            heard[i] = freeze.hold(std::move(mine));
        });
    const auto all = freeze.wait(10'000);
    if (all)
        CHECK(all->size() == workers);
    freeze.decide(all ? Verdict::Gone : Verdict::GoOn);
    for (std::thread& thread : threads)
        thread.join();
    return heard;
}

} // namespace

static void test_until_nobody_moves(void**) {
    Freeze freeze(3, {"a"});
    std::atomic<int> moved{0};
    const auto heard = play(freeze, 3, 4, moved);
    assert_int_equal(moved, 3 * 4);
    for (const Verdict each : heard)
        assert_true(each == Verdict::Gone);
    assert_true(freeze.takes("a") && !freeze.takes("b"));
}

static void test_one_does_not_come(void**) {
    Freeze freeze(2, {});
    std::thread other([&] {
        assert_false(freeze.settle(true)); // given up: there is no other round
        assert_true(freeze.hold({}) == Verdict::GoOn);
    });
    assert_false(freeze.wait(1).has_value());
    freeze.decide(Verdict::GoOn);
    other.join();
    assert_false(freeze.settle(true)); // who comes late goes on at once
    assert_true(freeze.hold({}) == Verdict::GoOn);
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_until_nobody_moves),
        cmocka_unit_test(test_one_does_not_come),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
