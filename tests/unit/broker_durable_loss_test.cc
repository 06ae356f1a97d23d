// SPDX-License-Identifier: Apache-2.0
// A durable broker whose disk lost something, or may have: what is gone is told.
#include "tests/unit/durable_bench.h"

#include <map>
#include <random>

using namespace fanhorn;

namespace {

// Whether who resumes behind `since` gets that message, or is told that it may be gone.
bool is_got_or_told(DurableBench& bench, const std::string& channel, uint64_t since, uint64_t seq) {
    Stretch stretch;
    stretch.parts = {{channel, since}};
    stretch.after = since;
    for (;;) {
        const Page page = bench.read(std::move(stretch));
        for (const Gap& gap : page.gaps)
            if (gap.after.seq < seq && (gap.next.seq == 0 || seq < gap.next.seq))
                return true;
        const Seqs got = seqs(page);
        if (std::find(got.begin(), got.end(), seq) != got.end())
            return true;
        if (page.is_end)
            return false;
        stretch = page.rest;
    }
}

} // namespace

static void test_a_lost_stretch_is_told(void**) {
    DurableBench bench(LogSync::EverySecond);
    bench.settle([](ChannelSettings& settings) { settings.wildcard = true; });
    bench.say("s:2");
    bench.stop_and_begin();
    const uint64_t kept = bench.say("s:1"); // synced, for the ceiling rises
    const uint64_t lost = bench.say("s:1");
    bench.say("s:1");
    bench.boot = "another";
    bench.lose_power_and_begin();
    const uint64_t later = bench.say("s:1");
    assert_true(later > lost + 1);
    const auto text = [](uint64_t seq) { return std::to_string(seq); };
    // Before it, in it, behind it; a channel that has nothing; all of them.
    assert_text(story(bench, {"s:1"}, bench.behind(kept - 1)),
                text(kept) + " broker " + text(kept) + ">" + text(later) + " " + text(later) + " ");
    assert_text(story(bench, {"s:1"}, bench.behind(kept)),
                "broker " + text(kept) + ">" + text(later) + " " + text(later) + " ");
    assert_text(story(bench, {"s:1"}, bench.behind(lost)),
                "broker " + text(lost) + ">" + text(later) + " " + text(later) + " ");
    assert_text(story(bench, {"s:1"}, bench.behind(later - 1)), text(later) + " ");
    assert_text(story(bench, {"s:9"}, bench.behind(kept)), "broker " + text(kept) + ">0 ");
    assert_text(story(bench, {"s:9"}, {}), "");
    // It stays known.
    bench.crash_and_begin();
    bench.write_checkpoint();
    bench.stop_and_begin();
    assert_text(story(bench, {"s:9"}, bench.behind(kept)), "broker " + text(kept) + ">0 ");
    assert_true(story(bench, {"s:1"}, bench.behind(lost)).starts_with("broker "));
}

// One after the other, and who reads across both is told of both.
static void test_two_lost_stretches_are_told(void**) {
    DurableBench bench(LogSync::EverySecond);
    const auto text = [](uint64_t seq) { return std::to_string(seq); };
    const uint64_t first = bench.say("c");
    bench.say("c");
    bench.boot = "another";
    bench.lose_power_and_begin();
    const uint64_t second = bench.say("c");
    bench.say("c");
    bench.boot = "a third";
    bench.lose_power_and_begin();
    const uint64_t third = bench.say("c");
    assert_text(story(bench, {"c"}, bench.behind(first)),
                "broker " + text(first) + ">" + text(second) + " " + text(second) + " broker " +
                    text(second) + ">" + text(third) + " " + text(third) + " ");
}

// Whatever call fails, and perhaps another one, and then the power: who resumes gets all that was
// acknowledged, or is told.
static bool lose_power_behind(size_t first, size_t second) {
    DurableBench bench(LogSync::EverySecond);
    bench.settle([](ChannelSettings& settings) { settings.history = 1'000'000; });
    std::map<std::string, Seqs> acknowledged = {{"a", {}}, {"b", {}}, {"c", {}}};
    const size_t opening = bench.folder->calls;
    size_t failures = 0;
    bench.folder->fails = [&](size_t call) {
        const size_t number = call - opening;
        const bool fails = number == first || number == first + second;
        failures += fails;
        return fails;
    };
    const size_t wanted = second ? 2 : 1;
    for (int step = 0; step < 90 && failures < wanted; ++step)
        for (auto& [channel, seqs] : acknowledged) {
            const Published published = bench.publish(draft(channel, "x"));
            if (published.status == Published::Status::Published)
                seqs.push_back(published.position.seq);
            if (failures == wanted)
                break;
        }
    bench.fail_never();
    bench.boot = "another";
    bench.lose_power_and_begin(300);
    for (const auto& [channel, seqs] : acknowledged)
        for (size_t i = 0; i + 1 < seqs.size(); ++i)
            assert_true(is_got_or_told(bench, channel, seqs[i], seqs[i + 1]) &&
                        is_got_or_told(bench, channel, seqs[i], seqs.back()));
    return failures == wanted;
}

static void test_what_a_failed_sync_lost_is_told(void**) {
    size_t first = 1;
    while (lose_power_behind(first, 0))
        ++first;
    assert_true(first > 100);
    for (first = 1; first < 100; first += 3)
        for (size_t second = 1; second < 8; ++second)
            lose_power_behind(first, second);
}

static void test_a_wildcard_is_told_as_well(void**) {
    DurableBench bench(LogSync::EverySecond);
    bench.settle([](ChannelSettings& settings) { settings.wildcard = true; });
    const uint64_t kept = bench.say("s:1");
    bench.stop_and_begin();
    bench.say("s:2");
    bench.boot = "another";
    bench.lose_power_and_begin();
    Mailbox box(SIZE_MAX, [] {});
    const Start start = bench.subscribe(bench.broker->add_worker(box), {"s:*"}, bench.behind(kept));
    assert_true(start.status == Start::Status::Placed);
    assert_true(story(bench, {"s:*"}, bench.behind(kept)).find("broker ") != std::string::npos);
}

static void test_nothing_lost_nothing_told(void**) {
    DurableBench bench; // always
    const uint64_t first = bench.say("c"), second = bench.say("c");
    bench.boot = "another";
    bench.lose_power_and_begin();
    assert_text(story(bench, {"c"}, bench.behind(first)), std::to_string(second) + " ");
    DurableBench lazy(LogSync::EverySecond);
    const uint64_t one = lazy.say("c"), two = lazy.say("c");
    lazy.crash_and_begin(); // the process alone
    assert_text(story(lazy, {"c"}, lazy.behind(one)), std::to_string(two) + " ");
}

// All that is kept is written anew before anything else is acknowledged.
static void test_a_failed_sync_loses_nothing(void**) {
    DurableBench bench(LogSync::EverySecond);
    bench.say("c", "one");
    bench.say("c", "two");
    bench.sync_micros = 0;
    bench.stop_and_begin();
    const size_t before = bench.folder->calls;
    bench.folder->fails = [before](size_t call) { return call == before + 4; };
    bench.say("c", "three"); // written and synced, for the ceiling rises
    bench.say("c", "four");  // written; the sync fails
    assert_true(bench.folder->calls == before + 4 && bench.counters.log_errors.value() == 1);
    bench.say("c", "five");
    assert_int_equal(bench.counters.log_checkpoints.value(), 1);
    bench.boot = "another";
    bench.lose_power_and_begin();
    assert_true(payloads(bench.read({"c"}, earliest())) ==
                std::vector<std::string>({"one", "two", "three", "four", "five"}));
}

// Some hundred steps of every kind on a disk whose every nth call fails, then the power goes: what
// was acknowledged is there, in its order, and nothing was sent that is not.
static void run_on_a_bad_disk(uint32_t seed) {
    std::mt19937 random(seed);
    const auto below = [&](uint32_t bound) { return static_cast<uint32_t>(random() % bound); };
    DurableBench bench;
    bench.slack_bytes = 3000;
    bench.stop_and_begin();
    bench.settle([](ChannelSettings& settings) { settings.history = 1'000'000; });
    std::map<std::string, std::vector<std::pair<uint64_t, std::string>>> acknowledged;
    Mailbox box(SIZE_MAX, [] {});
    bench.subscribe(bench.broker->add_worker(box), {"c0", "c1", "c2"});
    std::vector<uint64_t> sent;
    uint64_t last = 0;
    for (int step = 0; step < 300; ++step) {
        const uint32_t odds = 2 + below(12);
        const bool is_bad = below(3) == 0;
        bench.folder->fails = [&, odds, is_bad](size_t) { return is_bad && below(odds) == 0; };
        const std::string channel = "c" + std::to_string(below(3));
        if (below(40) == 0 && bench.remove(channel))
            acknowledged[channel].clear();
        if (below(5) == 0)
            bench.broker->tick();
        const std::string payload = std::to_string(step);
        const Published published = bench.publish(draft(channel, payload));
        if (published.status == Published::Status::Published) {
            assert_true(published.position.seq > last);
            last = published.position.seq;
            acknowledged[channel].emplace_back(last, payload);
        }
    }
    bench.fail_never();
    sent = drain(box);
    assert_true(std::is_sorted(sent.begin(), sent.end()));
    bench.lose_power_and_begin(below(100));
    assert_true(bench.broker->pushed().seq >= last);
    for (const auto& [channel, messages] : acknowledged) {
        Stretch stretch;
        stretch.parts = {{channel, 0}};
        stretch.max_messages = stretch.max_bytes = SIZE_MAX;
        const Page page = bench.read(std::move(stretch));
        auto next = page.messages.begin();
        for (const auto& [seq, payload] : messages) {
            while (next != page.messages.end() && (*next)->position.seq < seq)
                ++next;
            assert_true(next != page.messages.end() && (*next)->position.seq == seq);
            assert_text((*next)->payload, payload);
        }
        for (const MessageRef& message : page.messages)
            assert_true(message->channel == channel);
    }
}

static void test_bad_disks(void**) {
    for (uint32_t seed = 1; seed <= 150; ++seed)
        run_on_a_bad_disk(seed);
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_a_lost_stretch_is_told),
        cmocka_unit_test(test_two_lost_stretches_are_told),
        cmocka_unit_test(test_what_a_failed_sync_lost_is_told),
        cmocka_unit_test(test_a_wildcard_is_told_as_well),
        cmocka_unit_test(test_nothing_lost_nothing_told),
        cmocka_unit_test(test_a_failed_sync_loses_nothing),
        cmocka_unit_test(test_bad_disks),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
