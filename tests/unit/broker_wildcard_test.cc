// SPDX-License-Identifier: Apache-2.0
// The broker contract: wildcards.
#include "tests/unit/broker_contract.h"

using namespace fanhorn;

namespace {

void allow_wildcards(ChannelSettings& settings) {
    settings.wildcard = true;
}

// What is in a box: "channel:payload " each.
std::string taken(Mailbox& box) {
    Mailbox::Batch batch;
    box.take(batch);
    std::string all;
    for (const Mail& mail : batch.mail)
        if (mail.message)
            all += mail.message->channel + ":" + mail.message->payload + " ";
    return all;
}

// What a subscriber of a wildcard is given from its start on.
Page replayed(BrokerBench& bench, const Start& start, const std::string& wildcard) {
    Stretch stretch;
    stretch.after = start.after;
    stretch.parts = start.channels.at(0).matched;
    stretch.parts.push_back({wildcard, start.head});
    return bench.read(std::move(stretch));
}

std::string payloads(const Page& page) {
    std::string all;
    for (const MessageRef& message : page.messages)
        all += message->payload + " ";
    return all;
}

} // namespace

static void test_a_box_gets_what_matches_once(void** state) {
    BrokerBench bench(state);
    bench.settle(allow_wildcards);
    Mailbox box(SIZE_MAX, [] {}), other_box(SIZE_MAX, [] {});
    const size_t worker = bench.broker->add_worker(box);
    const size_t other = bench.broker->add_worker(other_box);
    assert_true(bench.subscribe(worker, {"a:1", "a:*", "a:**"}).status == Start::Status::Placed);
    assert_true(bench.subscribe(other, {"*:2"}).status == Start::Status::Placed);
    for (const char* channel : {"a:1", "a:2", "a:2:x", "b:2", "b:1", "$a:2"})
        bench.say(channel);
    assert_text(taken(box), "a:1:x a:2:x a:2:x:x ");
    assert_text(taken(other_box), "a:2:x b:2:x ");
    bench.unsubscribe(worker, "a:**");
    bench.unsubscribe(worker, "a:1");
    for (const char* channel : {"a:1", "a:2:x"})
        bench.say(channel);
    assert_text(taken(box), "a:1:x ");
    bench.unsubscribe(worker, "a:*");
    bench.unsubscribe(worker, "a:*"); // nor is a second time an accident
    bench.say("a:1");
    assert_text(taken(box), "");
}

static void test_only_its_own_section(void** state) {
    BrokerBench bench(state);
    bench.settle([&](ChannelSettings& settings) { settings.wildcard = true; });
    bench.rules->exact["a:secret"] = {};
    bench.broker->configure(bench.rules, {.channels = 1000});
    Mailbox box(SIZE_MAX, [] {});
    const size_t worker = bench.broker->add_worker(box);
    bench.say("a:secret");
    bench.say("a:open");
    const Start start = bench.subscribe(worker, {"a:*"}, earliest());
    assert_int_equal(replayed(bench, start, "a:*").messages.size(), 1);
    bench.say("a:secret");
    bench.say("a:open");
    assert_text(taken(box), "a:open:x ");
    bench.rules = std::make_shared<TestRules>(); // a reload
    bench.rules->others->wildcard = true;
    bench.rules->exact["a:open"] = {};
    bench.broker->configure(bench.rules, {.channels = 1000});
    bench.say("a:secret");
    bench.say("a:open");
    assert_text(taken(box), "a:secret:x ");
}

static void test_refused_wildcards(void** state) {
    BrokerBench bench(state);
    Mailbox box(SIZE_MAX, [] {});
    const size_t worker = bench.broker->add_worker(box);
    assert_true(bench.subscribe(worker, {"a:*"}).status == Start::Status::NoSection);
    bench.settle(allow_wildcards);
    bench.broker->configure(bench.rules, {.channels = 1000, .wildcards = 2});
    assert_true(bench.subscribe(worker, {"a:*", "b:*", "c:*"}).status ==
                Start::Status::WildcardsFull);
    assert_int_equal(bench.counters.limit_hits[static_cast<size_t>(Limit::Wildcards)].value(), 1);
    bench.say("a:1");
    assert_text(taken(box), ""); // all of them or none
    assert_true(bench.subscribe(worker, {"d:*", "e:*"}).status == Start::Status::Placed);
    assert_true(bench.subscribe(worker, {"d:*"}).status == Start::Status::Placed);
    bench.unsubscribe(worker, "d:*");
    assert_true(bench.subscribe(worker, {"f:*"}).status == Start::Status::Placed);
}

static void test_a_wildcard_keeps_no_channel(void** state) {
    BrokerBench bench(state);
    bench.settle([](ChannelSettings& settings) {
        settings.wildcard = true;
        settings.history = 0;
    });
    Mailbox box(SIZE_MAX, [] {});
    const size_t worker = bench.broker->add_worker(box);
    bench.subscribe(worker, {"a:*"});
    bench.say("a:1");
    assert_int_equal(bench.broker->channel_count(), 0);
    assert_text(taken(box), "a:1:x ");
}

static void test_its_subscribers_are_counted(void** state) {
    BrokerBench bench(state);
    bench.settle(allow_wildcards);
    Mailbox box(SIZE_MAX, [] {});
    const size_t worker = bench.broker->add_worker(box);
    const Start start = bench.subscribe(worker, {"a:*", "a:1"});
    start.channels.at(0).audience->count[0] = 3;
    start.channels.at(1).audience->count[0] = 2;
    assert_int_equal(bench.publish(draft("a:1", "x")).subscribers, 5);
    assert_int_equal(bench.publish(draft("a:2", "x")).subscribers, 3);
    assert_int_equal(bench.publish(draft("b:2", "x")).subscribers, 0);
    assert_int_equal(bench.facts("a:1")->subscribers[0], 5);
}

static void test_where_its_channels_begin(void** state) {
    BrokerBench bench(state);
    bench.settle(allow_wildcards);
    Mailbox box(SIZE_MAX, [] {});
    const size_t worker = bench.broker->add_worker(box);
    const uint64_t first = bench.say("a:1", "1");
    bench.say("a:2", "2");
    bench.say("b:2", "other");
    bench.say("a:1", "3");
    const auto all = [&](Since since) {
        return payloads(replayed(bench, bench.subscribe(worker, {"a:*"}, since), "a:*"));
    };
    assert_text(all({}), "");
    assert_text(all(earliest()), "1 2 3 ");
    assert_text(all(newest(1)), "2 3 ");
    assert_text(all(bench.behind(first)), "2 3 ");
    assert_int_equal(bench.subscribe(worker, {"a:*"}, bench.behind(first)).channels[0].floor,
                     first);
}

// A channel that came while a replay went on is found by the reads behind it.
static void test_a_channel_that_comes_during_a_replay(void** state) {
    BrokerBench bench(state);
    bench.settle(allow_wildcards);
    Mailbox box(SIZE_MAX, [] {});
    const size_t worker = bench.broker->add_worker(box);
    for (int i = 0; i < 10; ++i)
        bench.say("a:1", std::to_string(i));
    const Start start = bench.subscribe(worker, {"a:*"}, earliest());
    Stretch stretch;
    stretch.after = start.after;
    stretch.parts = start.channels.at(0).matched;
    stretch.parts.push_back({"a:*", start.head});
    stretch.max_messages = 4;
    std::string read;
    for (Page page = bench.read(std::move(stretch));; page = bench.read(std::move(page.rest))) {
        read += payloads(page);
        if (read == "0 1 2 3 ")
            bench.say("a:9", "new");
        assert_int_equal(page.gaps.size(), 0);
        if (page.is_end)
            break;
    }
    assert_text(read, "0 1 2 3 4 5 6 7 8 9 new ");
}

static std::string gap_text(const std::optional<Gap>& gap) {
    if (!gap)
        return "-";
    return gap->channel + " " + std::to_string(gap->next.seq) + " " +
           std::string(gap_reason(gap->why));
}

static void test_gaps_of_all_together(void** state) {
    BrokerBench bench(state);
    bench.settle(allow_wildcards);
    Mailbox box(SIZE_MAX, [] {});
    const size_t worker = bench.broker->add_worker(box);
    bench.say("b:1");
    const uint64_t first = bench.say("a:1");
    bench.say("a:2");
    const auto gap = [&](Since since) {
        return gap_text(bench.subscribe(worker, {"a:*"}, since).channels.at(0).gap);
    };
    assert_text(gap(bench.behind(1)), "-");
    assert_text(gap({.kind = Since::Kind::After, .count = 0, .position = {7, 1}}),
                "a:* " + std::to_string(first) + " epoch");
    assert_text(gap(bench.behind(first + 100)), "a:* " + std::to_string(first) + " ahead");
}

// One of its channels was freed: nothing has its name any more.
static void test_what_a_freed_channel_lost(void** state) {
    BrokerBench bench(state);
    bench.settle([](ChannelSettings& settings) {
        settings.wildcard = true;
        settings.history_ttl = 60'000;
    });
    Mailbox box(SIZE_MAX, [] {});
    const size_t worker = bench.broker->add_worker(box);
    const uint64_t first = bench.say("a:1");
    const uint64_t lost = bench.say("a:1");
    bench.clock.advance(30'000);
    const uint64_t kept = bench.say("a:2");
    for (int i = 0; i < 40; ++i) {
        bench.clock.advance(1000);
        bench.tick();
    }
    assert_int_equal(bench.broker->channel_count(), 1);
    const auto gap = [&](uint64_t since) {
        return gap_text(bench.subscribe(worker, {"a:*"}, bench.behind(since)).channels.at(0).gap);
    };
    assert_text(gap(first), "a:* " + std::to_string(kept) + " trimmed");
    assert_text(gap(lost), "-");
    bench.broker->configure(bench.rules, {.channels = 1000}); // a reload forgets nothing
    assert_text(gap(first), "a:* " + std::to_string(kept) + " trimmed");
    assert_text(gap(lost), "-");
}

// What a channel's limits dropped is told once, by its own name.
static void test_what_a_channel_lost(void** state) {
    BrokerBench bench(state);
    bench.settle([](ChannelSettings& settings) {
        settings.wildcard = true;
        settings.history = 2;
    });
    Mailbox box(SIZE_MAX, [] {});
    const size_t worker = bench.broker->add_worker(box);
    const uint64_t before = bench.say("a:2", "b");
    for (int i = 0; i < 5; ++i)
        bench.say("a:1", std::to_string(i));
    const Start start = bench.subscribe(worker, {"a:*"}, bench.behind(before));
    Page page = replayed(bench, start, "a:*");
    assert_text(payloads(page), "3 4 ");
    assert_int_equal(page.gaps.size(), 1);
    assert_text(gap_text(page.gaps[0]), "a:1 " + std::to_string(before + 4) + " trimmed");
    // And where the wildcard alone is named, as by who was too slow.
    Stretch stretch;
    stretch.after = before;
    stretch.parts = {{"a:*", 0}};
    stretch.max_messages = 1;
    page = bench.read(std::move(stretch));
    assert_text(payloads(page), "3 ");
    assert_int_equal(page.gaps.size(), 1);
    page = bench.read(std::move(page.rest));
    assert_text(payloads(page), "4 ");
    assert_int_equal(page.gaps.size(), 0);
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_a_box_gets_what_matches_once),
        cmocka_unit_test(test_only_its_own_section),
        cmocka_unit_test(test_refused_wildcards),
        cmocka_unit_test(test_a_wildcard_keeps_no_channel),
        cmocka_unit_test(test_its_subscribers_are_counted),
        cmocka_unit_test(test_where_its_channels_begin),
        cmocka_unit_test(test_a_channel_that_comes_during_a_replay),
        cmocka_unit_test(test_gaps_of_all_together),
        cmocka_unit_test(test_what_a_freed_channel_lost),
        cmocka_unit_test(test_what_a_channel_lost),
    };
    return run_broker_contract(tests);
}
