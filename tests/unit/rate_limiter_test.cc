// SPDX-License-Identifier: Apache-2.0
#include "server/rate_limiter.h"

#include "test.h"

using namespace fanhorn;

namespace {

constexpr Rate kFive = {.count = 5, .period_ms = 1000};

RateLimiter::Who who(std::string_view client, std::string_view user = "",
                     std::string_view section = "chat:*") {
    return {.section = section, .client = client, .user = user};
}

// How many go through at once.
int burst(RateLimiter& limiter, const RateLimiter::Who& who, Rate rate, Millis now) {
    int count = 0;
    while (limiter.take(who, rate, now) == 0)
        ++count;
    return count;
}

} // namespace

static void a_burst_and_then_an_even_pace(void**) {
    FakeClock clock;
    RateLimiter limiter;
    assert_int_equal(burst(limiter, who("a"), kFive, clock.now()), 5);
    assert_int_equal(limiter.take(who("a"), kFive, clock.now()), 200);
    clock.advance(199);
    assert_int_equal(limiter.take(who("a"), kFive, clock.now()), 1);
    clock.advance(1);
    assert_int_equal(burst(limiter, who("a"), kFive, clock.now()), 1);
    clock.advance(600);
    assert_int_equal(burst(limiter, who("a"), kFive, clock.now()), 3);
    clock.advance(60'000); // what was not used is not saved up
    assert_int_equal(burst(limiter, who("a"), kFive, clock.now()), 5);
}

static void periods(void**) {
    FakeClock clock;
    RateLimiter limiter;
    const Rate minute = {.count = 300, .period_ms = 60'000};
    assert_int_equal(burst(limiter, who("a"), minute, clock.now()), 300);
    assert_int_equal(limiter.take(who("a"), minute, clock.now()), 200);
    const Rate fast = {.count = 1'000'000, .period_ms = 1000};
    assert_int_equal(burst(limiter, who("b"), fast, clock.now()), 1'000'000);
    const Rate rare = {.count = 1, .period_ms = 3'600'000};
    assert_int_equal(burst(limiter, who("c"), rare, clock.now()), 1);
    assert_int_equal(limiter.take(who("c"), rare, clock.now()), 3'600'000);
}

static void each_counts_for_itself(void**) {
    FakeClock clock;
    RateLimiter limiter;
    assert_int_equal(burst(limiter, who("a"), kFive, clock.now()), 5);
    assert_int_equal(burst(limiter, who("b"), kFive, clock.now()), 5);
    assert_int_equal(burst(limiter, who("a", "", "news"), kFive, clock.now()), 5);
    assert_int_equal(burst(limiter, who("c", "a"), kFive, clock.now()), 5); // a user called "a"
}

// Over all connections of a user; one that is refused for it has used up nothing.
static void users(void**) {
    FakeClock clock;
    RateLimiter limiter;
    for (const char* client : {"a", "b", "c"})
        assert_int_equal(limiter.take(who(client, "ann"), kFive, clock.now()), 0);
    assert_int_equal(burst(limiter, who("d", "ann"), kFive, clock.now()), 2);
    assert_int_equal(burst(limiter, who("e", "ann"), kFive, clock.now()), 0);
    assert_int_equal(burst(limiter, who("e", "bob"), kFive, clock.now()), 5);
    assert_int_equal(burst(limiter, who("d"), kFive, clock.now()), 3);
}

static void idle_entries_are_dropped(void**) {
    FakeClock clock;
    RateLimiter limiter;
    limiter.tick(clock.now());
    for (int i = 0; i < 100; ++i)
        limiter.take(who(std::to_string(i), "ann"), kFive, clock.now());
    burst(limiter, who("slow"), {.count = 1, .period_ms = 3'600'000}, clock.now());
    assert_int_equal(limiter.size(), 102);
    clock.advance(4999);
    limiter.tick(clock.now());
    assert_int_equal(limiter.size(), 102);
    clock.advance(1);
    limiter.tick(clock.now());
    assert_int_equal(limiter.size(), 1);
    assert_true(limiter.take(who("slow"), {.count = 1, .period_ms = 3'600'000}, clock.now()) > 0);
}

static void a_flood_of_names_is_bounded(void**) {
    FakeClock clock;
    RateLimiter limiter;
    burst(limiter, who("old"), kFive, clock.now());
    constexpr size_t kMost = RateLimiter::kMaxEntries + RateLimiter::kSharedEntries;
    size_t allowed = 0;
    for (size_t i = 0; i < 4 * kMost; ++i)
        allowed += limiter.take(who(std::to_string(i)), kFive, clock.now()) == 0;
    assert_true(limiter.size() <= kMost);
    assert_true(allowed < RateLimiter::kMaxEntries + 5 * RateLimiter::kSharedEntries + 1);
    assert_int_equal(limiter.take(who("old"), kFive, clock.now()), 200);
    clock.advance(10'000);
    limiter.tick(clock.now());
    assert_int_equal(limiter.size(), 0);
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_and_then_an_even_pace),
        cmocka_unit_test(periods),
        cmocka_unit_test(each_counts_for_itself),
        cmocka_unit_test(users),
        cmocka_unit_test(idle_entries_are_dropped),
        cmocka_unit_test(a_flood_of_names_is_bounded),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
