// SPDX-License-Identifier: Apache-2.0
// The broker contract: retained values, repeats, workers and their boxes, ends, lists, limits.
#include "tests/unit/broker_contract.h"

using namespace fanhorn;

namespace {

Draft state(std::string payload) {
    Draft draft = fanhorn::draft("c", std::move(payload));
    draft.retain = true;
    return draft;
}

// The payload of what a newcomer is given first; "-" for nothing.
std::string retained(BrokerBench& bench, Since since) {
    const Start start = bench.locate({"c"}, since);
    return start.channels.at(0).retained ? start.channels[0].retained->payload : "-";
}

Draft keyed(const std::string& channel, const std::string& payload, const std::string& key) {
    Draft draft = fanhorn::draft(channel, payload);
    draft.idempotency_key = key;
    return draft;
}

} // namespace

static void test_retained_goes_to_newcomers(void** state_of_test) {
    BrokerBench bench(state_of_test);
    bench.settle([](ChannelSettings& settings) { settings.history = 2; });
    const uint64_t before = bench.broker->pushed().seq;
    assert_text(retained(bench, {}), "-");
    const uint64_t put = bench.publish(state("on")).position.seq;

    assert_text(retained(bench, {}), "on");        // nothing is replayed to it
    assert_text(retained(bench, newest(0)), "on"); // nor here
    assert_text(retained(bench, earliest()), "-"); // comes with the replay
    assert_text(retained(bench, newest(1)), "-");
    assert_text(retained(bench, bench.behind(before)), "-");
    assert_text(retained(bench, bench.behind(put)), "-"); // not newer than `since`

    bench.say("c", "an ordinary message replaces nothing");
    assert_text(retained(bench, {}), "on");
    assert_text(retained(bench, newest(1)), "on"); // its replay begins behind it
    bench.say("c", "now it has left the history");
    assert_text(retained(bench, earliest()), "on");
    assert_text(retained(bench, bench.behind(before)), "on"); // newer than `since`, and gone there
    assert_text(retained(bench, bench.behind(put)), "-");
    const Since foreign = {.kind = Since::Kind::After, .count = 0, .position = {7, 999'999}};
    assert_text(retained(bench, foreign), "on");

    bench.publish(state("off"));
    assert_text(retained(bench, {}), "off");
}

static void test_retained_outlives_the_history(void** state_of_test) {
    BrokerBench bench(state_of_test);
    bench.settle([](ChannelSettings& settings) {
        settings.history = 0;
        settings.history_ttl = 1000;
    });
    bench.publish(state("kept"));
    bench.clock.advance(3'600'000);
    bench.tick();
    assert_text(retained(bench, {}), "kept");
    assert_text(retained(bench, earliest()), "kept");
    assert_int_equal(bench.broker->channel_count(), 1);

    Draft brief = state("brief");
    brief.ttl = 5000;
    bench.publish(std::move(brief));
    bench.clock.advance(4999);
    assert_text(retained(bench, {}), "brief");
    bench.clock.advance(1); // whatever the ticks
    assert_text(retained(bench, {}), "-");
    bench.clock.advance(2000);
    bench.tick();
    assert_int_equal(bench.broker->channel_count(), 0); // nothing keeps it
}

static void test_retained_ends_with_delete(void** state_of_test) {
    BrokerBench bench(state_of_test);
    Draft unstored = state("unstored");
    unstored.store = false;
    bench.publish(std::move(unstored));
    assert_text(retained(bench, {}), "unstored");
    assert_text(retained(bench, earliest()), "unstored"); // no replay brings it
    assert_true(bench.remove("c"));
    assert_text(retained(bench, {}), "-");
}

static void test_a_repeat_publishes_nothing(void** state_of_test) {
    BrokerBench bench(state_of_test);
    Mailbox box(SIZE_MAX, [] {});
    bench.subscribe(bench.broker->add_worker(box), {"c"});
    const Published first = bench.publish(keyed("c", "pay", "k1"));
    assert_true(first.status == Published::Status::Published);
    const Published again = bench.publish(keyed("c", "pay", "k1"));
    assert_true(again.status == Published::Status::Replayed);
    assert_true(again.position == first.position);
    assert_int_equal(again.n, first.n);
    assert_true(bench.publish(keyed("c", "other", "k1")).status == Published::Status::Mismatch);
    assert_true(drain(box) == Seqs({first.position.seq}));
    assert_int_equal(bench.facts("c")->messages, 1);

    // A key is its channel's own, and a batch is no exception.
    std::vector<Draft> drafts;
    drafts.push_back(keyed("d", "other", "k1"));
    drafts.push_back(keyed("d", "other", "k1"));
    const auto results = bench.publish_all(std::move(drafts));
    assert_true(results[0].status == Published::Status::Published);
    assert_true(results[1].status == Published::Status::Replayed);
    assert_true(results[1].position == results[0].position);
}

static void test_keys_last_five_minutes(void** state_of_test) {
    BrokerBench bench(state_of_test);
    const Published first = bench.publish(keyed("c", "pay", "k"));
    bench.clock.advance(299'999);
    assert_true(bench.publish(keyed("c", "pay", "k")).status == Published::Status::Replayed);
    bench.clock.advance(1); // five minutes after the first one
    const Published later = bench.publish(keyed("c", "pay", "k"));
    assert_true(later.status == Published::Status::Published);
    assert_true(later.position.seq > first.position.seq);
}

static void test_a_refused_publish_leaves_its_key_free(void** state_of_test) {
    BrokerBench bench(state_of_test);
    bench.settle([](ChannelSettings&) {}, {.channels = 0});
    assert_true(bench.publish(keyed("c", "pay", "k")).status == Published::Status::ChannelsFull);
    bench.settle([](ChannelSettings&) {});
    assert_true(bench.publish(keyed("c", "pay", "k")).status == Published::Status::Published);
}

static void test_boxes_get_what_is_wanted(void** state_of_test) {
    BrokerBench bench(state_of_test);
    size_t wakes = 0;
    Mailbox first(SIZE_MAX, [&] { ++wakes; });
    Mailbox second(SIZE_MAX, [] {});
    const size_t a = bench.broker->add_worker(first);
    const size_t b = bench.broker->add_worker(second);
    bench.say("c");
    const Start start = bench.subscribe(a, {"c", "d"});
    bench.subscribe(a, {"d"}); // wanted already
    bench.subscribe(b, {"d"});
    assert_int_equal(start.head, bench.broker->pushed().seq);
    assert_non_null(start.channels[0].audience.get());

    const uint64_t c = bench.say("c"), d = bench.say("d");
    bench.say("e");
    assert_int_equal(wakes, 1);
    assert_true(drain(first) == Seqs({c, d}));
    assert_true(drain(second) == Seqs({d}));

    bench.unsubscribe(a, "d");
    const uint64_t later = bench.say("d");
    assert_true(drain(first).empty());
    assert_true(drain(second) == Seqs({later}));
}

static void test_subscribers_are_counted(void** state_of_test) {
    BrokerBench bench(state_of_test);
    Mailbox box(SIZE_MAX, [] {});
    const size_t worker = bench.broker->add_worker(box);
    const Start start = bench.subscribe(worker, {"c"});
    start.channels[0].audience->count[1] = 7;
    start.channels[0].audience->count[2] = 3;
    assert_int_equal(bench.publish(draft("c", "x")).subscribers, 10);
    assert_int_equal(bench.facts("c")->subscribers[1], 7);
    assert_int_equal(bench.publish(draft("d", "x")).subscribers, 0);
}

static void test_remove(void** state_of_test) {
    BrokerBench bench(state_of_test);
    Mailbox box(SIZE_MAX, [] {}), other(SIZE_MAX, [] {});
    bench.subscribe(bench.broker->add_worker(box), {"c"});
    bench.broker->add_worker(other);
    const uint64_t first = bench.say("c"), second = bench.say("c");
    assert_true(bench.remove("c"));
    const uint64_t third = bench.say("c");

    Mailbox::Batch batch;
    box.take(batch);
    assert_int_equal(batch.mail.size(), 4); // in the order of what happened
    assert_int_equal(batch.mail[1].message->position.seq, second);
    const Notice& notice = *batch.mail[2].notice;
    assert_true(notice.kind == Notice::Kind::Ended);
    assert_text(notice.channel, "c");
    assert_true(notice.seq > second && notice.seq < third);
    assert_int_equal(batch.mail[3].message->position.seq, third);
    other.take(batch);
    assert_true(batch.mail.empty());

    const Page page = bench.read({"c"}, bench.behind(first));
    assert_int_equal(page.gaps.at(0).next.seq, third);
    assert_true(seqs(page) == Seqs({third}));
    assert_true(bench.removal("unknown") == Removal::Unknown);
    // Who comes behind the end is not ended by it.
    bench.remove("c");
    box.take(batch);
    assert_true(bench.locate({"c"}, {}).head >= batch.mail.at(0).notice->seq);
    assert_true(bench.broker->pushed().seq >= batch.mail.at(0).notice->seq);
}

static void test_facts(void** state_of_test) {
    BrokerBench bench(state_of_test);
    bench.settle([](ChannelSettings& settings) {
        settings.pattern = "**";
        settings.history = 2;
        settings.history_ttl = 1000;
    });
    assert_true(!bench.facts("c"));
    bench.say("c");
    const uint64_t second = bench.say("c", "four"), third = bench.say("c");
    const ChannelFacts facts = *bench.facts("c");
    assert_text(facts.channel, "c");
    assert_text(facts.section, "**");
    assert_int_equal(facts.messages, 2);
    assert_true(facts.bytes > 5 && facts.bytes < 2000);
    assert_int_equal(facts.first.seq, second);
    assert_int_equal(facts.last.seq, third);
    assert_int_equal(facts.n, 3);
    bench.clock.advance(1000);
    const auto empty = bench.facts("c"); // it may be gone already
    assert_true(!empty || (empty->messages == 0 && empty->first.epoch == 0));
}

static void test_lists(void** state_of_test) {
    BrokerBench bench(state_of_test);
    for (const char* name : {"chat:b", "chat:a", "chat:c", "news", "a", "chat"})
        bench.say(name);
    const struct {
        const char *prefix, *cursor;
        size_t limit;
        std::vector<std::string> names;
        const char* next;
    } kRows[] = {
        {"", "", 100, {"a", "chat", "chat:a", "chat:b", "chat:c", "news"}, ""},
        {"chat:", "", 100, {"chat:a", "chat:b", "chat:c"}, ""},
        {"chat:", "", 2, {"chat:a", "chat:b"}, "chat:c"},
        {"chat:", "chat:c", 2, {"chat:c"}, ""},
        {"chat:", "chat:bb", 2, {"chat:c"}, ""}, // it was freed between
        {"chat:", "a", 1, {"chat:a"}, "chat:b"}, // before the prefix
        {"chat:", "z", 2, {}, ""},
        {"none", "", 2, {}, ""},
        {"", "", 6, {"a", "chat", "chat:a", "chat:b", "chat:c", "news"}, ""},
    };
    for (const auto& row : kRows) {
        const ChannelList list = bench.list(row.prefix, row.cursor, row.limit);
        std::vector<std::string> names;
        for (const ChannelFacts& facts : list.channels)
            names.push_back(facts.channel);
        assert_row(row.prefix, names == row.names);
        assert_row(row.prefix, list.cursor == row.next);
    }
}

static void test_max_channels(void** state_of_test) {
    BrokerBench bench(state_of_test);
    bench.settle([](ChannelSettings&) {}, {.channels = 2});
    Mailbox box(SIZE_MAX, [] {});
    const size_t worker = bench.broker->add_worker(box);
    bench.say("a");
    assert_true(bench.subscribe(worker, {"b", "c"}).status == Start::Status::ChannelsFull);
    assert_int_equal(bench.broker->channel_count(), 1); // all or nothing
    bench.say("b");
    assert_true(drain(box).empty());
    assert_true(bench.publish(draft("c", "x")).status == Published::Status::ChannelsFull);
    assert_int_equal(bench.counters.limit_hits[static_cast<size_t>(Limit::Channels)].value(), 2);
    bench.say("a");
    assert_true(bench.locate({"new"}, {}).status == Start::Status::Placed); // makes none
    assert_int_equal(bench.broker->channel_count(), 2);
    assert_true(bench.subscribe(worker, {"a", "b"}).status == Start::Status::Placed);
}

static void test_a_section_goes_with_a_reload(void** state_of_test) {
    BrokerBench bench(state_of_test);
    Mailbox box(SIZE_MAX, [] {});
    const size_t worker = bench.broker->add_worker(box);
    const uint64_t first = bench.say("gone");
    auto rules = std::make_shared<TestRules>();
    rules->exact["stays"] = {};
    rules->others = nullptr;
    bench.broker->configure(rules, {.channels = 1000});
    assert_true(bench.publish(draft("gone", "x")).status == Published::Status::NoSection);
    assert_true(bench.publish(draft("new", "x")).status == Published::Status::NoSection);
    assert_true(bench.subscribe(worker, {"stays", "gone"}).status == Start::Status::NoSection);
    bench.say("stays");
    assert_true(drain(box).empty());
    assert_true(bench.read({"gone"}, bench.behind(first - 1)).messages.empty());
}

static void test_ticks_free_what_is_over(void** state_of_test) {
    BrokerBench bench(state_of_test);
    // Beyond any number of buckets, between ticks that come late or not at all.
    bench.settle([](ChannelSettings& settings) { settings.history_ttl = 7'200'000; });
    for (int i = 0; i < 600; ++i)
        bench.say("c" + std::to_string(i));
    assert_int_equal(bench.broker->channel_count(), 600);
    for (int i = 0; i < 7; ++i) {
        bench.clock.advance(1'000'000);
        bench.tick();
        assert_int_equal(bench.broker->channel_count(), 600);
    }
    for (int i = 0; i < 210; ++i) {
        bench.clock.advance(1000);
        bench.tick();
    }
    assert_int_equal(bench.broker->channel_count(), 0);
}

static void test_a_wanted_channel_is_not_freed(void** state_of_test) {
    BrokerBench bench(state_of_test);
    Mailbox box(SIZE_MAX, [] {});
    const size_t worker = bench.broker->add_worker(box);
    bench.subscribe(worker, {"c"});
    Draft unstored = draft("c", "x");
    unstored.store = false;
    bench.publish(std::move(unstored));
    assert_int_equal(bench.broker->channel_count(), 1);
    bench.unsubscribe(worker, "c");
    assert_int_equal(bench.broker->channel_count(), 0);
    bench.unsubscribe(worker, "c"); // nor is a second time an accident
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_retained_goes_to_newcomers),
        cmocka_unit_test(test_retained_outlives_the_history),
        cmocka_unit_test(test_retained_ends_with_delete),
        cmocka_unit_test(test_a_repeat_publishes_nothing),
        cmocka_unit_test(test_keys_last_five_minutes),
        cmocka_unit_test(test_a_refused_publish_leaves_its_key_free),
        cmocka_unit_test(test_boxes_get_what_is_wanted),
        cmocka_unit_test(test_subscribers_are_counted),
        cmocka_unit_test(test_remove),
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_max_channels),
        cmocka_unit_test(test_a_section_goes_with_a_reload),
        cmocka_unit_test(test_ticks_free_what_is_over),
        cmocka_unit_test(test_a_wanted_channel_is_not_freed),
    };
    return run_broker_contract(tests);
}
