// SPDX-License-Identifier: Apache-2.0
// The events that wait for an application, with a clock that the test turns.
#include "server/hook_queue.h"

#include <set>

#include "test.h"

using namespace fanhorn;

using Outcome = HookQueue::Outcome;
using Drop = HookQueue::Drop;

static HookQueue queue_of(const HookQueue::Bounds& bounds = {}) {
    return HookQueue("s", bounds, 1);
}

static std::string event(int n, const char* rest = "\"e\":1") {
    return "{\"id\":\"s." + std::to_string(n) + "\"," + rest + "}";
}

static std::string batch(uint64_t dropped, int first, int last) {
    std::string body = "{\"dropped\":" + std::to_string(dropped) + ",\"events\":[";
    for (int n = first; n <= last; ++n)
        body += (n == first ? "" : ",") + event(n);
    return body + "]}";
}

static void push(HookQueue& queue, int count, Millis now) {
    for (int i = 0; i < count; ++i)
        queue.push("\"e\":1", now);
}

static uint64_t dropped(const HookQueue& queue, Drop why) {
    return queue.dropped()[static_cast<size_t>(why)];
}

static void events_wait_for_others(void**) {
    HookQueue queue = queue_of({.delay = 500});
    assert_false(queue.take(0).has_value());
    push(queue, 1, 1000);
    push(queue, 1, 1400);
    assert_false(queue.take(1499).has_value());
    assert_text(*queue.take(1500), batch(0, 1, 2));
    queue.settle(Outcome::Taken, 1501);
    assert_int_equal(queue.events(), 0);
    assert_int_equal(queue.bytes(), 0);
    assert_int_equal(queue.taken(), 2);
    push(queue, 1, 1600);
    assert_false(queue.take(1601).has_value());
    assert_text(*queue.take(1601, true), batch(0, 3, 3)); // it hurries
}

static void a_full_batch_does_not_wait(void**) {
    HookQueue queue = queue_of({.batch_events = 3, .delay = 500});
    push(queue, 7, 0);
    assert_text(*queue.take(0), batch(0, 1, 3));
    assert_false(queue.take(0).has_value()); // one at a time
    push(queue, 1, 0);
    queue.settle(Outcome::Taken, 0);
    assert_text(*queue.take(0), batch(0, 4, 6));
    queue.settle(Outcome::Taken, 0);
    assert_false(queue.take(0).has_value());
    assert_text(*queue.take(500), batch(0, 7, 8));
}

static void batches_are_cut_by_bytes(void**) {
    const size_t size = event(1).size();
    HookQueue queue = queue_of({.batch_bytes = 2 * size + 1, .delay = 500});
    push(queue, 2, 0);
    assert_false(queue.take(0).has_value());
    push(queue, 3, 0);
    assert_text(*queue.take(0), batch(0, 1, 2));
    queue.settle(Outcome::Taken, 0);
    assert_text(*queue.take(0), batch(0, 3, 4));
    queue.settle(Outcome::Taken, 0);
    assert_false(queue.take(0).has_value());

    HookQueue tight = queue_of({.batch_bytes = 1});
    push(tight, 2, 0);
    assert_text(*tight.take(0), batch(0, 1, 1));
}

static void what_failed_goes_again(void**) {
    HookQueue queue = queue_of({.batch_events = 2, .delay = 0});
    push(queue, 3, 0);
    assert_text(*queue.take(0), batch(0, 1, 2));
    queue.settle(Outcome::Failed, 0);
    assert_int_equal(queue.events(), 3);
    assert_false(queue.take(HookQueue::kLeastPause / 2 - 1).has_value());
    assert_text(*queue.take(HookQueue::kLeastPause), batch(0, 1, 2)); // the same ids
    queue.settle(Outcome::Undone, HookQueue::kLeastPause);
    assert_text(*queue.take(HookQueue::kLeastPause), batch(0, 1, 2)); // without a pause
    queue.settle(Outcome::Failed, HookQueue::kLeastPause);
    assert_text(*queue.take(HookQueue::kLeastPause, true), batch(0, 1, 2)); // it hurries
    queue.settle(Outcome::Taken, HookQueue::kLeastPause);
    assert_text(*queue.take(HookQueue::kMostPause), batch(0, 3, 3));
}

// How long it waits before the attempt behind `failures` others.
static Millis pause_after(uint32_t seed, int failures) {
    HookQueue queue("s", {.delay = 0}, seed);
    queue.push("\"e\":1", 0);
    Millis now = 0, pause = 0;
    for (int i = 0; i < failures; ++i) {
        while (!queue.take(now).has_value())
            ++now;
        queue.settle(Outcome::Failed, now);
        pause = 0;
        while (!queue.take(now + pause).has_value())
            ++pause;
        queue.settle(Outcome::Undone, now + pause);
        now += pause;
    }
    return pause;
}

static void pauses_double_with_jitter(void**) {
    std::set<Millis> different;
    for (uint32_t seed = 1; seed <= 20; ++seed) {
        const Millis first = pause_after(seed, 1), third = pause_after(seed, 3),
                     tenth = pause_after(seed, 10);
        assert_in_range(first, HookQueue::kLeastPause / 2, HookQueue::kLeastPause);
        assert_in_range(third, HookQueue::kLeastPause * 2, HookQueue::kLeastPause * 4);
        assert_in_range(tenth, HookQueue::kMostPause / 2, HookQueue::kMostPause);
        different.insert(tenth);
    }
    assert_true(different.size() > 10);
    assert_int_equal(pause_after(7, 5), pause_after(7, 5));
}

static void what_is_taken_ends_the_pauses(void**) {
    HookQueue queue = queue_of({.delay = 0});
    push(queue, 1, 0);
    Millis now = 0;
    for (int i = 0; i < 8; ++i, now += HookQueue::kMostPause) {
        assert_true(queue.take(now).has_value());
        queue.settle(Outcome::Failed, now);
    }
    assert_true(queue.take(now).has_value());
    queue.settle(Outcome::Taken, now);
    push(queue, 1, now);
    assert_true(queue.take(now).has_value());
    queue.settle(Outcome::Failed, now);
    assert_true(queue.take(now + HookQueue::kLeastPause).has_value());
}

static void too_many_events(void**) {
    HookQueue queue = queue_of({.batch_events = 2, .delay = 0, .events = 4});
    push(queue, 6, 0);
    assert_int_equal(queue.events(), 4);
    assert_int_equal(dropped(queue, Drop::Events), 2);
    assert_text(*queue.take(0), batch(2, 3, 4)); // the oldest went
    push(queue, 1, 0);                           // of those that wait, not of those on their way
    assert_int_equal(dropped(queue, Drop::Events), 3);
    queue.settle(Outcome::Taken, 0);
    assert_text(*queue.take(0), batch(1, 6, 7)); // what has been told is not told again
    queue.settle(Outcome::Taken, 0);
    push(queue, 1, 0);
    assert_text(*queue.take(0), batch(0, 8, 8));
}

static void drops_are_told_until_they_are_heard(void**) {
    HookQueue queue = queue_of({.delay = 0, .events = 1});
    push(queue, 2, 0);
    assert_text(*queue.take(0), batch(1, 2, 2));
    queue.settle(Outcome::Failed, 0);
    push(queue, 1, 0);
    assert_text(*queue.take(HookQueue::kMostPause), batch(2, 3, 3));
}

static void too_many_bytes(void**) {
    const size_t size = event(1).size();
    HookQueue queue = queue_of({.delay = 0, .bytes = 3 * size});
    push(queue, 5, 0);
    assert_int_equal(queue.bytes(), 3 * size);
    assert_int_equal(dropped(queue, Drop::Bytes), 2);
    assert_text(*queue.take(0), batch(2, 3, 5));
    queue.settle(Outcome::Taken, 0);
    queue.push(std::string(4 * size, 'x'), 0); // none that large waits
    assert_int_equal(queue.events(), 0);
    assert_int_equal(dropped(queue, Drop::Bytes), 3);
}

static void too_old(void**) {
    HookQueue queue = queue_of({.batch_events = 1, .delay = 0, .age = 1000});
    push(queue, 1, 0);
    push(queue, 2, 500);
    assert_true(queue.take(0).has_value());
    queue.expire(1001); // it is on its way
    assert_int_equal(queue.events(), 3);
    queue.settle(Outcome::Failed, 1001);
    queue.expire(1001);
    assert_int_equal(queue.events(), 2);
    queue.expire(1501);
    assert_int_equal(queue.events(), 0);
    assert_int_equal(queue.bytes(), 0);
    assert_int_equal(dropped(queue, Drop::Age), 3);
    push(queue, 1, 2000);
    assert_text(*queue.take(2000, true), batch(3, 4, 4));
}

static void the_daemon_ends(void**) {
    HookQueue queue = queue_of();
    push(queue, 3, 0);
    queue.abandon();
    assert_int_equal(queue.events(), 0);
    assert_int_equal(dropped(queue, Drop::Stop), 3);
}

// Whatever happens: ids rise, none is skipped but by what is told to have been dropped, and all are
// accounted for.
static void a_bad_application(void**) {
    for (uint32_t seed = 1; seed <= 200; ++seed) {
        std::minstd_rand random(seed);
        const auto below = [&](uint32_t bound) { return random() % bound; };
        HookQueue queue("s",
                        {.batch_events = 1 + below(5),
                         .delay = static_cast<Millis>(below(50)),
                         .events = 5 + below(20),
                         .age = 20'000},
                        seed);
        Millis now = 0;
        uint64_t heard = 0, told = 0, next = 1;
        for (int step = 0; step < 500; ++step, now += below(400)) {
            push(queue, static_cast<int>(below(4)), now);
            queue.expire(now);
            const auto body = queue.take(now, step > 490);
            if (!body)
                continue;
            const bool is_good = below(3) == 0 || step > 490;
            if (is_good) {
                uint64_t skipped = std::stoull(body->substr(11));
                told += skipped;
                for (size_t at = 0; (at = body->find("\"s.", at)) != body->npos; ++at, ++heard) {
                    const uint64_t id = std::stoull(body->substr(at + 3));
                    assert_true(id >= next && id - next <= skipped);
                    skipped -= id - next;
                    next = id + 1;
                }
            }
            queue.settle(is_good ? Outcome::Taken : Outcome::Failed, now);
        }
        assert_int_equal(queue.taken(), heard);
        queue.abandon();
        uint64_t all = heard;
        for (const uint64_t each : queue.dropped())
            all += each;
        assert_int_equal(all, queue.raised());
        assert_true(told <= all - heard);
    }
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(events_wait_for_others),
        cmocka_unit_test(a_full_batch_does_not_wait),
        cmocka_unit_test(batches_are_cut_by_bytes),
        cmocka_unit_test(what_failed_goes_again),
        cmocka_unit_test(pauses_double_with_jitter),
        cmocka_unit_test(what_is_taken_ends_the_pauses),
        cmocka_unit_test(too_many_events),
        cmocka_unit_test(drops_are_told_until_they_are_heard),
        cmocka_unit_test(too_many_bytes),
        cmocka_unit_test(too_old),
        cmocka_unit_test(the_daemon_ends),
        cmocka_unit_test(a_bad_application),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
