// SPDX-License-Identifier: Apache-2.0
// Channels that come and go on one stream: step by step, then whole worlds of them against an
// oracle.
#include "relay/session.h"

#include "base/text.h"
#include "tests/unit/session_bench.h"

#include <set>

#include "tests/unit/test.h"

using namespace fanhorn;

static void test_reply_replay_caught_up_live(void**) {
    RelayBench bench;
    const uint64_t first = bench.say("c", "one");
    const uint64_t second = bench.say("c", "two");
    Talker talker(bench);
    assert_text(talker.sink.taken(), "h" + bench.at(0) + ";"); // nothing drained yet
    talker.subscribe({"c"}, bench.behind(first));
    bench.worker.turn();
    assert_text(talker.sink.taken(),
                "=ok c;" + bench.frame(second, "c", "two") + "cc," + bench.at(second) + ";");
    const uint64_t third = bench.say("c", "three");
    bench.worker.turn();
    assert_text(talker.sink.taken(), bench.frame(third, "c", "three"));
    assert_int_equal(talker.session.position().seq, third);
}

static void test_what_one_turn_brings_goes_out_together(void**) {
    RelayBench bench;
    Talker talker(bench);
    talker.sink.taken();
    const size_t before = talker.sink.writes;
    for (int i = 0; i < 100; ++i)
        talker.session.say("x");
    assert_int_equal(talker.sink.writes, before);
    bench.worker.turn();
    assert_int_equal(talker.sink.writes, before + 1);
}

static void test_live_goes_on_during_a_replay(void**) {
    RelayBench bench;
    bench.settle([](ChannelSettings& settings) { settings.history_bytes = 64 << 20; });
    for (int i = 0; i < 100; ++i)
        bench.say("old", std::string(10'000, 'o'));
    Talker talker(bench, {"live"});
    bench.worker.turn();
    talker.sink.room = 150'000; // more than one page, less than all
    talker.subscribe({"old"}, {.kind = Since::Kind::Earliest, .count = 0, .position = {}});
    bench.worker.turn();
    bench.say("live", "now");
    bench.worker.turn();
    talker.open(150'000);
    bench.worker.turn();
    const std::string so_far = talker.sink.taken();
    assert_true(so_far.find(":live:now;") != so_far.npos);
    assert_true(so_far.find("cold,") == so_far.npos);
    talker.open(SIZE_MAX);
    bench.worker.turn();
    assert_true(talker.sink.taken().find("cold,") != std::string::npos);
}

static void test_unsubscribe_in_a_replay(void**) {
    RelayBench bench;
    bench.settle([](ChannelSettings& settings) { settings.history_bytes = 64 << 20; });
    for (int i = 0; i < 100; ++i) {
        bench.say("a", std::string(10'000, 'o'));
        bench.say("b");
    }
    Talker talker(bench);
    talker.sink.room = 50'000;
    talker.subscribe({"a", "b"}, {.kind = Since::Kind::Earliest, .count = 0, .position = {}});
    bench.worker.turn();
    assert_true(talker.session.unsubscribe("a"));
    assert_false(talker.session.unsubscribe("a"));
    assert_false(talker.session.has("a"));
    talker.sink.taken();
    talker.open(SIZE_MAX);
    bench.worker.turn();
    const std::string rest = talker.sink.taken();
    assert_true(rest.find("cb,") != rest.npos);
    assert_true(rest.find("ca,") == rest.npos);
    assert_int_equal(talker.session.channel_count(), 1);
}

static void test_a_frame_of_one_that_left_is_finished(void**) {
    RelayBench bench;
    Talker talker(bench, {"a"});
    bench.worker.turn();
    talker.sink.taken();
    talker.sink.room = 10;
    const uint64_t seq = bench.say("a", "long enough to be cut");
    bench.worker.turn();
    talker.session.unsubscribe("a");
    bench.worker.turn();
    talker.open(SIZE_MAX);
    bench.worker.turn();
    assert_text(talker.sink.taken(), bench.frame(seq, "a", "long enough to be cut"));
}

static void test_position_waits_for_all(void**) {
    RelayBench bench;
    bench.settle([](ChannelSettings& settings) { settings.history_bytes = 64 << 20; });
    for (int i = 0; i < 100; ++i)
        bench.say("old", std::string(10'000, 'o'));
    Talker talker(bench, {"a"});
    bench.worker.turn();
    const uint64_t before = talker.session.position().seq;
    talker.sink.room = 50'000;
    talker.subscribe({"old"}, {.kind = Since::Kind::Earliest, .count = 0, .position = {}});
    bench.worker.turn();
    const uint64_t live = bench.say("a");
    bench.worker.turn();
    assert_int_equal(talker.session.position().seq, before);
    talker.open(SIZE_MAX);
    bench.worker.turn();
    assert_int_equal(talker.session.position().seq, live);
}

// What nobody stores reaches who has been told that he is there, whatever else came first.
static void test_there_from_the_hello_on(void**) {
    RelayBench bench;
    Talker talker(bench, {"a"});
    Draft passing = draft("a", "typing");
    passing.store = false;
    const uint64_t seq = bench.publish(std::move(passing));
    bench.worker.turn();
    const std::string told = talker.sink.taken(), frame = bench.frame(seq, "a", "typing");
    assert_true(told.starts_with("h") && told.ends_with(frame));
}

static void test_refused_steps(void**) {
    RelayBench bench;
    Talker talker(bench, {"a"});
    bench.worker.turn();
    talker.sink.taken();
    const ChannelSettings settings;
    bench.rules->others = nullptr;
    bench.apply();
    Session::Step step;
    step.channels = {"b"};
    step.settings = {&settings};
    step.reply = [](const Start& start) {
        return std::string(start.status == Start::Status::NoSection ? "no" : "?");
    };
    talker.session.subscribe(std::move(step));
    bench.worker.turn();
    assert_text(talker.sink.taken(), "ea,channel_unknown;=no;");
    assert_int_equal(talker.session.channel_count(), 0);
}

// ---- worlds

namespace {

// What one session was told, against what was published.
class Oracle {
  public:
    using Log = std::map<std::string, std::vector<uint64_t>>;
    explicit Oracle(const Log& log) : log_(log) {}

    // From its reply on.
    void begin(const std::string& channel, uint64_t after) { asked_[channel].push_back({after}); }
    // What is still on its way is not looked at.
    void end(const std::string& channel) {
        at_.erase(channel);
        for (Asked& asked : asked_[channel])
            asked.is_over = true;
    }
    void hear(std::string_view told) {
        rest_ += told;
        for (size_t stop; (stop = rest_.find(';')) != rest_.npos; rest_.erase(0, stop + 1))
            take(std::string_view(rest_).substr(0, stop));
    }
    // Whether it has everything of what it is subscribed to.
    bool has_all() const {
        for (const auto& [channel, at] : at_)
            if (const auto found = log_.find(channel);
                found != log_.end() && !found->second.empty() && found->second.back() > at)
                return false;
        return true;
    }
    size_t messages = 0, gaps = 0, ends = 0, caught_up = 0;

  private:
    void take(std::string_view word) {
        const char kind = word[0];
        word.remove_prefix(1);
        if (kind == '=') {
            reply(std::string(word.substr(3)));
        } else if (kind == 'm') {
            const uint64_t seq = *parse_u64(take_until(word, ':'));
            message(std::string(take_until(word, ':')), seq);
        } else if (kind == 'g') {
            gap(word);
        } else if (kind == 'e') {
            ++ends;
            at_.erase(std::string(take_until(word, ',')));
        } else if (kind == 'c') {
            ++caught_up;
            const std::string channel(take_until(word, ','));
            reach(channel, parse_position(word)->seq);
        }
    }
    void reply(const std::string& channel) {
        const Asked asked = asked_[channel].front();
        asked_[channel].erase(asked_[channel].begin());
        if (!asked.is_over)
            at_[channel] = asked.after;
    }
    void message(const std::string& channel, uint64_t seq) {
        ++messages;
        if (!at_.contains(channel))
            return; // on its way when it left
        reach(channel, seq - 1);
        at_[channel] = seq;
    }
    // Nothing of the channel lies between where it is and there.
    void reach(const std::string& channel, uint64_t seq) {
        const auto at = at_.find(channel);
        if (at == at_.end())
            return;
        assert_true(seq >= at->second);
        if (is_forgiven_.erase(channel) > 0)
            at->second = seq;
        if (const auto found = log_.find(channel); found != log_.end())
            for (const uint64_t each : found->second)
                assert_false(each > at->second && each <= seq);
        at->second = seq;
    }
    void gap(std::string_view word) {
        ++gaps;
        const auto at = at_.find(std::string(take_until(word, ',')));
        if (at == at_.end())
            return;
        take_until(word, ',');
        const std::string_view next = take_until(word, ',');
        if (next == "null") // up to the position that follows
            is_forgiven_.insert(at->first);
        else
            at->second = std::max(at->second, parse_position(next)->seq - 1);
    }

    const Log& log_;
    struct Asked {
        uint64_t after;
        bool is_over = false;
    };
    std::map<std::string, std::vector<Asked>> asked_;
    std::map<std::string, uint64_t> at_;
    std::set<std::string> is_forgiven_;
    std::string rest_;
};

class World {
  public:
    explicit World(uint32_t seed) : seed_(seed), bench_(random(2) ? SIZE_MAX : 4096) {
        bench_.settle([&](ChannelSettings& settings) {
            settings.history = random(3) ? 1000 : 5;
            settings.slow_consumer_limit = random(2) ? 256 << 10 : 400;
            settings.slow_consumer = random(2) ? SlowConsumer::Gap : SlowConsumer::Latest;
        });
        bench_.encoding.head = &head_;
        for (int i = 0; i < 3; ++i) {
            talkers_.push_back(std::make_unique<Talker>(bench_));
            oracles_.emplace_back(log_);
        }
    }

    void run(int steps) {
        for (int i = 0; i < steps; ++i)
            step();
        for (auto& talker : talkers_)
            for (int i = 0; i < 50; ++i) {
                talker->open(SIZE_MAX);
                bench_.worker.turn();
            }
        for (size_t i = 0; i < talkers_.size(); ++i) {
            oracles_[i].hear(talkers_[i]->sink.taken());
            assert_true(oracles_[i].has_all());
            messages += oracles_[i].messages;
            gaps += oracles_[i].gaps;
        }
        talkers_.clear();
        bench_.worker.turn();
        assert_int_equal(bench_.worker.hub.channel_count(), 0);
    }
    size_t messages = 0, gaps = 0;

  private:
    uint32_t random(uint32_t below) {
        seed_ = seed_ * 1664525 + 1013904223;
        return (seed_ >> 8) % below;
    }
    std::string channel() { return std::string(1, static_cast<char>('a' + random(5))); }

    void step() {
        const size_t number = random(3);
        Talker& talker = *talkers_[number];
        switch (random(8)) {
        case 0:
            change(talker, oracles_[number]);
            break;
        case 1:
            talker.open(random(3) ? random(2000) : SIZE_MAX);
            break;
        case 2:
            bench_.worker.turn();
            break;
        case 3:
            remove();
            break;
        default:
            publish();
        }
        oracles_[number].hear(talker.sink.taken());
    }
    void publish() {
        const std::string name = channel();
        head_ = bench_.say(name, std::string(random(100), 'x'));
        log_[name].push_back(head_);
    }
    void remove() {
        if (random(20) != 0)
            return;
        const std::string name = channel();
        bench_.broker->remove(name, [](Removal) {});
        head_ = bench_.broker->pushed().seq;
        log_[name].clear();
    }
    void change(Talker& talker, Oracle& oracle) {
        const std::string name = channel();
        if (talker.session.has(name)) {
            talker.session.unsubscribe(name);
            return oracle.end(name);
        }
        const uint64_t after = random(2) ? head_ : head_ - std::min<uint64_t>(head_, random(20));
        oracle.begin(name, after);
        talker.subscribe({name}, bench_.behind(after));
    }

    uint32_t seed_;
    RelayBench bench_;
    uint64_t head_ = 0;
    Oracle::Log log_;
    std::vector<std::unique_ptr<Talker>> talkers_;
    std::vector<Oracle> oracles_;
};

} // namespace

static void test_worlds(void**) {
    run_worlds<World>();
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_reply_replay_caught_up_live),
        cmocka_unit_test(test_what_one_turn_brings_goes_out_together),
        cmocka_unit_test(test_live_goes_on_during_a_replay),
        cmocka_unit_test(test_unsubscribe_in_a_replay),
        cmocka_unit_test(test_a_frame_of_one_that_left_is_finished),
        cmocka_unit_test(test_position_waits_for_all),
        cmocka_unit_test(test_there_from_the_hello_on),
        cmocka_unit_test(test_refused_steps),
        cmocka_unit_test(test_worlds),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
