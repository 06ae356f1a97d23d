// SPDX-License-Identifier: Apache-2.0
// Long and short polls; their bodies have TestEncoding's items between the brackets.
#include "tests/unit/relay_bench.h"

#include "tests/unit/test.h"

using namespace fanhorn;

namespace {

const Since kEarliest = {.kind = Since::Kind::Earliest, .count = 0, .position = {}};

PollWish waiting() {
    PollWish poll;
    poll.may_wait = true;
    return poll;
}
PollWish short_poll(std::string if_none_match = {}) {
    PollWish poll;
    poll.tag = "tag";
    poll.if_none_match = std::move(if_none_match);
    return poll;
}

class Poll {
  public:
    Poll(RelayBench& bench, std::vector<std::string> channels, Since since, PollWish poll)
        : Poll(bench.wish(std::move(channels), since, bench.poll_encoding), std::move(poll)) {}
    Poll(const Wish& wish, PollWish poll) : subscriber(sink, wish, std::move(poll)) {
        subscriber.begin(Wish(wish));
    }
    bool is_answered() const { return sink.is_answered; }
    const std::string& body() const { return sink.body; }
    bool has(const std::string& line) const {
        return sink.head.find("\r\n" + line + "\r\n") != std::string::npos;
    }
    bool has_field(const std::string& name) const {
        return sink.head.find("\r\n" + name + ":") != std::string::npos;
    }
    size_t messages() const {
        const size_t end = sink.body.find("],\"next\"");
        const std::string list = sink.body.substr(0, end) + (end > 13 ? ";" : "");
        return static_cast<size_t>(std::count(list.begin(), list.end(), ';'));
    }

    FakeSink sink;
    PollSubscriber subscriber;
};

std::string body(const std::string& messages, const std::string& next,
                 const std::string& gaps = "") {
    const auto items = [](const std::string& list) {
        return list.substr(0, list.empty() ? 0 : list.size() - 1);
    };
    return "{\"messages\":[" + items(messages) + "],\"next\":\"" + next + "\",\"gaps\":[" +
           items(gaps) + "]}";
}

} // namespace

static void test_at_once(void**) {
    RelayBench bench;
    const uint64_t first = bench.say("c"), second = bench.say("c");
    bench.say("other");
    for (const PollWish& wish : {waiting(), short_poll()}) {
        Poll poll(bench, {"c"}, bench.behind(first), wish);
        assert_text(poll.body(), body(bench.frame(second, "c"), bench.at(second)));
        assert_true(poll.sink.head.starts_with("HTTP/1.1 200 OK\r\n"));
        assert_true(poll.sink.head.ends_with("\r\n\r\n"));
        assert_true(poll.has("Content-Type: application/json"));
        assert_true(poll.has("Content-Length: " + std::to_string(poll.body().size())));
        assert_true(poll.has("Fanhorn-Id: " + bench.at(second)));
        assert_false(poll.has_field("Connection"));
        assert_false(poll.has_field("Retry-After"));
    }
    Poll several(bench, {"other", "c"}, kEarliest, short_poll());
    assert_int_equal(several.messages(), 3);
}

static void test_nothing_new(void**) {
    RelayBench bench;
    const uint64_t first = bench.say("c");
    const uint64_t head = bench.say("other");
    Poll same(bench, {"c"}, bench.behind(first), short_poll());
    assert_text(same.body(), body("", bench.at(first))); // `since` again
    Poll latest(bench, {"c"}, {}, short_poll());
    assert_text(latest.body(), body("", bench.at(head)));
    assert_int_equal(bench.worker.hub.channel_count(), 0);
}

static void test_held(void**) {
    RelayBench bench;
    bench.say("c");
    const uint64_t head = bench.say("other");
    Poll single(bench, {"c"}, bench.behind(head), waiting());
    Poll several(bench, {"c", "d"}, bench.behind(head), waiting());
    Poll idle(bench, {"idle"}, bench.behind(head), waiting());
    assert_false(single.is_answered() || several.is_answered() || idle.is_answered());
    bench.broker->facts("c", [](std::optional<ChannelFacts> facts) {
        assert_int_equal(facts->subscribers[static_cast<size_t>(Use::Longpoll)], 2);
    });

    Draft typing = draft("c", "typing");
    typing.store = false;
    bench.publish(std::move(typing)); // not a poll's
    bench.worker.turn();
    assert_false(single.is_answered() || several.is_answered());

    const uint64_t first = bench.say("c"), second = bench.say("c");
    bench.worker.turn(); // all of the turn in one answer
    const std::string both = bench.frame(first, "c") + bench.frame(second, "c");
    assert_text(single.body(), body(both, bench.at(second)));
    assert_text(several.body(), body(both, bench.at(second)));
    assert_false(idle.is_answered());
    idle.subscriber.on_timeout();
    assert_text(idle.body(), body("", bench.at(head)));
    idle.subscriber.on_timeout(); // an answer is given once
    const auto& counters = bench.worker.counters;
    assert_int_equal(counters.deliveries[static_cast<size_t>(Use::Longpoll)].value(), 4);
}

static void test_held_and_excluded(void**) {
    RelayBench bench;
    Poll single(bench, {"c"}, {}, waiting()), several(bench, {"c", "d"}, {}, waiting());
    for (const Poll* each : {&single, &several}) {
        Draft draft = fanhorn::draft("c", "mine");
        draft.exclude = each->subscriber.connection();
        bench.publish(std::move(draft));
    }
    bench.worker.turn(); // each is excluded from one and gets the other
    assert_true(single.body().find(":c:mine") != std::string::npos);
    assert_int_equal(single.messages(), 1);
    assert_int_equal(several.messages(), 1);

    Poll alone(bench, {"c"}, {}, waiting()), alone_of_two(bench, {"c", "d"}, {}, waiting());
    Draft echo = draft("c", "mine");
    echo.exclude = alone.subscriber.connection();
    bench.publish(std::move(echo));
    bench.worker.turn();
    assert_false(alone.is_answered());
    assert_true(alone_of_two.is_answered());
    const uint64_t next = bench.say("c");
    bench.worker.turn();
    assert_text(alone.body(), body(bench.frame(next, "c"), bench.at(next)));
}

// At most a thousand messages, whichever way they come.
static void test_a_thousand_messages(void**) {
    RelayBench bench;
    bench.settle([](ChannelSettings& settings) {
        settings.history = 10'000;
        settings.history_bytes = 1 << 30;
    });
    Poll single(bench, {"c"}, {}, waiting()), several(bench, {"c", "d"}, {}, waiting());
    std::vector<uint64_t> seqs;
    for (int i = 0; i < 1500; ++i)
        seqs.push_back(bench.say("c"));
    bench.worker.turn();
    Poll read(bench, {"c"}, bench.behind(seqs[0] - 1), short_poll());
    for (const Poll* each : {&single, &several, &read}) {
        assert_int_equal(each->messages(), 1000);
        assert_true(each->has("Fanhorn-Id: " + bench.at(seqs[999])));
    }
    Poll rest(bench, {"c"}, bench.behind(seqs[999]), waiting());
    assert_int_equal(rest.messages(), 500);
    PollWish few = short_poll();
    few.max_messages = 3;
    Poll limited(bench, {"c"}, kEarliest, few);
    assert_int_equal(limited.messages(), 3);
    assert_true(limited.has("Fanhorn-Id: " + bench.at(seqs[2])));
}

static void test_a_mebibyte(void**) {
    RelayBench bench;
    bench.settle([](ChannelSettings& settings) { settings.history_bytes = 1 << 30; });
    Poll single(bench, {"c"}, {}, waiting()), several(bench, {"c", "d"}, {}, waiting());
    const uint64_t start = bench.broker->pushed().seq;
    const std::string large(60'000, 'x');
    for (int i = 0; i < 40; ++i)
        bench.say("c", large);
    bench.worker.turn();
    Poll read(bench, {"c"}, bench.behind(start), short_poll());
    for (const Poll* each : {&single, &several, &read}) {
        assert_true(each->body().size() < (1 << 20) + 200);
        assert_int_equal(each->messages(), 17);
    }
    // One that is larger alone is given alone.
    const uint64_t before = bench.broker->pushed().seq;
    bench.say("c", std::string(3 << 20, 'x'));
    bench.say("c");
    Poll alone(bench, {"c"}, bench.behind(before), short_poll());
    assert_int_equal(alone.messages(), 1);
}

static void test_gaps_are_answered_at_once(void**) {
    RelayBench bench;
    bench.settle([](ChannelSettings& settings) { settings.history = 1; });
    const uint64_t first = bench.say("c");
    bench.say("c");
    const uint64_t third = bench.say("c");
    const std::string gap = "gc," + bench.at(first) + ",";
    Poll poll(bench, {"c"}, bench.behind(first), waiting());
    assert_text(poll.body(), body(bench.frame(third, "c"), bench.at(third),
                                  gap + bench.at(third) + ",trimmed,0;"));
    bench.settle([](ChannelSettings& settings) { settings.history = 0; });
    Poll nothing(bench, {"c"}, bench.behind(first), waiting());
    assert_text(nothing.body(), body("", bench.at(third), gap + "null,trimmed,0;"));
    Poll after(bench, {"c"}, bench.behind(third), waiting()); // told once
    assert_false(after.is_answered());
}

static void test_foreign_positions(void**) {
    for (const PollWish& wish : {waiting(), short_poll()})
        for (const bool is_cold : {true, false}) {
            RelayBench bench;
            const uint64_t kept = is_cold ? 0 : bench.say("c");
            const Since since = bench.behind(99);
            Poll poll(bench, {"c"}, since, wish);
            const std::string gap = "gc," + bench.at(99) + ",";
            assert_text(poll.body(), is_cold ? body("", bench.at(0), gap + "null,ahead,0;")
                                             : body(bench.frame(kept, "c"), bench.at(kept),
                                                    gap + bench.at(kept) + ",ahead,0;"));
        }
}

static void test_retained(void**) {
    RelayBench bench;
    bench.settle([](ChannelSettings& settings) { settings.history = 0; });
    Draft state = draft("c", "on");
    state.retain = true;
    const uint64_t put = bench.publish(std::move(state));
    const std::string item = "r" + std::to_string(put) + ":c:on;";
    for (PollWish wish : {waiting(), short_poll()}) {
        wish.is_retained_due = true;
        Poll poll(bench, {"c"}, {}, wish);
        assert_text(poll.body(), body(item, bench.at(put)));
        wish.is_retained_due = false; // `since` was an id
        Poll later(bench, {"c"}, bench.behind(put), wish);
        assert_true(!later.is_answered() || later.body() == body("", bench.at(put)));
    }
}

static void test_etags(void**) {
    RelayBench bench;
    const uint64_t seq = bench.say("c");
    const std::string tag = "\"" + bench.at(seq) + "-tag\"";
    const std::pair<std::string, bool> kRows[] = {
        {"", false},
        {tag, true},
        {"W/" + tag, true},
        {"\"other\", " + tag, true},
        {"*", true},
        {"\"" + bench.at(seq) + "-tagx\"", false},
        {"\"" + bench.at(seq) + "\"", false},
        {bench.at(seq) + "-tag", false}, // not quoted
        {"\"" + bench.at(seq + 1) + "-tag\"", false},
    };
    for (const auto& [sent, is_known] : kRows) {
        Poll poll(bench, {"c"}, kEarliest, short_poll(sent));
        assert_row(sent, poll.has("ETag: " + tag));
        assert_row(sent, poll.sink.head.starts_with(is_known ? "HTTP/1.1 304 " : "HTTP/1.1 200 "));
        assert_row(sent, poll.body().empty() == is_known);
        assert_row(sent, poll.has_field("Content-Length") != is_known);
    }
    Poll held(bench, {"c"}, kEarliest, waiting());
    assert_false(held.has_field("ETag"));
}

static void test_own_headers(void**) {
    RelayBench bench;
    PollWish wish = short_poll();
    wish.headers = "Vary: Origin\r\n";
    wish.keep_alive = false;
    Poll poll(bench, {"c"}, {}, wish);
    assert_true(poll.has("Vary: Origin"));
    assert_true(poll.has("Connection: close"));
}

static void test_ends(void**) {
    RelayBench bench;
    Poll single(bench, {"c"}, {}, waiting()), several(bench, {"c", "d"}, {}, waiting());
    bench.broker->remove("c", [](Removal) {});
    bench.worker.turn();
    for (const Poll* each : {&single, &several}) {
        assert_true(each->body().ends_with(",\"gaps\":[],\"ends\":[ec,deleted]}"));
        assert_true(each->subscriber.state() == Subscriber::State::Closed);
    }
}

static void test_close(void**) {
    const std::pair<uint32_t, std::string> kRows[] = {
        {0, "1"}, {1000, "1"}, {1001, "2"}, {9500, "10"}};
    for (const auto& [retry_ms, seconds] : kRows) {
        RelayBench bench;
        Poll poll(bench, {"c"}, {}, waiting());
        poll.subscriber.close({.why = Farewell::Why::GoingAway, .retry_ms = retry_ms});
        assert_text(poll.body(), body("", bench.at(0)));
        assert_row(seconds, poll.has("Retry-After: " + seconds));
        assert_true(poll.has("Connection: close"));
        poll.subscriber.close({}); // an answer is given once
        bench.say("c");
        bench.worker.turn();
    }
}

static void test_an_overflow_is_read_from_history(void**) {
    RelayBench bench(0);
    Poll single(bench, {"c"}, {}, waiting()), several(bench, {"c", "d"}, {}, waiting());
    const uint64_t first = bench.say("c"), second = bench.say("c");
    bench.worker.turn();
    for (const Poll* each : {&single, &several})
        assert_text(each->body(),
                    body(bench.frame(first, "c") + bench.frame(second, "c"), bench.at(second)));
}

static void test_one_body_for_many(void**) {
    RelayBench bench;
    const uint64_t start = bench.say("c");
    std::vector<std::unique_ptr<Poll>> polls;
    for (int i = 0; i < 10; ++i)
        polls.push_back(std::make_unique<Poll>(bench, std::vector<std::string>{"c"},
                                               bench.behind(start), waiting()));
    const uint64_t seq = bench.say("c");
    bench.worker.turn();
    for (const auto& each : polls) {
        assert_text(each->body(), body(bench.frame(seq, "c"), bench.at(seq)));
        assert_ptr_equal(each->sink.shared_body.get(), polls[0]->sink.shared_body.get());
        assert_true(each->has("Fanhorn-Id: " + bench.at(seq)));
    }
    polls.clear();

    // Not where somebody is excluded.
    Poll one(bench, {"c"}, bench.behind(seq), waiting()),
        two(bench, {"c"}, bench.behind(seq), waiting());
    Draft echo = draft("c", "mine");
    echo.exclude = one.subscriber.connection();
    const uint64_t mine = bench.publish(std::move(echo));
    const uint64_t last = bench.say("c");
    bench.worker.turn();
    assert_text(one.body(), body(bench.frame(last, "c"), bench.at(last)));
    assert_text(two.body(),
                body(bench.frame(mine, "c", "mine") + bench.frame(last, "c"), bench.at(last)));
}

// A turn that was not flushed to its end: its pollers wait at different places.
static void test_no_body_of_another_place(void**) {
    RelayBench bench;
    Poll one(bench, {"c"}, {}, waiting()), two(bench, {"c"}, {}, waiting());
    const uint64_t first = bench.say("c");
    bench.worker.deliver();
    assert_true(bench.worker.hub.flush(1));
    assert_true(one.is_answered() && !two.is_answered());
    Poll three(bench, {"c"}, bench.behind(first), waiting());
    const uint64_t second = bench.say("c");
    bench.worker.turn();
    const std::string later = bench.frame(second, "c");
    assert_text(one.body(), body(bench.frame(first, "c"), bench.at(first)));
    assert_text(two.body(), body(bench.frame(first, "c") + later, bench.at(second)));
    assert_text(three.body(), body(later, bench.at(second)));
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_at_once),
        cmocka_unit_test(test_nothing_new),
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_held_and_excluded),
        cmocka_unit_test(test_a_thousand_messages),
        cmocka_unit_test(test_a_mebibyte),
        cmocka_unit_test(test_gaps_are_answered_at_once),
        cmocka_unit_test(test_foreign_positions),
        cmocka_unit_test(test_retained),
        cmocka_unit_test(test_etags),
        cmocka_unit_test(test_own_headers),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_an_overflow_is_read_from_history),
        cmocka_unit_test(test_one_body_for_many),
        cmocka_unit_test(test_no_body_of_another_place),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
