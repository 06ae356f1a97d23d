// SPDX-License-Identifier: Apache-2.0
// Subscribers that another process goes on with, on two workers of one broker.
#include "tests/unit/relay_bench.h"

#include "tests/unit/test.h"

using namespace fanhorn;

namespace {

// Goes on elsewhere: what both have been sent, one behind the other.
class Pair {
  public:
    explicit Pair(RelayBench& bench) : bench_(bench), there_(bench.clock, *bench.broker) {
        there_.hub.configure(bench.rules);
    }

    void hand_over(const Stream& stream, size_t room = SIZE_MAX) {
        const auto handed = stream.subscriber.hand_over();
        assert_true(handed.has_value() && handed->parts.size() == 1);
        const HandedPart& part = handed->parts[0];
        Wish wish = bench_.wish(part.channels, {}, bench_.encoding);
        wish.since = {.kind = Since::Kind::After, .count = 0, .position = part.position};
        wish.end = &there_.end;
        wish.connection = stream.subscriber.connection();
        sink.room = room;
        subscriber = std::make_unique<StreamSubscriber>(sink, wish, handed->unsent);
        subscriber->resume(handed->owes_position, part.is_behind);
        subscriber->begin(wish);
    }
    void turn() { there_.turn(); }

    FakeSink sink;

  private:
    RelayBench& bench_;
    TestWorker there_;

  public:
    std::unique_ptr<StreamSubscriber> subscriber;
};

} // namespace

static void test_one_that_has_everything(void**) {
    RelayBench bench;
    Pair pair(bench);
    Stream stream(bench, {"c", "d"});
    stream.taken();
    const uint64_t first = bench.say("c");
    bench.worker.turn();
    assert_text(stream.taken(), bench.frame(first, "c"));
    pair.hand_over(stream);
    assert_text(pair.sink.taken(), ""); // no greeting, nothing twice
    const uint64_t second = bench.say("d");
    pair.turn();
    assert_text(pair.sink.taken(), bench.frame(second, "d"));
}

// At every place where the socket may be full: what one has not sent the other one does.
static void test_one_that_is_in_the_middle(void**) {
    for (size_t room = 0; room < 60; ++room) {
        RelayBench bench;
        Pair pair(bench);
        Stream stream(bench, {"c", "d"});
        stream.taken();
        stream.sink.room = room;
        std::string all;
        for (int i = 0; i < 4; ++i) {
            const char* channel = i % 2 ? "c" : "d";
            Draft one = draft(channel, "x");
            one.store = i % 3 != 0; // what no history has goes as well
            all += bench.frame(bench.publish(std::move(one)), channel);
            bench.worker.turn();
        }
        pair.hand_over(stream);
        pair.turn();
        assert_text(stream.taken() + pair.sink.taken(), all);
    }
}

static void test_one_that_replays(void**) {
    RelayBench bench;
    Pair pair(bench);
    std::string all = "h" + bench.at(0) + ";";
    for (int i = 0; i < 20; ++i)
        all += bench.frame(bench.say("c"), "c");
    Stream stream(bench, {"c"}, {.kind = Since::Kind::Earliest, .count = 0, .position = {}}, 60);
    pair.hand_over(stream);
    pair.turn();
    assert_text(stream.taken() + pair.sink.taken(), all);
}

static void test_what_is_in_between_stays(void**) {
    RelayBench bench;
    Stream stream(bench, {"c"});
    bench.say("c");
    bench.worker.turn();
    stream.subscriber.close({});
    assert_false(stream.subscriber.hand_over().has_value());
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_one_that_has_everything),
        cmocka_unit_test(test_one_that_is_in_the_middle),
        cmocka_unit_test(test_one_that_replays),
        cmocka_unit_test(test_what_is_in_between_stays),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
