// SPDX-License-Identifier: Apache-2.0
#include "server/address_limiter.h"

#include <atomic>
#include <thread>
#include <vector>

#include "test.h"

using namespace fanhorn;

namespace {

constexpr AddressLimits kThree = {.connections = 3, .rate = {}};
constexpr AddressLimits kTwoASecond = {.connections = 0, .rate = {.count = 2, .period_ms = 1000}};

bool is(const std::optional<Limit>& found, Limit expected) {
    return found == expected;
}

} // namespace

static void an_address_has_so_many(void**) {
    AddressLimiter limiter;
    for (int i = 0; i < 3; ++i)
        assert_false(limiter.enter(1, kThree, 0).has_value());
    assert_true(is(limiter.enter(1, kThree, 0), Limit::ConnectionsPerAddress));
    assert_false(limiter.enter(2, kThree, 0).has_value());
    limiter.leave(1);
    assert_false(limiter.enter(1, kThree, 0).has_value());
    assert_true(is(limiter.enter(1, kThree, 0), Limit::ConnectionsPerAddress));
}

static void who_has_gone_leaves_nothing(void**) {
    AddressLimiter limiter;
    for (uint64_t address = 1; address <= 1000; ++address)
        assert_false(limiter.enter(address, kThree, 0).has_value());
    assert_int_equal(limiter.size(), 1000);
    for (uint64_t address = 1; address <= 1000; ++address)
        limiter.leave(address);
    assert_int_equal(limiter.size(), 0);
}

static void a_rate_is_of_new_ones(void**) {
    FakeClock clock;
    AddressLimiter limiter;
    for (int i = 0; i < 2; ++i) {
        assert_false(limiter.enter(1, kTwoASecond, clock.now()).has_value());
        limiter.leave(1); // that it has gone again is no excuse
    }
    assert_true(is(limiter.enter(1, kTwoASecond, clock.now()), Limit::ConnectionRate));
    assert_int_equal(limiter.size(), 0);
    assert_false(limiter.enter(2, kTwoASecond, clock.now()).has_value());
    clock.advance(500);
    limiter.tick(clock.now());
    assert_false(limiter.enter(1, kTwoASecond, clock.now()).has_value());
    assert_true(is(limiter.enter(1, kTwoASecond, clock.now()), Limit::ConnectionRate));
}

static void who_is_refused_uses_up_nothing(void**) {
    FakeClock clock;
    const AddressLimits both = {.connections = 1, .rate = {.count = 2, .period_ms = 1000}};
    AddressLimiter limiter;
    assert_false(limiter.enter(1, both, clock.now()).has_value());
    for (int i = 0; i < 5; ++i)
        assert_true(is(limiter.enter(1, both, clock.now()), Limit::ConnectionsPerAddress));
    limiter.leave(1);
    assert_false(limiter.enter(1, both, clock.now()).has_value());
}

static void no_limit_is_one(void**) {
    AddressLimiter limiter;
    assert_false(AddressLimits{}.any());
    for (int i = 0; i < 1000; ++i)
        assert_false(limiter.enter(1, {}, 0).has_value());
}

static void workers_share_it(void**) {
    constexpr int kThreads = 4, kRounds = 20'000;
    const AddressLimits limits = {.connections = 2, .rate = {}};
    AddressLimiter limiter;
    std::atomic<int> inside{0}, most{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i)
        threads.emplace_back([&] {
            for (int round = 0; round < kRounds; ++round) {
                if (limiter.enter(7, limits, 0))
                    continue;
                const int now = ++inside;
                for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
                }
                --inside;
                limiter.leave(7);
            }
        });
    for (std::thread& thread : threads)
        thread.join();
    assert_in_range(most.load(), 1, 2);
    assert_int_equal(limiter.size(), 0);
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(an_address_has_so_many), cmocka_unit_test(who_has_gone_leaves_nothing),
        cmocka_unit_test(a_rate_is_of_new_ones),  cmocka_unit_test(who_is_refused_uses_up_nothing),
        cmocka_unit_test(no_limit_is_one),        cmocka_unit_test(workers_share_it),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
