// SPDX-License-Identifier: Apache-2.0
// Slow readers of channels with `conflate`: the newest of each key instead of a gap.
#include "relay/conflation.h"

#include "tests/unit/relay_bench.h"

#include "tests/unit/test.h"

using namespace fanhorn;

namespace {

void conflate(RelayBench& bench, uint32_t history = 1000) {
    bench.settle([&](ChannelSettings& settings) {
        settings.slow_consumer_limit = 300;
        settings.conflate = "k";
        settings.history = history;
    });
}

std::string frames(const std::vector<uint64_t>& seqs, const std::string& channel = "c") {
    std::string out;
    for (const uint64_t seq : seqs)
        out += RelayBench::frame(seq, channel);
    return out;
}

// Says it to a reader whose socket is full.
uint64_t say(RelayBench& bench, const std::string& tags, const std::string& channel = "c") {
    const uint64_t seq = bench.say_tagged(channel, tags);
    bench.worker.turn();
    return seq;
}

// 30 messages with ten values of k in turn; the newest ten are the last.
std::vector<uint64_t> say_thirty(RelayBench& bench, const std::string& channel = "c") {
    std::vector<uint64_t> seqs;
    for (int i = 0; i < 30; ++i)
        seqs.push_back(say(bench, "a=b,k=" + std::to_string(i % 10), channel));
    return seqs;
}

uint64_t gaps(const RelayBench& bench) {
    return bench.worker.counters.gaps[static_cast<size_t>(Gap::Why::Overflow)].value();
}

} // namespace

static void test_the_newest_of_each(void**) {
    RelayBench bench;
    conflate(bench);
    Stream stream(bench, {"c"});
    stream.taken();
    stream.sink.room = 0;
    const uint64_t plain = say(bench, "a=b");
    const auto seqs = say_thirty(bench);
    const uint64_t last = say(bench, "");
    stream.open();
    std::vector<uint64_t> wanted = {plain};
    wanted.insert(wanted.end(), seqs.end() - 10, seqs.end());
    wanted.push_back(last);
    assert_text(stream.taken(), frames(wanted));
    assert_int_equal(gaps(bench), 0);
    const uint64_t live = say(bench, "k=1");
    assert_text(stream.taken(), frames({live}));
    assert_int_equal(stream.subscriber.position().seq, live);
}

// Only what is over the limit is conflated.
static void test_within_the_limit(void**) {
    RelayBench bench;
    conflate(bench);
    Stream stream(bench, {"c"});
    stream.taken();
    stream.sink.room = 0;
    const uint64_t first = say(bench, "k=1"), second = say(bench, "k=1");
    stream.open();
    assert_text(stream.taken(), frames({first, second}));
}

static void test_what_history_lost_is_a_gap(void**) {
    RelayBench bench;
    conflate(bench, 5);
    Stream stream(bench, {"c"});
    const std::string start = bench.at(stream.subscriber.position().seq);
    stream.taken();
    stream.sink.room = 0;
    const auto seqs = say_thirty(bench);
    stream.open();
    assert_text(stream.taken(), "gc," + start + "," + bench.at(seqs[25]) + ",overflow,0;" +
                                    frames({seqs.end() - 5, seqs.end()}));
}

// More comes while it is being sent what it missed, again and again.
static void test_a_reader_that_stays_slow(void**) {
    RelayBench bench;
    conflate(bench);
    Stream stream(bench, {"c"});
    stream.taken();
    stream.sink.room = 0;
    std::vector<uint64_t> seqs;
    for (int round = 0; round < 20; ++round) {
        seqs = say_thirty(bench);
        stream.open(25); // two or three frames
    }
    stream.open();
    const std::string got = stream.taken();
    assert_true(got.find('g') == got.npos);
    assert_true(got.ends_with(frames({seqs.end() - 10, seqs.end()})));
    uint64_t before = 0;
    size_t count = 0;
    for (size_t at = 0; at < got.size(); at = got.find(';', at) + 1, ++count) {
        const uint64_t seq = std::stoull(got.substr(at + 1));
        assert_true(seq > before);
        before = seq;
    }
    assert_true(count < 100); // of 600
    assert_int_equal(stream.subscriber.position().seq, seqs.back());
}

// What is not for a reader is not the newest for it.
static void test_with_a_filter(void**) {
    RelayBench bench;
    conflate(bench);
    Wish wish = bench.wish({"c"}, {}, bench.encoding);
    wish.filter = Filter::parse("for=me").value();
    Stream stream(wish);
    stream.taken();
    stream.sink.room = 0;
    for (int i = 0; i < 30; ++i)
        say(bench, "for=me,k=1");
    const uint64_t mine = say(bench, "for=me,k=1");
    say(bench, "k=1,for=you");
    Draft echo = draft("c", "x");
    echo.tags = "for=me,k=1";
    echo.exclude = wish.connection;
    bench.publish(std::move(echo));
    bench.worker.turn();
    stream.open();
    assert_text(stream.taken(), frames({mine}));
}

// One of two channels conflates; the key is of the channel.
static void test_several_channels(void**) {
    RelayBench bench;
    conflate(bench);
    ChannelSettings all;
    bench.rules->exact["all"] = all;
    bench.apply();
    Stream stream(bench, {"c", "all", "d"});
    stream.taken();
    stream.sink.room = 0;
    const uint64_t other = say(bench, "k=0", "d");
    const uint64_t one = say(bench, "k=1", "all"), two = say(bench, "k=1", "all");
    const auto seqs = say_thirty(bench);
    stream.open();
    assert_text(stream.taken(), frames({other}, "d") + frames({one, two}, "all") +
                                    frames({seqs.end() - 10, seqs.end()}));
    assert_int_equal(gaps(bench), 0);
}

static void test_a_long_history(void**) {
    RelayBench bench;
    conflate(bench, 100'000);
    bench.rules->others->history_bytes = 1 << 30;
    Stream stream(bench, {"c"});
    stream.taken();
    stream.sink.room = 0;
    uint64_t last = 0;
    for (size_t i = 0; i < 3 * Conflation::kMaxMessages; ++i)
        last = say(bench, "k=1");
    stream.open();
    const std::string got = stream.taken();
    assert_true(got.ends_with(frames({last})));
    const auto count = std::count(got.begin(), got.end(), ';');
    assert_true(count >= 1 && count <= 4); // one for each stretch
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_the_newest_of_each),
        cmocka_unit_test(test_within_the_limit),
        cmocka_unit_test(test_what_history_lost_is_a_gap),
        cmocka_unit_test(test_a_reader_that_stays_slow),
        cmocka_unit_test(test_with_a_filter),
        cmocka_unit_test(test_several_channels),
        cmocka_unit_test(test_a_long_history),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
