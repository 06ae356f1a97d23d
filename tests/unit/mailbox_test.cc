// SPDX-License-Identifier: Apache-2.0
// The last test has threads: run it under TSan too.
#include "relay/mailbox.h"

#include <thread>

#include "tests/unit/test.h"

using namespace fanhorn;

namespace {

MessageRef message(const std::string& channel, uint64_t seq) {
    Draft draft;
    draft.channel = channel;
    draft.payload = "payload";
    return MessageRef(new Message(std::move(draft), {1, seq}, seq, 0));
}

// As a broker does.
template <typename Thing> void put(Mailbox& box, Thing&& thing) {
    if (box.push(std::forward<Thing>(thing)))
        box.wake();
}

} // namespace

static void test_order_and_one_wake(void**) {
    size_t wakes = 0;
    int ran = 0;
    Mailbox box(SIZE_MAX, [&] { ++wakes; });
    put(box, message("a", 1));
    box.post([&] { ++ran; });
    put(box, message("b", 2));
    auto notice = std::make_unique<Notice>();
    notice->kind = Notice::Kind::Ended;
    notice->channel = "b";
    notice->seq = 3;
    put(box, std::move(notice));
    assert_int_equal(wakes, 1);

    Mailbox::Batch batch;
    box.take(batch);
    assert_int_equal(batch.mail.size(), 4);
    assert_int_equal(batch.mail[0].message->position.seq, 1);
    assert_true(batch.mail[1].notice->kind == Notice::Kind::Task);
    batch.mail[1].notice->task();
    assert_int_equal(ran, 1);
    assert_int_equal(batch.mail[2].message->position.seq, 2);
    assert_text(batch.mail[3].notice->channel, "b");
    assert_true(batch.since_micros > 0);

    box.take(batch); // empty again
    assert_true(batch.mail.empty() && batch.marks.empty());
    assert_int_equal(batch.since_micros, 0);
    put(box, message("a", 4));
    put(box, message("a", 5));
    assert_int_equal(wakes, 2);
}

static void test_a_full_box_keeps_marks(void**) {
    const size_t one = message("a", 1)->bytes();
    size_t wakes = 0;
    Mailbox box(2 * one, [&] { ++wakes; });
    put(box, message("a", 1));
    put(box, message("b", 2)); // full to the byte
    put(box, message("a", 3));
    put(box, message("b", 4));
    put(box, message("a", 5));
    bool ran = false;
    box.post([&] { ran = true; }); // notices are never dropped

    Mailbox::Batch batch;
    box.take(batch);
    assert_int_equal(batch.mail.size(), 3);
    assert_int_equal(batch.marks.size(), 2);
    assert_int_equal(batch.marks.at("a"), 5);
    assert_int_equal(batch.marks.at("b"), 4);
    batch.mail[2].notice->task();
    assert_true(ran);

    put(box, message("a", 6)); // room again
    box.take(batch);
    assert_int_equal(batch.mail.size(), 1);
    assert_true(batch.marks.empty());
    assert_int_equal(wakes, 2);
}

static void test_nothing_overtakes_a_mark(void**) {
    const size_t small = message("a", 1)->bytes();
    Mailbox box(small, [] {});
    Draft large;
    large.channel = "a";
    large.payload = std::string(10'000, 'x');
    put(box, MessageRef(new Message(std::move(large), {1, 1}, 1, 0)));
    put(box, message("b", 2)); // would fit
    Mailbox::Batch batch;
    box.take(batch);
    assert_true(batch.mail.empty());
    assert_int_equal(batch.marks.at("a"), 1);
    assert_int_equal(batch.marks.at("b"), 2);
    assert_true(batch.since_micros > 0);
}

static void test_no_room_and_more_room(void**) {
    size_t wakes = 0;
    Mailbox box(0, [&] { ++wakes; });
    put(box, message("a", 1));
    assert_int_equal(wakes, 1); // a mark wakes as well
    Mailbox::Batch batch;
    box.take(batch);
    assert_int_equal(batch.marks.size(), 1);
    box.set_capacity(SIZE_MAX);
    put(box, message("a", 2));
    box.take(batch);
    assert_int_equal(batch.mail.size(), 1);
}

static void test_four_pushers_lose_nothing(void**) {
    constexpr uint64_t kEach = 20'000;
    std::atomic<uint64_t> wakes = 0;
    Mailbox box(SIZE_MAX, [&] {
        wakes.fetch_add(1);
        wakes.notify_one();
    });
    std::vector<std::thread> pushers;
    std::atomic<uint64_t> tasks = 0;
    for (size_t i = 0; i < 4; ++i)
        pushers.emplace_back([&box, &tasks, i] {
            const std::string channel(1, static_cast<char>('a' + i));
            for (uint64_t seq = 1; seq <= kEach; ++seq)
                if (seq % 100 == 0)
                    box.post([&tasks] { tasks.fetch_add(1); });
                else
                    put(box, message(channel, seq));
        });

    uint64_t last[4] = {0, 0, 0, 0};
    uint64_t taken = 0, turns = 0;
    Mailbox::Batch batch;
    while (taken < 4 * kEach) {
        wakes.wait(turns); // a wake that is missed would hang here
        turns = wakes.load();
        box.take(batch);
        assert_true(batch.marks.empty());
        for (Mail& mail : batch.mail) {
            ++taken;
            if (mail.notice) {
                mail.notice->task();
                continue;
            }
            uint64_t& before = last[mail.message->channel[0] - 'a'];
            assert_true(mail.message->position.seq > before);
            before = mail.message->position.seq;
        }
    }
    for (std::thread& thread : pushers)
        thread.join();
    box.take(batch);
    assert_true(batch.mail.empty());
    assert_int_equal(tasks.load(), 4 * kEach / 100);
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_one_wake),
        cmocka_unit_test(test_a_full_box_keeps_marks),
        cmocka_unit_test(test_nothing_overtakes_a_mark),
        cmocka_unit_test(test_no_room_and_more_room),
        cmocka_unit_test(test_four_pushers_lose_nothing),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
