// SPDX-License-Identifier: Apache-2.0
// Streams on one worker, step by step; simulation_test.cc has the crowd.
#include "tests/unit/relay_bench.h"

#include "tests/unit/test.h"

using namespace fanhorn;

namespace {

uint64_t counted(const Counters& counters, Gap::Why why) {
    return counters.gaps[static_cast<size_t>(why)].value();
}

} // namespace

static void test_hello_replay_live(void**) {
    RelayBench bench;
    const uint64_t first = bench.say("c", "one");
    const uint64_t second = bench.say("c", "two");
    Stream latest(bench, {"c"});
    Stream resumed(bench, {"c"}, bench.behind(first));
    assert_text(latest.taken(), "h" + bench.at(second) + ";");
    assert_text(resumed.taken(), "h" + bench.at(first) + ";" + bench.frame(second, "c", "two"));
    assert_int_equal(resumed.subscriber.position().seq, second);

    const uint64_t third = bench.say("c", "three");
    assert_text(latest.taken(), ""); // nothing before the worker's turn
    bench.worker.turn();
    assert_text(latest.taken(), bench.frame(third, "c", "three"));
    assert_text(resumed.taken(), bench.frame(third, "c", "three"));
}

// The last seq of an epoch may be where the next one begins: those who have everything up to there
// have to look at the history, which says so. Waiting, and ahead of their worker.
static void test_a_hole_right_where_one_is(void**) {
    for (const bool is_young : {false, true}) {
        RelayBench bench;
        const uint64_t head = bench.say("c");
        if (!is_young)
            bench.worker.deliver();
        Stream stream(bench, {"c"});
        assert_text(stream.taken(), "h" + bench.at(head) + ";");
        auto notice = std::make_unique<Notice>();
        notice->kind = Notice::Kind::Lost;
        notice->channel = "c";
        notice->seq = head;
        const bool is_first = bench.worker.box.push(std::move(notice));
        assert_true(is_first);
        bench.worker.deliver();
        assert_true(bench.worker.hub.has_due());
        bench.worker.turn();
        const uint64_t next = bench.say("c");
        bench.worker.turn();
        assert_text(stream.taken(), bench.frame(next, "c"));
    }
}

static void test_one_call_for_a_turn(void**) {
    RelayBench bench;
    Stream stream(bench, {"c"});
    const size_t before = stream.sink.writes;
    std::string all;
    for (int i = 0; i < 50; ++i)
        all += bench.frame(bench.say("c"), "c");
    bench.worker.turn();
    stream.sink.received.erase(0, stream.sink.received.find(';') + 1);
    assert_text(stream.taken(), all);
    assert_int_equal(stream.sink.writes - before, 1);
}

static void test_frames_are_shared(void**) {
    struct CountingEncoding final : Encoding {
        TestEncoding inner{Use::Sse};
        int encoded = 0;
        Use use() const override { return inner.use(); }
        void message(std::string& out, const Message& message) override {
            ++encoded;
            inner.message(out, message);
        }
        void retained(std::string& out, const Message& m) override { inner.retained(out, m); }
        void gap(std::string& out, const Gap& gap) override { inner.gap(out, gap); }
        void hello(std::string& out, const Hello& hello) override { inner.hello(out, hello); }
        void position(std::string& out, Position at) override { inner.position(out, at); }
        void heartbeat(std::string& out, Position at) override { inner.heartbeat(out, at); }
        void end(std::string& out, std::string_view channel, std::string_view code) override {
            inner.end(out, channel, code);
        }
        void farewell(std::string& out, const Farewell& f) override { inner.farewell(out, f); }
    } encoding;
    RelayBench bench;
    std::vector<std::unique_ptr<Stream>> streams;
    for (int i = 0; i < 20; ++i)
        streams.push_back(std::make_unique<Stream>(bench.wish({"c"}, {}, encoding)));
    bench.say("c");
    bench.worker.turn();
    assert_int_equal(encoding.encoded, 1);
}

static void test_channels_merge_in_order(void**) {
    RelayBench bench;
    Stream stream(bench, {"a", "b", "c"});
    stream.taken();
    std::string all;
    for (const char* channel : {"c", "a", "b", "b", "a", "c", "a"})
        all += bench.frame(bench.say(channel), channel);
    bench.worker.turn();
    assert_text(stream.taken(), all);
}

static void test_torn_frames_are_completed(void**) {
    for (size_t room = 0; room < 40; ++room)
        for (const auto& channels : std::vector<std::vector<std::string>>{{"c"}, {"c", "d"}}) {
            RelayBench bench;
            Stream stream(bench, channels);
            stream.taken();
            const uint64_t before = stream.subscriber.position().seq;
            const uint64_t first = bench.say("c", "abcde");
            const uint64_t second = bench.say(channels.back(), "fghij");
            const std::string one = bench.frame(first, "c", "abcde");
            const std::string both = one + bench.frame(second, channels.back(), "fghij");
            stream.sink.room = room;
            bench.worker.turn();
            const size_t had = std::min(room, both.size());
            assert_text(stream.sink.received, both.substr(0, had));
            assert_int_equal(stream.subscriber.position().seq, had == both.size()  ? second
                                                               : had >= one.size() ? first
                                                                                   : before);
            if (!stream.sink.is_blocked)
                continue;
            const uint64_t third = bench.say("c", "later");
            bench.worker.turn();
            stream.open();
            assert_text(stream.taken(), both + bench.frame(third, "c", "later"));
            assert_int_equal(stream.subscriber.position().seq, third);
        }
}

static void test_heartbeats_tell_what_was_drained(void**) {
    RelayBench bench;
    Stream stream(bench, {"c"});
    stream.taken();
    const uint64_t elsewhere = bench.say("other");
    stream.subscriber.heartbeat();
    const std::string before = stream.taken();
    assert_true(before != "b" + bench.at(elsewhere) + ";"); // not yet drained
    bench.worker.turn();
    stream.subscriber.heartbeat();
    assert_text(stream.taken(), "b" + bench.at(elsewhere) + ";");

    stream.sink.room = 3;
    bench.say("c", "long enough");
    bench.worker.turn();
    stream.subscriber.heartbeat(); // not while the socket is full
    stream.open();
    assert_true(stream.sink.received.find('b') == std::string::npos);
}

static void test_excluded_and_unstored(void**) {
    RelayBench bench;
    Stream mine(bench, {"c"}), several(bench, {"c", "d"}), other(bench, {"c"});
    for (Stream* each : {&mine, &several, &other})
        each->taken();
    for (uint8_t number = 1; number <= 2; ++number) {
        Draft draft = fanhorn::draft("c", "echo");
        draft.exclude = connection_id(number);
        draft.store = number == 1;
        bench.publish(std::move(draft));
    }
    bench.worker.turn();
    const uint64_t head = bench.broker->pushed().seq;
    assert_text(mine.taken(), bench.frame(head, "c", "echo"));
    assert_text(several.taken(), bench.frame(head - 1, "c", "echo"));
    assert_text(other.taken(), bench.frame(head - 1, "c", "echo") + bench.frame(head, "c", "echo"));
    for (Stream* each : {&mine, &several, &other})
        assert_int_equal(each->subscriber.position().seq, head);
    // Nobody is replayed an unstored one, nor told of it.
    Stream late(bench, {"c"}, bench.behind(head - 2));
    assert_text(late.taken(), "h" + bench.at(head - 2) + ";" + bench.frame(head - 1, "c", "echo"));
}

static void test_retained_first(void**) {
    RelayBench bench;
    Draft state = draft("c", "on");
    state.retain = true;
    const uint64_t put = bench.publish(std::move(state));
    const uint64_t head = bench.say("c", "later");
    Stream stream(bench, {"c"});
    assert_text(stream.taken(), "h" + bench.at(head) + ";r" + std::to_string(put) + ":c:on;");
    Stream all(bench, {"c"}, {.kind = Since::Kind::Earliest, .count = 0, .position = {}});
    assert_text(all.taken(), "h" + bench.at(put - 1) + ";" + bench.frame(put, "c", "on") +
                                 bench.frame(head, "c", "later"));
}

static void test_gap_before_what_lies_behind_it(void**) {
    RelayBench bench;
    bench.settle([](ChannelSettings& settings) { settings.history = 1; });
    const uint64_t first = bench.say("c");
    bench.say("c");
    const uint64_t third = bench.say("c");
    Stream stream(bench, {"c"}, bench.behind(first));
    assert_text(stream.taken(), "h" + bench.at(first) + ";gc," + bench.at(first) + "," +
                                    bench.at(third) + ",trimmed,0;" + bench.frame(third, "c"));
    // With nothing kept a position follows, or the client would be told again and again.
    bench.settle([](ChannelSettings& settings) { settings.history = 0; });
    Stream nothing(bench, {"c"}, bench.behind(first));
    assert_text(nothing.taken(), "h" + bench.at(first) + ";gc," + bench.at(first) +
                                     ",null,trimmed,0;p" + bench.at(third) + ";");
    assert_int_equal(counted(bench.worker.counters, Gap::Why::Trimmed), 2);
}

static void test_ahead_with_nothing_kept(void**) {
    for (const auto& channels : std::vector<std::vector<std::string>>{{"c"}, {"c", "d"}}) {
        RelayBench bench; // a cold start
        Stream stream(bench, channels, bench.behind(50));
        std::string told = "h" + bench.at(50) + ";";
        for (const std::string& channel : channels)
            told += "g" + channel + "," + bench.at(50) + ",null,ahead,0;";
        assert_text(stream.taken(), told + "p" + bench.at(0) + ";");
        const uint64_t seq = bench.say("c"); // ids begin anew
        bench.worker.turn();
        assert_text(stream.taken(), bench.frame(seq, "c"));
        assert_int_equal(stream.subscriber.position().seq, seq);
    }
}

static void test_a_replay_is_paced_by_its_reader(void**) {
    RelayBench bench;
    bench.settle([](ChannelSettings& settings) { settings.slow_consumer_limit = 10; });
    std::string all;
    for (int i = 0; i < 90; ++i)
        all += bench.frame(bench.say("c", std::string(5000, 'x')), "c", std::string(5000, 'x'));
    Stream stream(bench, {"c"}, bench.behind(0), 100);
    while (stream.sink.is_blocked) {
        assert_true(stream.subscriber.state() == Subscriber::State::Replaying ||
                    stream.sink.received.size() > all.size());
        stream.open(7000);
    }
    assert_true(stream.taken() == "h" + bench.at(0) + ";" + all); // no gap, whatever the limit
}

static void test_budget_and_fairness(void**) {
    RelayBench bench;
    std::vector<std::unique_ptr<Stream>> streams;
    for (int i = 0; i < 600; ++i)
        streams.push_back(std::make_unique<Stream>(bench, std::vector<std::string>{"big"}));
    Stream small(bench, {"small"});
    small.taken();
    bench.say("big");
    const uint64_t seq = bench.say("small");
    bench.worker.deliver();
    assert_true(bench.worker.hub.flush(300)); // a slice of the big one, then the small one
    assert_text(small.taken(), bench.frame(seq, "small"));
    size_t turns = 1;
    while (bench.worker.hub.flush(300))
        ++turns;
    assert_int_equal(turns, 2);
    for (const auto& each : streams)
        assert_true(each->sink.received.ends_with("big:x;"));
}

static void test_audience(void**) {
    RelayBench bench;
    {
        Stream one(bench, {"c"}), two(bench, {"c", "d"});
        bench.broker->facts("c", [](std::optional<ChannelFacts> facts) {
            assert_int_equal(facts->subscribers[static_cast<size_t>(Use::Sse)], 2);
        });
        assert_int_equal(bench.worker.hub.channel_count(), 2);
    }
    assert_int_equal(bench.worker.hub.channel_count(), 0);
    assert_int_equal(bench.broker->channel_count(), 0); // unsubscribed, and nothing kept
}

// Mail of an earlier interest in a channel is not a newcomer's.
static void test_old_mail_is_not_delivered_twice(void**) {
    RelayBench bench;
    { Stream gone(bench, {"c"}); }
    auto first = std::make_unique<Stream>(bench, std::vector<std::string>{"c"});
    const uint64_t seq = bench.say("c");
    first = nullptr;
    Stream second(bench, {"c"}, bench.behind(seq - 1));
    const std::string opening = "h" + bench.at(seq - 1) + ";" + bench.frame(seq, "c");
    assert_text(second.taken(), opening);
    bench.worker.turn();
    assert_text(second.taken(), "");
    const uint64_t next = bench.say("c");
    bench.worker.turn();
    assert_text(second.taken(), bench.frame(next, "c"));
}

static void test_a_lagging_worker(void**) {
    RelayBench bench;
    Stream old(bench, {"c"});
    old.taken();
    const uint64_t first = bench.say("c"), second = bench.say("c");
    Stream young(bench, {"c"}, bench.behind(first - 1)); // placed ahead of the worker
    assert_text(young.taken(), "h" + bench.at(first - 1) + ";" + bench.frame(first, "c") +
                                   bench.frame(second, "c"));
    const uint64_t third = bench.say("c");
    bench.worker.turn();
    assert_text(young.taken(), bench.frame(third, "c"));
    assert_text(old.taken(),
                bench.frame(first, "c") + bench.frame(second, "c") + bench.frame(third, "c"));
}

static void test_refused(void**) {
    RelayBench bench;
    bench.broker->configure(bench.rules, {.channels = 0});
    Stream stream(bench, {"c"});
    assert_true(stream.sink.is_refused);
    assert_true(stream.sink.refusal == Start::Status::ChannelsFull);
    assert_true(stream.subscriber.state() == Subscriber::State::Closed);
}

// The same bytes to many: in batches, whatever becomes of single ones.
static void test_batches(void**) {
    RelayBench bench;
    FakeBatchWriter writer;
    bench.worker.hub.set_batch_writer(&writer);
    std::vector<std::unique_ptr<Stream>> streams;
    for (size_t i = 0; i < BatchWriter::kMax + 10; ++i) {
        streams.push_back(std::make_unique<Stream>(bench, std::vector<std::string>{"c"}));
        streams.back()->taken();
    }
    Stream other(bench, {"c"}, {}, SIZE_MAX);
    other.taken();
    streams[3]->sink.room = 2; // gets a part
    streams[5]->sink.breaks_next = true;
    const uint64_t seq = bench.say("c");
    bench.worker.turn();
    assert_int_equal(writer.sizes.size(), 2);
    assert_int_equal(writer.sizes[0], BatchWriter::kMax);
    assert_int_equal(writer.sizes[1], 11);
    for (size_t i = 0; i < streams.size(); ++i)
        if (i != 3 && i != 5)
            assert_text(streams[i]->taken(), bench.frame(seq, "c"));
    assert_true(streams[5]->subscriber.state() == Subscriber::State::Closed);

    streams[3]->open();
    assert_text(streams[3]->taken(), bench.frame(seq, "c"));
    const uint64_t next = bench.say("c");
    bench.worker.turn();
    assert_text(streams[3]->taken(), bench.frame(next, "c"));
    assert_text(other.taken(), bench.frame(seq, "c") + bench.frame(next, "c"));
    assert_int_equal(other.subscriber.position().seq, next);
}

static void test_no_batch_for_few_or_for_some(void**) {
    RelayBench bench;
    FakeBatchWriter writer;
    bench.worker.hub.set_batch_writer(&writer);
    Stream one(bench, {"c"});
    bench.say("c");
    bench.worker.turn();
    assert_true(writer.sizes.empty()); // too few
    Stream two(bench, {"c"});
    std::vector<std::unique_ptr<Stream>> more;
    for (int i = 0; i < 5; ++i)
        more.push_back(std::make_unique<Stream>(bench, std::vector<std::string>{"c"}));
    for (Stream* each : {&one, &two, more[4].get()})
        each->taken();
    Draft selective = draft("c", "x");
    selective.exclude = more[4]->subscriber.connection();
    const uint64_t seq = bench.publish(std::move(selective));
    bench.worker.turn();
    assert_true(writer.sizes.empty()); // one of them is not sent it
    assert_text(one.taken(), bench.frame(seq, "c"));
    assert_text(more[4]->taken(), "");
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_hello_replay_live),
        cmocka_unit_test(test_a_hole_right_where_one_is),
        cmocka_unit_test(test_one_call_for_a_turn),
        cmocka_unit_test(test_frames_are_shared),
        cmocka_unit_test(test_channels_merge_in_order),
        cmocka_unit_test(test_torn_frames_are_completed),
        cmocka_unit_test(test_heartbeats_tell_what_was_drained),
        cmocka_unit_test(test_excluded_and_unstored),
        cmocka_unit_test(test_retained_first),
        cmocka_unit_test(test_gap_before_what_lies_behind_it),
        cmocka_unit_test(test_ahead_with_nothing_kept),
        cmocka_unit_test(test_a_replay_is_paced_by_its_reader),
        cmocka_unit_test(test_budget_and_fairness),
        cmocka_unit_test(test_audience),
        cmocka_unit_test(test_old_mail_is_not_delivered_twice),
        cmocka_unit_test(test_a_lagging_worker),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_no_batch_for_few_or_for_some),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
