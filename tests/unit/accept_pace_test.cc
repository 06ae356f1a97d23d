// SPDX-License-Identifier: Apache-2.0
#include "server/accept_pace.h"

#include "test.h"

using namespace fanhorn;

namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr Rate kRate = {.count = 100, .period_ms = 1000};

// How many it lets in at that time, one after the other.
int take_all(AcceptPace& pace, Rate rate, int64_t now) {
    int taken = 0;
    for (; pace.wait(rate, now) == 0; ++taken)
        pace.take(rate, now);
    return taken;
}

} // namespace

static void a_quarter_at_once(void**) {
    AcceptPace pace;
    assert_int_equal(take_all(pace, kRate, kSecond), 25);
    assert_int_equal(pace.wait(kRate, kSecond), kSecond / 100);
    assert_int_equal(take_all(pace, kRate, kSecond + kSecond / 100), 1);
    assert_int_equal(take_all(pace, kRate, 10 * kSecond), 25); // rest is not saved up
}

static void an_even_pace_in_a_storm(void**) {
    AcceptPace pace;
    int taken = 0;
    for (int64_t now = kSecond; now < 11 * kSecond; now += 1000)
        taken += take_all(pace, kRate, now);
    assert_in_range(taken, 1000, 1025);
}

static void one_at_least(void**) {
    AcceptPace pace;
    const Rate rare = {.count = 2, .period_ms = 60'000};
    assert_int_equal(take_all(pace, rare, kSecond), 1);
    assert_int_equal(pace.wait(rare, kSecond), 30 * kSecond);
    assert_int_equal(take_all(pace, rare, 31 * kSecond), 1);
}

static void no_limit(void**) {
    AcceptPace pace;
    assert_int_equal(take_all(pace, kRate, kSecond), 25);
    for (int i = 0; i < 1000; ++i) {
        assert_int_equal(pace.wait({}, kSecond), 0);
        pace.take({}, kSecond);
    }
    assert_true(pace.wait(kRate, kSecond) > 0); // as before
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_quarter_at_once),
        cmocka_unit_test(an_even_pace_in_a_storm),
        cmocka_unit_test(one_at_least),
        cmocka_unit_test(no_limit),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
