// SPDX-License-Identifier: Apache-2.0
// The broker contract: how far users have read.
#include "tests/unit/broker_contract.h"

using namespace fanhorn;
using Status = Marked::Status;

namespace {

ReadMark mark_of(const std::string& user, const std::string& channel, Position position) {
    ReadMark mark;
    mark.channel = channel;
    mark.user = user;
    mark.position = position;
    return mark;
}

// Bob's in "c".
Marked move(BrokerBench& bench, uint64_t seq) {
    return bench.mark(mark_of("bob", "c", {bench.broker->pushed().epoch, seq}));
}

ReadMark with_told(ReadMark mark, const std::string& payload) {
    mark.told = draft("$user:" + mark.user, payload);
    mark.told.store = false;
    return mark;
}

} // namespace

static void test_markers_move_forward(void** state_of_test) {
    BrokerBench bench(state_of_test);
    for (int i = 0; i < 5; ++i)
        bench.say("c");
    const uint64_t head = bench.broker->pushed().seq;
    const struct {
        const char* name;
        uint64_t seq;
        Status status;
        uint64_t then;
    } kRows[] = {
        {"the first", head - 2, Status::Moved, head - 2},
        {"again", head - 2, Status::Kept, head - 2},
        {"back", head - 3, Status::Kept, head - 2},
        {"to the head", head, Status::Moved, head},
        {"to zero", 0, Status::Kept, head},
    };
    assert_int_equal(bench.markers({"c"}, "bob").at(0).epoch, 0);
    for (const auto& row : kRows) {
        const Marked marked = move(bench, row.seq);
        assert_row(row.name, marked.status == row.status);
        assert_row(row.name, marked.position == bench.behind(row.then).position);
        assert_row(row.name, bench.markers({"c"}, "bob").at(0) == marked.position);
    }
}

static void test_what_is_no_position_of_the_log(void** state_of_test) {
    BrokerBench bench(state_of_test);
    const uint64_t head = bench.say("c");
    const uint64_t epoch = bench.broker->pushed().epoch;
    move(bench, head - 1);
    const struct {
        const char* name;
        Position position;
        Status status;
    } kRows[] = {
        {"ahead by one", {epoch, head + 1}, Status::Ahead},
        {"ahead by all", {epoch, UINT64_MAX}, Status::Ahead},
        {"of another epoch", {epoch + 1, 1}, Status::Epoch},
        {"of none", {0, 0}, Status::Epoch},
    };
    for (const auto& row : kRows) {
        const Marked marked = bench.mark(with_told(mark_of("bob", "c", row.position), "x"));
        assert_row(row.name, marked.status == row.status);
        assert_row(row.name, marked.position.epoch == 0);
    }
    assert_int_equal(bench.markers({"c"}, "bob").at(0).seq, head - 1);
    // What comes makes a place for it.
    assert_int_equal(bench.say("other"), head + 1);
    assert_true(move(bench, head + 1).status == Status::Moved);
}

static void test_of_several_channels(void** state_of_test) {
    BrokerBench bench(state_of_test);
    const uint64_t seq = bench.say("c");
    const uint64_t epoch = bench.broker->pushed().epoch;
    bench.mark(mark_of("bob", "c", {epoch, seq}));
    bench.mark(mark_of("bob", "e", {epoch, 0}));
    bench.mark(mark_of("alice", "d", {epoch, seq}));
    const auto found = bench.markers({"c", "d", "e"}, "bob");
    assert_true(found.at(0) == (Position{epoch, seq}));
    assert_int_equal(found.at(1).epoch, 0);
    assert_true(found.at(2) == (Position{epoch, 0}));
    assert_int_equal(bench.markers({"c"}, "carol").at(0).epoch, 0);
    bench.remove("c"); // its messages went; what was read of it was read
    assert_int_equal(bench.markers({"c"}, "bob").at(0).seq, seq);
}

static void test_a_move_is_told_in_the_order(void** state_of_test) {
    BrokerBench bench(state_of_test);
    size_t wakes = 0;
    Mailbox box(SIZE_MAX, [&] { ++wakes; });
    const size_t worker = bench.broker->add_worker(box);
    bench.subscribe(worker, {"$user:bob"});
    const uint64_t seq = bench.say("c");
    const Position position = {bench.broker->pushed().epoch, seq};

    bench.mark(with_told(mark_of("bob", "c", position), "moved"));
    Mailbox::Batch batch;
    box.take(batch);
    assert_int_equal(wakes, 1);
    assert_int_equal(batch.mail.size(), 1);
    const Message& message = *batch.mail[0].message;
    assert_text(message.channel, "$user:bob");
    assert_text(message.payload, "moved");
    assert_false(message.stored);
    assert_int_equal(message.position.seq, seq + 1);
    assert_int_equal(bench.broker->pushed().seq, seq + 1);
    assert_int_equal(bench.say("c"), seq + 2);

    bench.mark(with_told(mark_of("bob", "c", position), "kept"));
    bench.mark(with_told(mark_of("alice", "c", position), "to a channel that is not there"));
    bench.mark(mark_of("bob", "d", position)); // nothing to tell
    assert_true(drain(box).empty());
    assert_int_equal(bench.broker->pushed().seq, seq + 2);
    assert_true(!bench.facts("$user:alice"));
}

static void test_a_channel_that_lost_its_section_is_told_nothing(void** state_of_test) {
    BrokerBench bench(state_of_test);
    Mailbox box(SIZE_MAX, [] {});
    bench.subscribe(bench.broker->add_worker(box), {"$user:bob"});
    const uint64_t seq = bench.say("c");
    auto rules = std::make_shared<TestRules>();
    rules->others = nullptr;
    bench.broker->configure(rules, {});
    const Position position = {bench.broker->pushed().epoch, seq};
    assert_true(bench.mark(with_told(mark_of("bob", "c", position), "x")).status == Status::Moved);
    assert_true(drain(box).empty());
}

static void test_most_markers(void** state_of_test) {
    BrokerBench bench(state_of_test);
    bench.settle([](ChannelSettings&) {}, {.read_markers = 2});
    bench.say("c");
    const Counter& hits = bench.counters.limit_hits[static_cast<size_t>(Limit::ReadMarkers)];
    const Position one = bench.behind(1).position;
    bench.mark(mark_of("a", "c", one));
    bench.mark(mark_of("b", "c", one));
    bench.mark(mark_of("b", "c", one));
    assert_int_equal(hits.value(), 0);
    bench.mark(mark_of("d", "c", one));
    assert_int_equal(hits.value(), 1);
    assert_int_equal(bench.markers({"c"}, "a").at(0).epoch, 0);
    assert_true(bench.markers({"c"}, "b").at(0) == one);
    assert_true(bench.markers({"c"}, "d").at(0) == one);
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_markers_move_forward),
        cmocka_unit_test(test_what_is_no_position_of_the_log),
        cmocka_unit_test(test_of_several_channels),
        cmocka_unit_test(test_a_move_is_told_in_the_order),
        cmocka_unit_test(test_a_channel_that_lost_its_section_is_told_nothing),
        cmocka_unit_test(test_most_markers),
    };
    return run_broker_contract(tests);
}
