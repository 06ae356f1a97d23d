// SPDX-License-Identifier: Apache-2.0
// Subscribers with filters on one worker: who shares a feed, and where positions go.
#include "tests/unit/relay_bench.h"

#include "tests/unit/test.h"

using namespace fanhorn;

namespace {

const Since kEarliest = {.kind = Since::Kind::Earliest, .count = 0, .position = {}};

FilterRef filter(std::string_view text) {
    return Filter::parse(text).value();
}

Wish filtered(RelayBench& bench, std::vector<std::string> channels, std::string_view text,
              Since since = {}) {
    Wish wish = bench.wish(std::move(channels), since, bench.encoding);
    wish.filter = filter(text);
    return wish;
}

// A held poll; short when `may_wait` is false.
class Poll {
  public:
    Poll(RelayBench& bench, std::vector<std::string> channels, std::string_view text, Since since,
         bool may_wait = true)
        : wish_(filtered(bench, std::move(channels), text, since)),
          subscriber(sink, with(wish_, bench.poll_encoding), {.may_wait = may_wait}) {
        subscriber.begin(Wish(wish_));
    }

  private:
    static const Wish& with(Wish& wish, Encoding& encoding) {
        wish.encoding = &encoding;
        return wish;
    }
    Wish wish_;

  public:
    FakeSink sink;
    PollSubscriber subscriber;
};

std::string answer(const std::string& messages, const std::string& next) {
    const std::string items = messages.substr(0, messages.empty() ? 0 : messages.size() - 1);
    return "{\"messages\":[" + items + "],\"next\":\"" + next + "\",\"gaps\":[]}";
}

} // namespace

static void test_one_feed_for_a_filter(void**) {
    RelayBench bench;
    Stream all(bench, {"c"});
    Stream one(filtered(bench, {"c"}, "k=a|b")), same(filtered(bench, {"c"}, "k=b|a"));
    Stream other(filtered(bench, {"c"}, "k=a"));
    for (Stream* each : {&all, &one, &same, &other})
        each->taken();
    const uint64_t a = bench.say_tagged("c", "k=a"), b = bench.say_tagged("c", "k=b"),
                   c = bench.say_tagged("c", "k=c");
    bench.worker.turn();
    const std::string to_a = bench.frame(a, "c"), to_b = to_a + bench.frame(b, "c");
    assert_text(all.taken(), to_b + bench.frame(c, "c"));
    assert_text(one.taken(), to_b);
    assert_text(same.taken(), to_b);
    assert_text(other.taken(), to_a);
    // Who has everything has what was not for it as well.
    for (Stream* each : {&one, &other}) {
        each->subscriber.heartbeat();
        assert_text(each->taken(), "b" + bench.at(c) + ";");
    }
    Hub& hub = bench.worker.hub;
    assert_true(hub.has_room_for(*filter("k=a"), bench.encoding, {"c"}, 0)); // is there
    assert_true(hub.has_room_for(*filter("k=c"), bench.encoding, {"c"}, 3));
    assert_false(hub.has_room_for(*filter("k=c"), bench.encoding, {"c"}, 2));
    assert_false(hub.has_room_for(*filter("k=a"), bench.poll_encoding, {"c"}, 2));
    assert_false(hub.has_room_for(*filter("k=c"), bench.encoding, {"d", "c"}, 2));
    assert_true(hub.has_room_for(*filter("k=c"), bench.encoding, {"d"}, 1));
}

static void test_a_feed_goes_with_its_last_reader(void**) {
    RelayBench bench;
    Stream stays(filtered(bench, {"c"}, "k=a"));
    {
        Stream goes(filtered(bench, {"c"}, "k=b"));
        assert_false(bench.worker.hub.has_room_for(*filter("k=c"), bench.encoding, {"c"}, 2));
    }
    assert_true(bench.worker.hub.has_room_for(*filter("k=c"), bench.encoding, {"c"}, 2));
    stays.taken();
    const uint64_t seq = bench.say_tagged("c", "k=a");
    bench.worker.turn();
    assert_text(stays.taken(), bench.frame(seq, "c"));
}

static void test_replay_then_live(void**) {
    RelayBench bench;
    const uint64_t first = bench.say_tagged("c", "k=a");
    bench.say_tagged("d", "k=b");
    const uint64_t second = bench.say_tagged("d", "k=a");
    const uint64_t last = bench.say_tagged("c", "k=b");
    Stream stream(filtered(bench, {"c", "d"}, "k=a", kEarliest));
    const std::string out = stream.taken();
    assert_text(out.substr(out.find(';') + 1), bench.frame(first, "c") + bench.frame(second, "d"));
    assert_int_equal(stream.subscriber.position().seq, last);
    bench.worker.turn();
    bench.say_tagged("c", "k=b");
    const uint64_t live = bench.say_tagged("d", "k=a");
    bench.worker.turn();
    assert_text(stream.taken(), bench.frame(live, "d"));
}

// What is left out of a feed is nothing that its readers have to wait for, whatever their state.
static void test_a_reader_that_is_behind(void**) {
    RelayBench bench;
    Stream stream(filtered(bench, {"c"}, "k=a"));
    stream.taken();
    const uint64_t start = stream.subscriber.position().seq;
    stream.sink.room = 2;
    const uint64_t first = bench.say_tagged("c", "k=a");
    bench.worker.turn();
    bench.say_tagged("c", "k=b");
    bench.worker.turn();
    assert_int_equal(stream.subscriber.position().seq, start);
    const uint64_t second = bench.say_tagged("c", "k=a");
    const uint64_t last = bench.say_tagged("c", "k=b");
    bench.worker.turn();
    stream.open();
    assert_text(stream.taken(), bench.frame(first, "c") + bench.frame(second, "c"));
    assert_int_equal(stream.subscriber.position().seq, last);
}

// The worker has not yet taken what the sequencer has given: the newcomer skips it.
static void test_a_reader_that_is_ahead(void**) {
    RelayBench bench;
    Stream early(filtered(bench, {"c"}, "k=a"));
    bench.say_tagged("c", "k=a");
    Stream young(filtered(bench, {"c"}, "k=a"));
    young.taken();
    bench.say_tagged("c", "k=b");
    bench.worker.turn();
    assert_text(young.taken(), "");
    const uint64_t seq = bench.say_tagged("c", "k=a");
    bench.worker.turn();
    assert_text(young.taken(), bench.frame(seq, "c"));
}

static void test_retained(void**) {
    RelayBench bench;
    Draft state = draft("c", "state");
    state.tags = "k=a";
    state.retain = true;
    const uint64_t seq = bench.publish(std::move(state));
    Stream wants(filtered(bench, {"c"}, "k=a")), does_not(filtered(bench, {"c"}, "k=b"));
    const std::string hello = "h" + bench.at(seq) + ";";
    assert_text(wants.taken(), hello + "r" + std::to_string(seq) + ":c:state;");
    assert_text(does_not.taken(), hello);
}

// They have no tags, and are for everybody.
static void test_joins(void**) {
    RelayBench bench;
    bench.settle([](ChannelSettings& settings) { settings.presence = settings.joins = true; });
    Stream stream(filtered(bench, {"c"}, "k=a"));
    stream.taken();
    bench.broker->attend("c", {"alice", {}}, kNoConnection);
    bench.say_tagged("c", "k=b");
    bench.worker.turn();
    assert_true(stream.taken().find("alice") != std::string::npos);
}

static void test_a_held_poll(void**) {
    RelayBench bench;
    const uint64_t start = bench.say("c");
    for (const auto& channels : {std::vector<std::string>{"c"}, {"c", "d"}}) {
        Poll poll(bench, channels, "k=a", bench.behind(start));
        const uint64_t skipped = bench.say_tagged("c", "k=b");
        bench.say("elsewhere");
        bench.worker.turn();
        assert_false(poll.sink.is_answered);
        poll.subscriber.on_timeout();
        assert_text(poll.sink.body, answer("", bench.at(skipped)));
    }
    Poll poll(bench, {"c"}, "k=a", bench.behind(bench.say("c")));
    Poll same(bench, {"c"}, "k=a", bench.behind(bench.say("elsewhere")));
    const uint64_t seq = bench.say_tagged("c", "k=a");
    bench.say_tagged("c", "k=b");
    bench.worker.turn();
    assert_text(poll.sink.body, answer(bench.frame(seq, "c"), bench.at(seq)));
    assert_text(same.sink.body, poll.sink.body);
    assert_true(same.sink.shared_body == poll.sink.shared_body);
}

// A timer between the worker's taking of a message and its sending.
static void test_a_poll_that_times_out_with_a_message_due(void**) {
    RelayBench bench;
    const uint64_t start = bench.say("c");
    Poll poll(bench, {"c"}, "k=a", bench.behind(start));
    bench.say_tagged("c", "k=a");
    bench.say_tagged("c", "k=b");
    bench.worker.deliver();
    poll.subscriber.on_timeout();
    assert_text(poll.sink.body, answer("", bench.at(start)));
}

static void test_polls_of_history(void**) {
    RelayBench bench;
    bench.settle([](ChannelSettings& settings) {
        settings.history = 100'000;
        settings.history_bytes = 1 << 30;
    });
    const uint64_t start = bench.say("c");
    // Beyond one page, found in one answer.
    for (int i = 0; i < 2500; ++i)
        bench.say_tagged("c", "k=b");
    const uint64_t found = bench.say_tagged("c", "k=a");
    const uint64_t last = bench.say_tagged("c", "k=b");
    for (const bool may_wait : {false, true}) {
        Poll poll(bench, {"c"}, "k=a", bench.behind(start), may_wait);
        assert_text(poll.sink.body, answer(bench.frame(found, "c"), bench.at(last)));
        Poll none(bench, {"c"}, "k=c", bench.behind(start), may_wait);
        assert_true(none.sink.is_answered != may_wait);
        none.subscriber.on_timeout();
        assert_text(none.sink.body, answer("", bench.at(last)));
    }
    // No more than so many pages an answer; the next one goes on.
    const uint64_t pages = PollSubscriber::kMaxPages * PollSubscriber::kMaxMessages;
    for (uint64_t i = 0; i < pages; ++i)
        bench.say_tagged("c", "k=b");
    for (const bool may_wait : {false, true}) {
        Poll poll(bench, {"c"}, "k=c", bench.behind(start), may_wait);
        assert_text(poll.sink.body, answer("", bench.at(start + pages)));
    }
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_one_feed_for_a_filter),
        cmocka_unit_test(test_a_feed_goes_with_its_last_reader),
        cmocka_unit_test(test_replay_then_live),
        cmocka_unit_test(test_a_reader_that_is_behind),
        cmocka_unit_test(test_a_reader_that_is_ahead),
        cmocka_unit_test(test_retained),
        cmocka_unit_test(test_joins),
        cmocka_unit_test(test_a_held_poll),
        cmocka_unit_test(test_a_poll_that_times_out_with_a_message_due),
        cmocka_unit_test(test_polls_of_history),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
