// SPDX-License-Identifier: Apache-2.0
// Subscriptions to all that a pattern matches: what comes, what comes once, what is told to be
// missing; then worlds of them.
#include "base/text.h"
#include "tests/unit/session_bench.h"

#include <set>

#include "tests/unit/test.h"

using namespace fanhorn;

namespace {

void allow_wildcards(ChannelSettings& settings) {
    settings.wildcard = true;
}

constexpr Since kEarliest = {.kind = Since::Kind::Earliest, .count = 0, .position = {}};

// What a talker is told in one turn.
std::string hear(RelayBench& bench, Talker& talker) {
    bench.worker.turn();
    return talker.sink.taken();
}

} // namespace

static void test_channels_that_are_there_and_that_come(void**) {
    RelayBench bench;
    bench.settle(allow_wildcards);
    bench.say("scores:1");
    Talker talker(bench);
    talker.subscribe({"scores:*"});
    hear(bench, talker);
    const uint64_t one = bench.say("scores:1"), two = bench.say("scores:2");
    bench.say("scores:2:deep");
    bench.say("other");
    assert_text(hear(bench, talker), bench.frame(one, "scores:1") + bench.frame(two, "scores:2"));
    assert_int_equal(talker.session.channel_count(), 1);
    assert_int_equal(talker.session.position().seq, two + 2);
    assert_true(talker.session.unsubscribe("scores:*"));
    bench.say("scores:1");
    assert_text(hear(bench, talker), "");
    assert_int_equal(bench.worker.hub.channel_count(), 0);
}

static void test_a_resume_in_order(void**) {
    RelayBench bench;
    bench.settle(allow_wildcards);
    const uint64_t first = bench.say("a:1");
    const uint64_t second = bench.say("a:2"), third = bench.say("a:1");
    bench.say("b:1");
    Talker talker(bench);
    talker.sink.taken();
    talker.subscribe({"a:*"}, bench.behind(first));
    assert_text(hear(bench, talker), "=ok a:*;" + bench.frame(second, "a:2") +
                                         bench.frame(third, "a:1") + "ca:*," + bench.at(third + 1) +
                                         ";");
}

static void test_others_sections_are_not_among_them(void**) {
    RelayBench bench;
    bench.settle(allow_wildcards);
    bench.rules->exact["a:secret"] = {};
    bench.apply();
    bench.say("a:secret");
    bench.say("$user:x");
    Talker talker(bench, {"a:secret"});
    talker.subscribe({"**"}, kEarliest);
    hear(bench, talker);
    const uint64_t secret = bench.say("a:secret");
    bench.say("$user:x");
    assert_text(hear(bench, talker), bench.frame(secret, "a:secret")); // of its own subscription
    talker.session.unsubscribe("a:secret");
    bench.say("a:secret");
    assert_text(hear(bench, talker), "");
}

static void test_what_several_match_comes_once(void**) {
    RelayBench bench;
    bench.settle(allow_wildcards);
    Talker talker(bench, {"a:1"});
    talker.subscribe({"a:*"});
    talker.subscribe({"a:**"});
    talker.subscribe({"a:2"});
    hear(bench, talker);
    const auto check = [&](const std::string& channel) {
        const uint64_t seq = bench.say(channel);
        assert_text(hear(bench, talker), bench.frame(seq, channel));
    };
    for (const char* channel : {"a:1", "a:2", "a:3", "a:1", "a:2:x"})
        check(channel);
    talker.session.unsubscribe("a:1");
    check("a:1");
    talker.session.unsubscribe("a:*");
    check("a:1");
    check("a:2");
    talker.session.unsubscribe("a:**");
    check("a:2");
    bench.say("a:1");
    assert_text(hear(bench, talker), "");
}

static void test_what_several_resume_comes_once(void**) {
    RelayBench bench;
    bench.settle(allow_wildcards);
    const uint64_t first = bench.say("a:1"), second = bench.say("a:1"), third = bench.say("a:2");
    const std::string all = bench.frame(second, "a:1") + bench.frame(third, "a:2");
    {
        Talker talker(bench);
        talker.sink.taken();
        for (const char* channel : {"a:1", "a:*", "a:**"})
            talker.subscribe({channel}, bench.behind(first));
        const std::string at = bench.at(third);
        assert_text(hear(bench, talker), "=ok a:1;=ok a:*;=ok a:**;" + bench.frame(second, "a:1") +
                                             "ca:1," + at + ";" + bench.frame(third, "a:2") +
                                             "ca:*," + at + ";ca:**," + at + ";");
    }
    Talker talker(bench);
    talker.sink.taken();
    talker.subscribe({"a:**", "a:1", "a:*"}, bench.behind(first));
    assert_text(hear(bench, talker).substr(0, 9 + all.size()), "=ok a:**;" + all);
}

static void test_in_one_step_whatever_the_order(void**) {
    RelayBench bench;
    bench.settle(allow_wildcards);
    std::string all;
    for (const char* channel : {"a:1", "a:2", "a:1"})
        all += bench.frame(bench.say(channel), channel);
    const std::vector<std::string> names = {"a:*", "a:1", "a:**"};
    for (const auto& order : {std::vector{0, 1, 2}, {1, 0, 2}, {0, 2, 1}, {2, 1, 0}}) {
        Talker talker(bench);
        std::vector<std::string> channels;
        for (const int i : order)
            channels.push_back(names[static_cast<size_t>(i)]);
        talker.sink.taken();
        talker.subscribe(channels, kEarliest);
        const std::string told = hear(bench, talker);
        assert_text(told.substr(5 + channels[0].size(), all.size()), all);
        assert_true(told.find(";m", 4 + channels[0].size() + all.size()) == told.npos);
    }
}

// Replays that nobody waits for are not kept behind one that cannot go on.
static void test_what_was_left_takes_no_room(void**) {
    RelayBench bench;
    bench.settle(allow_wildcards);
    for (int i = 0; i < 100; ++i)
        bench.say("a:" + std::to_string(i), std::string(1000, 'x'));
    Talker talker(bench, {}, {}, 500);
    for (int i = 0; i < 50; ++i) {
        talker.subscribe({"a:*"}, kEarliest);
        bench.worker.turn();
        assert_true(talker.session.waiting_parts() <= 2 * 101);
        talker.session.unsubscribe("a:*");
    }
    talker.subscribe({"a:*"}, kEarliest);
    talker.open(SIZE_MAX);
    const std::string told = hear(bench, talker);
    assert_true(told.find(":a:99:") != told.npos);
    assert_int_equal(talker.session.waiting_parts(), 0);
}

// What channels that are gone had is told by the wildcard's name.
static void test_channels_that_were_freed_meanwhile(void**) {
    RelayBench bench(2000);
    bench.settle([](ChannelSettings& settings) {
        settings.wildcard = true;
        settings.history = 0;
    });
    Talker talker(bench);
    talker.subscribe({"a:*"});
    hear(bench, talker);
    for (int i = 0; i < 40; ++i)
        bench.say("a:" + std::to_string(i), std::string(200, 'x'));
    std::string told;
    for (int i = 0; i < 10; ++i)
        told += hear(bench, talker);
    assert_true(told.find("ga:*,") != told.npos);
    assert_true(told.find(",overflow,") != told.npos);
    assert_int_equal(bench.broker->channel_count(), 0);
}

static void test_filters_share_what_both_let_through(void**) {
    RelayBench bench;
    bench.settle(allow_wildcards);
    Talker talker(bench, {"a:1"});
    Session::Step step;
    step.channels = {"a:*"};
    step.settings = {bench.rules->others.get()};
    step.filter = *Filter::parse("kind=goal");
    talker.session.subscribe(std::move(step));
    hear(bench, talker);
    const uint64_t goal = bench.say_tagged("a:1", "kind=goal");
    const uint64_t card = bench.say_tagged("a:1", "kind=card");
    bench.say_tagged("a:2", "kind=card");
    const uint64_t other = bench.say_tagged("a:2", "kind=goal");
    assert_text(hear(bench, talker),
                bench.frame(goal, "a:1") + bench.frame(card, "a:1") + bench.frame(other, "a:2"));
}

static void test_retained_values_of_all(void**) {
    RelayBench bench;
    bench.settle([](ChannelSettings& settings) {
        settings.wildcard = true;
        settings.history = 0;
    });
    std::string expected = "=ok s:*;";
    for (const char* channel : {"s:1", "s:2", "t:1"}) {
        Draft state = draft(channel, "on");
        state.retain = true;
        const uint64_t seq = bench.publish(std::move(state));
        if (channel[0] == 's')
            expected += "r" + std::to_string(seq) + ":" + channel + ":on;";
    }
    Talker talker(bench);
    talker.sink.taken();
    talker.subscribe({"s:*"});
    const std::string told = hear(bench, talker);
    assert_text(told.substr(0, expected.size()), expected);
    Talker both(bench);
    both.subscribe({"s:*", "s:1", "s:**"});
    const std::string all = hear(bench, both);
    for (const char* each : {":s:1:on;", ":s:2:on;"}) {
        assert_true(all.find(each) != all.npos);
        assert_true(all.find(each) == all.rfind(each));
    }
}

static void test_too_many_channels_are_a_gap(void**) {
    RelayBench bench;
    bench.settle(allow_wildcards);
    bench.broker->configure(bench.rules, {.channels = 1000, .wildcard_channels = 3});
    const uint64_t first = bench.say("a:0");
    for (int i = 1; i < 4; ++i)
        bench.say("a:" + std::to_string(i));
    Talker talker(bench);
    talker.sink.taken();
    talker.subscribe({"a:*"}, bench.behind(first));
    const std::string told = hear(bench, talker);
    const std::string gap = "=ok a:*;ga:*," + bench.at(first) + ",null,trimmed,";
    assert_text(told.substr(0, gap.size()), gap);
    assert_true(told.find(";m") == told.npos);
    assert_true(told.find("ca:*," + bench.at(first + 3)) != told.npos);
    assert_int_equal(
        bench.broker_counters.limit_hits[static_cast<size_t>(Limit::WildcardChannels)].value(), 1);
    const uint64_t live = bench.say("a:9");
    assert_text(hear(bench, talker), bench.frame(live, "a:9"));
}

static void test_a_section_closed_to_wildcards(void**) {
    RelayBench bench;
    bench.settle(allow_wildcards);
    Talker talker(bench, {"a:1"});
    talker.subscribe({"a:*"});
    hear(bench, talker);
    bench.settle([](ChannelSettings&) {});
    assert_text(hear(bench, talker), "ea:*,channel_unknown;");
    const uint64_t seq = bench.say("a:1");
    bench.say("a:2");
    assert_text(hear(bench, talker), bench.frame(seq, "a:1"));
}

// The mailbox had no room: history has what did not come.
static void test_a_mailbox_that_ran_over(void**) {
    RelayBench bench(2000);
    bench.settle(allow_wildcards);
    Talker talker(bench, {"a:1"});
    talker.subscribe({"a:*"});
    hear(bench, talker);
    std::set<uint64_t> said;
    for (int i = 0; i < 40; ++i)
        said.insert(bench.say("a:" + std::to_string(i % 4), std::string(200, 'x')));
    std::string told;
    for (int i = 0; i < 10; ++i)
        told += hear(bench, talker);
    for (const uint64_t seq : said) {
        const std::string begin = "m" + std::to_string(seq) + ":";
        const size_t at = told.find(begin);
        assert_true(at != told.npos);
        assert_true(told.find(begin, at + 1) == told.npos);
    }
    assert_true(told.find("ga:") == told.npos);
}

static void test_a_reader_who_is_slow(void**) {
    RelayBench bench;
    bench.settle([](ChannelSettings& settings) {
        settings.wildcard = true;
        settings.slow_consumer_limit = 3000;
    });
    Talker talker(bench, {}, {}, 500);
    talker.subscribe({"a:*"});
    hear(bench, talker);
    for (int i = 0; i < 30; ++i) {
        bench.say("a:" + std::to_string(i % 3), std::string(200, 'x'));
        bench.worker.turn();
    }
    talker.open(SIZE_MAX);
    const std::string told = hear(bench, talker);
    assert_true(told.find("ga:*,") != told.npos);
    assert_true(told.find(",overflow,") != told.npos);
    assert_true(told.ends_with("m30:a:2:" + std::string(200, 'x') + ";"));
}

// ---- worlds

namespace {

class World {
  public:
    explicit World(uint32_t seed)
        : seed_(seed), bench_(random(2) ? SIZE_MAX : 4096), talker_(bench_) {
        bench_.settle([&](ChannelSettings& settings) {
            settings.wildcard = true;
            const uint32_t histories[] = {1000, 1000, 5, 0};
            settings.history = histories[random(4)];
            settings.slow_consumer_limit = random(2) ? 256 << 10 : 400;
            settings.slow_consumer = random(2) ? SlowConsumer::Gap : SlowConsumer::Latest;
        });
        bench_.rules->exact["a:secret"] = *bench_.rules->others;
        bench_.apply();
        bench_.encoding.head = &head_;
    }

    void run(int steps) {
        for (int i = 0; i < steps; ++i)
            step();
        for (int i = 0; i < 50; ++i) {
            talker_.open(SIZE_MAX);
            bench_.worker.turn();
        }
        hear();
        for (const auto& [name, after] : asked_)
            for (const Said& said : said_)
                if (said.seq > after && is_of(name, said.channel))
                    assert_row(name + " <- " + said.channel + " " + std::to_string(said.seq),
                               heard_.contains(said.seq) || is_told(name, said));
        while (!asked_.empty())
            leave(asked_.begin()->first);
        bench_.worker.turn();
        assert_int_equal(bench_.worker.hub.channel_count(), 0);
    }
    size_t messages = 0, gaps = 0;

  private:
    struct Said {
        uint64_t seq;
        std::string channel;
    };
    struct Missing {
        std::string name;
        uint64_t after, next; // what lies between
    };

    uint32_t random(uint32_t below) {
        seed_ = seed_ * 1664525 + 1013904223;
        return (seed_ >> 8) % below;
    }
    std::string channel() {
        const char* names[] = {"a:1", "a:2", "a:2:x", "b:1", "a:secret"};
        return names[random(5)];
    }
    std::string wanted() {
        const char* names[] = {"a:1", "a:2", "a:*", "a:**", "**", "*:1", "a:secret"};
        return names[random(7)];
    }
    static bool is_of(const std::string& name, const std::string& channel) {
        if (!is_wildcard(name))
            return name == channel;
        return channel != "a:secret" && Pattern::parse(name)->matches(channel);
    }
    bool is_told(const std::string& name, const Said& said) const {
        return std::any_of(missing_.begin(), missing_.end(), [&](const Missing& each) {
            return (each.name == name || each.name == said.channel) && said.seq > each.after &&
                   said.seq < each.next;
        });
    }

    void step() {
        switch (random(8)) {
        case 0:
            change();
            break;
        case 1:
            talker_.open(random(3) ? random(2000) : SIZE_MAX);
            break;
        case 2:
            bench_.worker.turn();
            break;
        default: {
            const std::string name = channel();
            head_ = bench_.say(name, std::string(random(100), 'x'));
            said_.push_back({head_, name});
        }
        }
        hear();
    }
    void leave(const std::string& name) {
        talker_.session.unsubscribe(name);
        asked_.erase(name);
        again_ = std::max(again_, head_); // another one, behind it, knows nothing of what it sent
    }
    void change() {
        const std::string name = wanted();
        if (asked_.contains(name))
            return leave(name);
        const uint64_t after = random(2) ? head_ : head_ - std::min<uint64_t>(head_, random(20));
        asked_[name] = after;
        again_ = std::max(again_, head_); // what is older may come once more
        talker_.subscribe({name}, bench_.behind(after));
    }
    void hear() {
        rest_ += talker_.sink.taken();
        for (size_t stop; (stop = rest_.find(';')) != rest_.npos; rest_.erase(0, stop + 1))
            take(std::string_view(rest_).substr(0, stop));
    }
    void take(std::string_view word) {
        const char kind = word[0];
        word.remove_prefix(1);
        if (kind == 'm') {
            const uint64_t seq = *parse_u64(take_until(word, ':'));
            ++messages;
            if (!heard_.insert(seq).second)
                assert_true(seq <= again_);
        } else if (kind == 'g') {
            ++gaps;
            const std::string name(take_until(word, ','));
            const uint64_t after = parse_position(take_until(word, ','))->seq;
            const std::string_view next = take_until(word, ',');
            take_until(word, ',');
            const uint64_t head = *parse_u64(word);
            again_ = std::max(again_, head); // so may what another one had sent behind it
            missing_.push_back(
                {name, after, next == "null" ? head + 1 : parse_position(next)->seq});
        }
    }

    uint32_t seed_;
    RelayBench bench_;
    Talker talker_;
    uint64_t head_ = 0, again_ = 0;
    std::vector<Said> said_;
    std::vector<Missing> missing_;
    std::map<std::string, uint64_t> asked_;
    std::set<uint64_t> heard_;
    std::string rest_;
};

} // namespace

static void test_worlds(void**) {
    run_worlds<World>();
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_channels_that_are_there_and_that_come),
        cmocka_unit_test(test_a_resume_in_order),
        cmocka_unit_test(test_others_sections_are_not_among_them),
        cmocka_unit_test(test_what_several_match_comes_once),
        cmocka_unit_test(test_what_several_resume_comes_once),
        cmocka_unit_test(test_in_one_step_whatever_the_order),
        cmocka_unit_test(test_what_was_left_takes_no_room),
        cmocka_unit_test(test_channels_that_were_freed_meanwhile),
        cmocka_unit_test(test_filters_share_what_both_let_through),
        cmocka_unit_test(test_retained_values_of_all),
        cmocka_unit_test(test_too_many_channels_are_a_gap),
        cmocka_unit_test(test_a_section_closed_to_wildcards),
        cmocka_unit_test(test_a_mailbox_that_ran_over),
        cmocka_unit_test(test_a_reader_who_is_slow),
        cmocka_unit_test(test_worlds),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
