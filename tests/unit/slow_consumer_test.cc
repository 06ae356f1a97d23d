// SPDX-License-Identifier: Apache-2.0
// Streams whose clients do not read, mailboxes that run over, and how subscriptions end.
#include "tests/unit/relay_bench.h"

#include "tests/unit/test.h"

using namespace fanhorn;

namespace {

constexpr Millis kSendTimeout = 15'000;
const std::string kTen = "0123456789";

// Of three frames of kTen, each about twenty bytes and its entry. Two are kept: a third may be half
// sent and counts.
constexpr uint32_t kThreeFrames = 60 + 3 * sizeof(Frame);

void few_frames(RelayBench& bench, SlowConsumer policy, uint32_t history = 100) {
    bench.settle([&](ChannelSettings& settings) {
        settings.slow_consumer = policy;
        settings.slow_consumer_limit = kThreeFrames;
        settings.history = history;
    });
}

// Shuts the socket and publishes `count` messages on the channel; their seqs.
std::vector<uint64_t> run_away(RelayBench& bench, Stream& stream, int count,
                               const char* channel = "c") {
    stream.taken();
    stream.sink.room = 0;
    std::vector<uint64_t> seqs;
    for (int i = 0; i < count; ++i) {
        seqs.push_back(bench.say(channel, kTen));
        bench.worker.turn();
    }
    return seqs;
}

uint64_t evicted(RelayBench& bench, SlowConsumer policy) {
    return bench.worker.counters.evictions[static_cast<size_t>(policy)].value();
}

} // namespace

static void test_gap_goes_on_within_the_limit(void**) {
    RelayBench bench;
    few_frames(bench, SlowConsumer::Gap);
    Stream stream(bench, {"c"});
    const uint64_t start = stream.subscriber.position().seq;
    const auto seqs = run_away(bench, stream, 10);
    stream.open();
    std::string rest; // two frames
    for (int i = 8; i < 10; ++i)
        rest += bench.frame(seqs[i], "c", kTen);
    assert_text(stream.taken(),
                "gc," + bench.at(start) + "," + bench.at(seqs[8]) + ",overflow,0;" + rest);
    assert_int_equal(evicted(bench, SlowConsumer::Gap), 1);
    assert_int_equal(stream.subscriber.position().seq, seqs[9]);
}

static void test_within_the_limit_nothing_is_lost(void**) {
    RelayBench bench;
    few_frames(bench, SlowConsumer::Disconnect);
    Stream stream(bench, {"c"});
    const auto seqs = run_away(bench, stream, 2);
    stream.open();
    assert_text(stream.taken(), bench.frame(seqs[0], "c", kTen) + bench.frame(seqs[1], "c", kTen));
}

static void test_latest_goes_on_at_the_end(void**) {
    RelayBench bench;
    few_frames(bench, SlowConsumer::Latest);
    Stream stream(bench, {"c"});
    const uint64_t start = stream.subscriber.position().seq;
    const auto seqs = run_away(bench, stream, 10);
    stream.open();
    assert_text(stream.taken(),
                "gc," + bench.at(start) + ",null,overflow,0;p" + bench.at(seqs[9]) + ";");
    const uint64_t next = bench.say("c");
    bench.worker.turn();
    assert_text(stream.taken(), bench.frame(next, "c"));
}

// What was told must be had in all channels: the other one's frames come first.
static void test_latest_on_one_of_two_channels(void**) {
    RelayBench bench;
    bench.settle([](ChannelSettings& settings) { settings.slow_consumer_limit = 1000; });
    ChannelSettings narrow;
    narrow.slow_consumer = SlowConsumer::Latest;
    narrow.slow_consumer_limit = kThreeFrames;
    bench.rules->exact["narrow"] = narrow;
    bench.apply();
    Stream stream(bench, {"narrow", "wide"});
    const auto wide = run_away(bench, stream, 1, "wide");
    const auto seqs = run_away(bench, stream, 10, "narrow");
    stream.open(0);
    assert_true(stream.subscriber.position().seq < wide[0]);
    stream.open();
    const std::string got = stream.taken();
    const std::string gap = "gnarrow," + bench.at(wide[0] - 1) + ",null,overflow,0;";
    assert_text(got, gap + bench.frame(wide[0], "wide", kTen));
    stream.subscriber.heartbeat();
    assert_text(stream.taken(), "b" + bench.at(seqs[9]) + ";");
}

static void test_disconnect(void**) {
    RelayBench bench;
    few_frames(bench, SlowConsumer::Disconnect);
    Stream first(bench, {"c"}), second(bench, {"c"}), third(bench, {"c"});
    second.sink.room = 0;
    third.taken();
    run_away(bench, first, 10);
    const std::string farewell =
        "f" + std::to_string(static_cast<int>(Farewell::Why::SlowConsumer)) + ";";
    first.open(); // when it reads again
    assert_text(first.taken(), farewell);
    assert_true(first.sink.is_finished);
    second.taken();
    bench.worker.hub.tick(kSendTimeout); // or when somebody looks
    assert_true(second.subscriber.state() == Subscriber::State::Closing);
    second.open();
    assert_text(second.taken(), farewell);
    assert_true(second.sink.is_finished);
    assert_false(third.sink.is_finished); // it reads
    assert_int_equal(evicted(bench, SlowConsumer::Disconnect), 2);
}

static void test_who_reads_nothing_is_cut_off(void**) {
    RelayBench bench;
    Stream stream(bench, {"c"}), several(bench, {"c", "d"}), reader(bench, {"c"});
    several.sink.room = 0;
    run_away(bench, stream, 1);
    bench.clock.advance(kSendTimeout);
    bench.worker.hub.tick(kSendTimeout);
    assert_false(stream.sink.is_finished);
    bench.clock.advance(1);
    bench.worker.hub.tick(kSendTimeout);
    assert_true(stream.sink.is_finished && several.sink.is_finished);
    assert_false(reader.sink.is_finished);
    assert_true(stream.subscriber.state() == Subscriber::State::Closed);
}

// Ready when a frame of its own filled the socket: it must not be forgotten by the clock.
static void test_stalled_while_ready(void**) {
    RelayBench bench;
    Stream stream(bench, {"c", "d"});
    stream.taken();
    bench.say("c");
    bench.worker.deliver(); // ready
    stream.sink.room = 3;
    stream.subscriber.control("control;");
    bench.worker.turn();
    bench.clock.advance(kSendTimeout + 1);
    bench.worker.hub.tick(kSendTimeout);
    assert_true(stream.sink.is_finished);
}

// The frames kept for a reader of "c" that stopped, beside one who reads these channels.
static void check_pinned(const std::vector<std::string>& others) {
    RelayBench bench;
    few_frames(bench, SlowConsumer::Gap);
    Stream slow(bench, {"c"}), fast(bench, others);
    run_away(bench, slow, 100);
    Feed* feed = nullptr;
    { // a third one finds the feed that the two share
        Wish wish = bench.wish({"c"}, {}, bench.encoding);
        Start start;
        ChannelStart channel_start;
        channel_start.audience = make_ref<Audience>();
        Subscription probe;
        Channel& channel = bench.worker.hub.enter(probe, bench.encoding, "c", bench.worker.end,
                                                  *wish.settings[0], start, channel_start);
        feed = channel.first_feed();
        assert_true(feed->next() - feed->first() <= 3);
        bench.worker.hub.leave(probe);
    }
    slow.open();
    assert_int_equal(feed->first(), feed->next()); // everybody has everything
}

static void test_a_stopped_reader_pins_no_more_than_the_limit(void**) {
    check_pinned({"c"});
    check_pinned({"c", "d"}); // has something to send whenever a message is appended
}

// What everybody still has to get is kept beyond the limit, but not for longer.
static void test_a_turn_is_offered_whole(void**) {
    RelayBench bench;
    few_frames(bench, SlowConsumer::Gap);
    Stream slow(bench, {"c"}), fast(bench, {"c", "d"});
    run_away(bench, slow, 10);
    fast.taken();
    std::string all;
    for (int i = 0; i < 10; ++i)
        all += bench.frame(bench.say("c", kTen), "c", kTen);
    bench.worker.turn();
    assert_text(fast.taken(), all);
    const uint64_t start = slow.subscriber.position().seq;
    slow.open();
    assert_true(slow.taken().starts_with("gc," + bench.at(start)));
}

static void test_pongs_do_not_pile_up(void**) {
    RelayBench bench;
    Stream stream(bench, {"c"});
    run_away(bench, stream, 1);
    for (int i = 0; i < 10'000; ++i)
        stream.subscriber.control("control;");
    stream.open();
    const std::string got = stream.taken();
    assert_true(got.size() > 4096 && got.size() < 5000);
    assert_true(got.ends_with(":c:" + kTen + ";")); // and what is due comes all the same
}

// ---- mailboxes that run over

static void test_overflow_is_read_from_history(void**) {
    RelayBench bench(0); // nothing but marks
    Stream single(bench, {"c"}), several(bench, {"c", "d"});
    for (Stream* each : {&single, &several})
        each->taken();
    const uint64_t first = bench.say("c"), second = bench.say("d"), third = bench.say("c");
    bench.worker.turn();
    assert_text(single.taken(), bench.frame(first, "c") + bench.frame(third, "c"));
    assert_text(several.taken(),
                bench.frame(first, "c") + bench.frame(second, "d") + bench.frame(third, "c"));
}

static void test_overflow_that_history_lost_is_a_gap(void**) {
    RelayBench bench(0);
    bench.settle([](ChannelSettings& settings) { settings.history = 1; });
    Stream stream(bench, {"c"});
    const uint64_t start = stream.subscriber.position().seq;
    stream.taken();
    bench.say("c");
    const uint64_t second = bench.say("c");
    bench.worker.turn();
    assert_text(stream.taken(), "gc," + bench.at(start) + "," + bench.at(second) + ",overflow,0;" +
                                    bench.frame(second, "c"));
    bench.settle([](ChannelSettings& settings) { settings.history = 0; });
    const uint64_t third = bench.say("c");
    bench.worker.turn();
    assert_text(stream.taken(),
                "gc," + bench.at(second) + ",null,overflow,0;p" + bench.at(third) + ";");
}

// ---- ends

static const std::string kEnded = "f2;";

static void test_a_deleted_channel_ends(void**) {
    RelayBench bench;
    Stream single(bench, {"c"}), several(bench, {"c", "d"});
    for (Stream* each : {&single, &several})
        each->taken();
    const uint64_t last = bench.say("c");
    bench.broker->remove("c", [](Removal) {});
    const uint64_t behind = bench.say("d");
    bench.worker.turn();
    const std::string ending = bench.frame(last, "c"); // what was published before it comes first
    assert_text(single.taken(), ending + "ec,deleted;" + kEnded);
    assert_true(single.sink.is_finished);
    assert_text(several.taken(), ending + bench.frame(behind, "d") + "ec,deleted;");
    bench.say("c");
    const uint64_t next = bench.say("d");
    bench.worker.turn();
    assert_text(several.taken(), bench.frame(next, "d")); // the other one goes on
    bench.broker->remove("d", [](Removal) {});
    bench.worker.turn();
    assert_text(several.taken(), "ed,deleted;" + kEnded);
    assert_true(several.sink.is_finished);
}

static void test_an_idle_reader_is_ended_at_once(void**) {
    RelayBench bench;
    bench.say("c");
    Stream stream(bench, {"c"});
    stream.taken();
    bench.broker->remove("c", [](Removal) {});
    Stream newcomer(bench, {"c"}); // behind the end
    bench.worker.turn();
    assert_text(stream.taken(), "ec,deleted;" + kEnded);
    assert_false(newcomer.sink.is_finished);
    const uint64_t next = bench.say("c");
    bench.worker.turn();
    assert_true(newcomer.taken().ends_with(bench.frame(next, "c")));
}

static void test_a_slow_reader_is_ended_behind_its_frames(void**) {
    for (const auto& channels : std::vector<std::vector<std::string>>{{"c"}, {"c", "d"}}) {
        RelayBench bench;
        Stream stream(bench, channels);
        const auto seqs = run_away(bench, stream, 2);
        bench.broker->remove("c", [](Removal) {});
        bench.worker.turn();
        stream.open(5);
        stream.open();
        assert_text(stream.taken(), bench.frame(seqs[0], "c", kTen) +
                                        bench.frame(seqs[1], "c", kTen) + "ec,deleted;" +
                                        (channels.size() == 1 ? kEnded : ""));
        assert_int_equal(stream.sink.is_finished, channels.size() == 1);
    }
}

// The history that an overflow would have been read from went with its channel.
static void test_an_end_after_an_overflow(void**) {
    for (const auto& channels : std::vector<std::vector<std::string>>{{"c"}, {"c", "d"}})
        for (const bool is_slow : {false, true}) {
            RelayBench bench(0);
            Stream stream(bench, channels);
            stream.taken();
            if (is_slow) {
                stream.sink.room = 2;
                stream.subscriber.control("control;");
            }
            bench.say("c");
            bench.broker->remove("c", [](Removal) {});
            const uint64_t behind = bench.say("d");
            bench.worker.turn();
            if (is_slow)
                stream.open();
            std::string got = stream.taken();
            if (is_slow)
                got.erase(0, 8); // control;
            assert_text(got, channels.size() == 1 ? "ec,deleted;" + kEnded
                                                  : "ec,deleted;" + bench.frame(behind, "d"));
        }
}

static void test_a_section_that_went(void**) {
    RelayBench bench;
    Stream stream(bench, {"gone"}), stays(bench, {"stays"});
    stream.taken();
    bench.rules = std::make_shared<TestRules>();
    bench.rules->others = nullptr;
    bench.rules->exact["stays"] = {};
    bench.apply();
    assert_text(stream.taken(), "egone,channel_unknown;" + kEnded);
    assert_false(stays.sink.is_finished);
    bench.worker.turn();
}

static void test_last_words(void**) {
    RelayBench bench;
    Stream idle(bench, {"c"}), busy(bench, {"c"}), broken(bench, {"c"});
    for (Stream* each : {&idle, &busy, &broken})
        each->taken();
    idle.subscriber.close({});
    assert_text(idle.taken(), "f0;");
    assert_true(idle.sink.is_finished);
    idle.subscriber.close({}); // once is enough
    idle.subscriber.control("control;");
    idle.subscriber.heartbeat();
    assert_text(idle.taken(), "");

    busy.sink.room = 4;
    const uint64_t seq = bench.say("c");
    bench.worker.turn();
    busy.subscriber.close_with("last;");
    bench.say("c"); // too late
    bench.worker.turn();
    assert_false(busy.sink.is_finished);
    busy.open();
    assert_text(busy.taken(), bench.frame(seq, "c") + "last;");
    assert_true(busy.sink.is_finished);

    broken.taken();
    broken.sink.breaks_next = true;
    broken.subscriber.close({});
    assert_true(broken.subscriber.state() == Subscriber::State::Closed);
    assert_false(broken.sink.is_finished); // it closes itself
}

static void test_who_is_furthest_behind(void**) {
    RelayBench bench;
    Stream reading(bench, {"c"}), near(bench, {"c"}), far(bench, {"c", "d"});
    run_away(bench, far, 5);
    run_away(bench, near, 3);
    assert_int_equal(near.subscriber.bytes_behind() / far.subscriber.bytes_behind(), 0);
    auto found = bench.worker.hub.furthest_behind(8, {});
    assert_int_equal(found.size(), 2);
    assert_ptr_equal(found[0], &far.sink);
    assert_ptr_equal(found[1], &near.sink);
    FakeSink most, between; // of answers
    found = bench.worker.hub.furthest_behind(
        8, {{&between, near.subscriber.bytes_behind() + 1}, {&most, 1 << 20}});
    assert_true(found == std::vector<Sink*>({&most, &far.sink, &between, &near.sink}));
    far.open();
    assert_int_equal(far.subscriber.bytes_behind(), 0);
    assert_int_equal(bench.worker.hub.furthest_behind(8, {}).size(), 1);
}

static void test_how_many_are_furthest_behind(void**) {
    RelayBench bench;
    std::vector<std::unique_ptr<Stream>> streams;
    const auto add = [&](size_t count) {
        while (streams.size() < count) {
            streams.push_back(std::make_unique<Stream>(bench, std::vector<std::string>{"c"}));
            run_away(bench, *streams.back(), 1);
        }
    };
    assert_true(bench.worker.hub.furthest_behind(8, {}).empty());
    add(40);
    const auto found = bench.worker.hub.furthest_behind(2, {});
    assert_int_equal(found.size(), 20);
    for (size_t i = 0; i < found.size(); ++i) // who stopped first
        assert_ptr_equal(found[i], &streams[i]->sink);
    assert_int_equal(bench.worker.hub.furthest_behind(8, {}).size(), 16);
    assert_int_equal(bench.worker.hub.furthest_behind(1, {}).size(), 40);
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_gap_goes_on_within_the_limit),
        cmocka_unit_test(test_within_the_limit_nothing_is_lost),
        cmocka_unit_test(test_latest_goes_on_at_the_end),
        cmocka_unit_test(test_latest_on_one_of_two_channels),
        cmocka_unit_test(test_disconnect),
        cmocka_unit_test(test_who_reads_nothing_is_cut_off),
        cmocka_unit_test(test_stalled_while_ready),
        cmocka_unit_test(test_a_stopped_reader_pins_no_more_than_the_limit),
        cmocka_unit_test(test_a_turn_is_offered_whole),
        cmocka_unit_test(test_pongs_do_not_pile_up),
        cmocka_unit_test(test_overflow_is_read_from_history),
        cmocka_unit_test(test_overflow_that_history_lost_is_a_gap),
        cmocka_unit_test(test_a_deleted_channel_ends),
        cmocka_unit_test(test_an_idle_reader_is_ended_at_once),
        cmocka_unit_test(test_a_slow_reader_is_ended_behind_its_frames),
        cmocka_unit_test(test_an_end_after_an_overflow),
        cmocka_unit_test(test_a_section_that_went),
        cmocka_unit_test(test_last_words),
        cmocka_unit_test(test_who_is_furthest_behind),
        cmocka_unit_test(test_how_many_are_furthest_behind),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
