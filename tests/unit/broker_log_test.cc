// SPDX-License-Identifier: Apache-2.0
// The broker contract: order, starts, gaps, what is kept and for how long.
#include "tests/unit/broker_contract.h"

using namespace fanhorn;

namespace {

void assert_gap(const Gap& gap, Gap::Why why, uint64_t after, uint64_t next) {
    assert_text(gap_reason(gap.why), gap_reason(why));
    assert_int_equal(gap.after.seq, after);
    assert_int_equal(gap.next.seq, next);
    assert_int_equal(gap.next.epoch == 0, next == 0); // null
}

} // namespace

static void test_ids_rise_over_channels(void** state) {
    BrokerBench bench(state);
    uint64_t last = bench.broker->pushed().seq;
    const uint64_t epoch = bench.broker->pushed().epoch;
    assert_int_not_equal(epoch, 0);
    uint64_t n[2] = {0, 0};
    for (int i = 0; i < 10; ++i) {
        const int which = i % 3 == 0;
        const Published published = bench.publish(draft(which ? "a" : "b", "x"));
        assert_int_equal(published.position.epoch, epoch);
        assert_true(published.position.seq > last);
        assert_int_equal(published.n, ++n[which]);
        last = published.position.seq;
        assert_true(bench.broker->pushed() == published.position);
    }
}

static void test_a_batch_keeps_its_order(void** state) {
    BrokerBench bench(state);
    std::vector<Draft> drafts;
    for (const char* channel : {"a", "b", "a"})
        drafts.push_back(draft(channel, "x"));
    const auto results = bench.publish_all(std::move(drafts));
    assert_int_equal(results.size(), 3);
    assert_true(results[0].position.seq < results[1].position.seq);
    assert_true(results[1].position.seq < results[2].position.seq);
    assert_int_equal(results[2].n, 2);
}

static void test_starts(void** state) {
    BrokerBench bench(state);
    const uint64_t c1 = bench.say("c"), c2 = bench.say("c"), c3 = bench.say("c");
    const uint64_t d4 = bench.say("d");
    const uint64_t c5 = bench.say("c");
    const struct {
        const char* name;
        std::vector<std::string> channels;
        Since since;
        uint64_t told;
        Seqs replay;
    } kRows[] = {
        {"latest", {"c", "d"}, {}, c5, {}},
        {"earliest c", {"c"}, earliest(), c1 - 1, {c1, c2, c3, c5}},
        {"earliest d", {"d"}, earliest(), d4 - 1, {d4}},
        {"earliest both", {"d", "c"}, earliest(), c1 - 1, {c1, c2, c3, d4, c5}},
        {"newest 2", {"c"}, newest(2), c3 - 1, {c3, c5}},
        {"newest 1 of each", {"c", "d"}, newest(1), d4 - 1, {d4, c5}},
        {"newest 0", {"c", "d"}, newest(0), c5, {}},
        {"newest of few", {"d"}, newest(100), d4 - 1, {d4}},
        {"earliest of nothing", {"new"}, earliest(), c5, {}},
        {"newest of nothing", {"new"}, newest(3), c5, {}},
        {"after the second", {"c", "d"}, bench.behind(c2), c2, {c3, d4, c5}},
        {"after another channel's", {"c"}, bench.behind(d4), d4, {c5}},
        {"after the head", {"c", "d"}, bench.behind(c5), c5, {}},
        {"after nothing", {"c"}, bench.behind(0), 0, {c1, c2, c3, c5}},
    };
    for (const auto& row : kRows) {
        const Start start = bench.locate(row.channels, row.since);
        assert_row(row.name, start.status == Start::Status::Placed);
        assert_row(row.name, start.told.seq == row.told);
        assert_row(row.name, start.told.epoch == bench.broker->pushed().epoch);
        assert_row(row.name, start.epoch == bench.broker->pushed().epoch);
        assert_row(row.name, start.head == c5);
        for (const ChannelStart& channel : start.channels)
            assert_row(row.name, !channel.gap);
        const Page page = bench.read(row.channels, row.since);
        assert_row(row.name, seqs(page) == row.replay);
        assert_row(row.name, page.gaps.empty() && page.is_end);
        assert_row(row.name, page.rest.after >= c5);
    }
}

static void test_newest_does_not_count_the_expired(void** state) {
    BrokerBench bench(state);
    const uint64_t first = bench.say("c");
    Draft brief = draft("c", "brief");
    brief.ttl = 10;
    bench.publish(std::move(brief));
    const uint64_t third = bench.say("c");
    bench.clock.advance(10);
    assert_true(seqs(bench.read({"c"}, newest(2))) == Seqs({first, third}));
}

// They are looked for once a second; nobody begins with one that is still there.
static void test_a_start_is_behind_the_expired(void** state) {
    BrokerBench bench(state);
    for (const Millis ttl : {10, 20}) {
        Draft brief = draft("c", "brief");
        brief.ttl = ttl;
        bench.publish(std::move(brief));
    }
    const uint64_t third = bench.say("c");
    for (int i = 0; i < 2; ++i) {
        bench.clock.advance(10);
        for (const Since& since : {earliest(), newest(5)}) {
            const Start start = bench.locate({"c"}, since);
            assert_int_equal(start.told.seq, i == 0 ? third - 2 : third - 1);
            assert_true(start.told.seq == start.after);
        }
    }
}

static void test_foreign_positions(void** state) {
    BrokerBench bench(state);
    const uint64_t first = bench.say("c");
    const uint64_t head = bench.say("c");
    const Position ours = bench.broker->pushed();

    const Position ahead = {ours.epoch, head + 1};
    const Since since = {.kind = Since::Kind::After, .count = 0, .position = ahead};
    const Start start = bench.locate({"c", "none"}, since);
    assert_true(start.told == ahead);
    assert_gap(*start.channels[0].gap, Gap::Why::Ahead, head + 1, first);
    assert_gap(*start.channels[1].gap, Gap::Why::Ahead, head + 1, 0);
    assert_text(start.channels[1].gap->channel, "none");
    const Page page = bench.read({"c", "none"}, since);
    assert_true(seqs(page) == Seqs({first, head})); // on from the earliest
    assert_true(page.gaps.empty());                 // which is told once

    const Position foreign = {ours.epoch + 1, 1};
    const Start other =
        bench.locate({"c"}, {.kind = Since::Kind::After, .count = 0, .position = foreign});
    assert_true(other.told == foreign);
    assert_gap(*other.channels[0].gap, Gap::Why::Epoch, 1, first);
    assert_true(other.channels[0].gap->after == foreign);
    assert_int_equal(other.after, 0);

    // The head itself is judged by the sequencer, whatever has been drained.
    assert_true(!bench.locate({"c"}, bench.behind(head)).channels[0].gap);
}

static void test_trimmed_by_count(void** state) {
    BrokerBench bench(state);
    bench.settle([](ChannelSettings& settings) { settings.history = 2; });
    const uint64_t c1 = bench.say("c"), c2 = bench.say("c"), c3 = bench.say("c");
    const uint64_t d4 = bench.say("d");
    const uint64_t c5 = bench.say("c");

    Page page = bench.read({"c", "d"}, bench.behind(c1));
    assert_int_equal(page.gaps.size(), 1);
    assert_text(page.gaps[0].channel, "c");
    assert_gap(page.gaps[0], Gap::Why::Trimmed, c1, c3);
    assert_true(seqs(page) == Seqs({c3, d4, c5}));
    page = bench.read(std::move(page.rest));
    assert_true(page.gaps.empty() && page.messages.empty() && page.is_end);

    assert_true(bench.read({"c"}, bench.behind(c2)).gaps.empty()); // has all that was dropped
    assert_true(bench.read({"c"}, earliest()).gaps.empty());
    assert_true(bench.read({"c"}, newest(50)).gaps.empty());
}

static void test_trimmed_before_the_read(void** state) {
    BrokerBench bench(state);
    bench.settle([](ChannelSettings& settings) { settings.history = 1; });
    bench.say("c");
    const Start start = bench.locate({"c"}, {}); // placed, and only then:
    const uint64_t lost = bench.say("c"), kept = bench.say("c");
    Stretch stretch;
    stretch.after = start.after;
    stretch.parts = {{"c", start.channels[0].floor}};
    const Page page = bench.read(std::move(stretch));
    assert_int_equal(page.gaps.size(), 1);
    assert_gap(page.gaps[0], Gap::Why::Trimmed, start.told.seq, kept);
    assert_true(lost < kept && seqs(page) == Seqs({kept}));
}

static void test_trimmed_by_bytes_and_age(void** state) {
    BrokerBench bench(state);
    bench.settle([](ChannelSettings& settings) {
        settings.history_ttl = 5000;
        settings.history_bytes = 4000;
    });
    const uint64_t c1 = bench.say("c", std::string(3000, 'x'));
    const uint64_t c2 = bench.say("c", std::string(3000, 'x'));
    Page page = bench.read({"c"}, bench.behind(c1 - 1));
    assert_int_equal(page.gaps.size(), 1);
    assert_gap(page.gaps[0], Gap::Why::Trimmed, c1 - 1, c2);

    bench.clock.advance(4999);
    assert_true(seqs(bench.read({"c"}, bench.behind(c1))) == Seqs({c2}));
    bench.clock.advance(1); // no tick is needed
    page = bench.read({"c"}, bench.behind(c1));
    assert_int_equal(page.gaps.size(), 1);
    assert_gap(page.gaps[0], Gap::Why::Trimmed, c1, 0);
    assert_true(page.rest.after >= c2);
}

static void test_no_history_at_all(void** state) {
    BrokerBench bench(state);
    bench.settle([](ChannelSettings& settings) { settings.history = 0; });
    const uint64_t first = bench.say("c");
    const uint64_t second = bench.say("c");
    const Page page = bench.read({"c"}, bench.behind(first));
    assert_int_equal(page.gaps.size(), 1);
    assert_gap(page.gaps[0], Gap::Why::Trimmed, first, 0);
    assert_true(bench.read({"c"}, bench.behind(second)).gaps.empty());
    assert_true(bench.read({"c"}, {}).gaps.empty());
}

static void test_ttl_is_no_gap(void** state) {
    BrokerBench bench(state);
    const uint64_t before = bench.broker->pushed().seq;
    Draft brief = draft("c", "brief");
    brief.ttl = 100;
    const uint64_t expiring = bench.publish(Draft(brief)).position.seq;
    const uint64_t kept = bench.say("c");
    bench.publish(Draft(brief)); // not the oldest
    const uint64_t last = bench.say("c");
    assert_true(seqs(bench.read({"c"}, bench.behind(before))).front() == expiring);
    bench.clock.advance(100);
    const Page page = bench.read({"c"}, bench.behind(before));
    assert_true(page.gaps.empty());
    assert_true(seqs(page) == Seqs({kept, last}));
}

static void test_unstored(void** state) {
    BrokerBench bench(state);
    Mailbox box(SIZE_MAX, [] {});
    const size_t worker = bench.broker->add_worker(box);
    bench.subscribe(worker, {"c"});
    const uint64_t first = bench.say("c");
    Draft typing = draft("c", "typing");
    typing.store = false;
    const Published unstored = bench.publish(std::move(typing));
    assert_int_equal(unstored.n, 0);
    assert_true(unstored.position.seq > first);
    const Published third = bench.publish(draft("c", "x"));
    assert_int_equal(third.n, 2);
    assert_true(drain(box) == Seqs({first, unstored.position.seq, third.position.seq}));
    const Page page = bench.read({"c"}, bench.behind(first - 1));
    assert_true(page.gaps.empty());
    assert_true(seqs(page) == Seqs({first, third.position.seq}));
    assert_int_equal(bench.facts("c")->messages, 2);
}

static void test_a_freed_channel_is_remembered(void** state) {
    BrokerBench bench(state);
    bench.settle([](ChannelSettings& settings) { settings.history_ttl = 5000; });
    const uint64_t before = bench.broker->pushed().seq;
    const uint64_t aged = bench.say("aged");
    Draft brief = draft("brief", "x");
    brief.ttl = 10;
    bench.publish(std::move(brief));
    const uint64_t head = bench.broker->pushed().seq;
    assert_int_equal(bench.broker->channel_count(), 2);
    bench.clock.advance(7000);
    bench.tick();
    assert_int_equal(bench.broker->channel_count(), 0);
    assert_true(!bench.facts("aged"));

    Page page = bench.read({"aged"}, bench.behind(before));
    assert_int_equal(page.gaps.size(), 1);
    assert_gap(page.gaps[0], Gap::Why::Trimmed, before, 0);
    assert_true(bench.read({"aged"}, bench.behind(aged)).gaps.empty());
    assert_true(bench.read({"brief"}, bench.behind(before)).gaps.empty()); // its ttl is no gap
    assert_true(bench.read({"aged"}, earliest()).gaps.empty());

    const uint64_t again = bench.say("aged");
    assert_true(again > head);
    page = bench.read({"aged"}, bench.behind(before));
    assert_int_equal(page.gaps.size(), 1);
    assert_gap(page.gaps[0], Gap::Why::Trimmed, before, again);
}

static void test_pages(void** state) {
    BrokerBench bench(state);
    Seqs all;
    for (int i = 0; i < 50; ++i)
        all.push_back(bench.say(i % 3 ? "a" : "b", std::string(i % 7 * 100, 'x')));
    for (const auto& [messages, bytes] : std::vector<std::pair<size_t, size_t>>{
             {1, SIZE_MAX}, {7, SIZE_MAX}, {1000, 1}, {1000, 2000}}) {
        Stretch stretch;
        stretch.parts = {{"a", 0}, {"b", 0}};
        Seqs got;
        for (bool is_end = false; !is_end;) {
            stretch.max_messages = messages;
            stretch.max_bytes = bytes;
            Page page = bench.read(std::move(stretch));
            size_t sum = 0;
            for (const MessageRef& message : page.messages)
                sum += message->bytes();
            assert_true(page.messages.size() <= messages);
            assert_true(sum <= bytes || page.messages.size() == 1);
            assert_true(page.is_end || page.rest.after == page.messages.back()->position.seq);
            for (const uint64_t seq : seqs(page))
                got.push_back(seq);
            is_end = page.is_end;
            stretch = std::move(page.rest);
        }
        assert_true(got == all);
    }
}

static void test_new_limits_apply_to_what_is_kept(void** state) {
    BrokerBench bench(state);
    Seqs all;
    for (int i = 0; i < 5; ++i)
        all.push_back(bench.say("c"));
    bench.settle([](ChannelSettings& settings) { settings.history = 2; });
    const Page page = bench.read({"c"}, bench.behind(all[0]));
    assert_true(seqs(page) == Seqs({all[3], all[4]}));
    assert_gap(page.gaps.at(0), Gap::Why::Trimmed, all[0], all[3]);
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_rise_over_channels),
        cmocka_unit_test(test_a_batch_keeps_its_order),
        cmocka_unit_test(test_starts),
        cmocka_unit_test(test_newest_does_not_count_the_expired),
        cmocka_unit_test(test_a_start_is_behind_the_expired),
        cmocka_unit_test(test_foreign_positions),
        cmocka_unit_test(test_trimmed_by_count),
        cmocka_unit_test(test_trimmed_before_the_read),
        cmocka_unit_test(test_trimmed_by_bytes_and_age),
        cmocka_unit_test(test_no_history_at_all),
        cmocka_unit_test(test_ttl_is_no_gap),
        cmocka_unit_test(test_unstored),
        cmocka_unit_test(test_a_freed_channel_is_remembered),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_new_limits_apply_to_what_is_kept),
    };
    return run_broker_contract(tests);
}
