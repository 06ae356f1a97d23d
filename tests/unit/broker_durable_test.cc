// SPDX-License-Identifier: Apache-2.0
// What only a durable broker can: it ends, and begins again with what it had. What it lost is in
// broker_durable_loss_test.cc.
#include "tests/unit/durable_bench.h"

#include <atomic>
#include <semaphore>

using namespace fanhorn;

namespace {

Draft keyed(const std::string& payload, const std::string& key) {
    Draft draft = fanhorn::draft("c", payload);
    draft.idempotency_key = key;
    return draft;
}

Draft state(const std::string& channel, const std::string& payload, Millis ttl = 0) {
    Draft draft = fanhorn::draft(channel, payload);
    draft.retain = true;
    draft.ttl = ttl;
    return draft;
}

std::string retained(DurableBench& bench, const std::string& channel) {
    const Start start = bench.locate({channel}, {});
    return start.channels.at(0).retained ? start.channels[0].retained->payload : "-";
}

Marked mark(DurableBench& bench, const std::string& user, uint64_t seq) {
    ReadMark mark;
    mark.channel = "c";
    mark.user = user;
    mark.position = bench.behind(seq).position;
    return bench.mark(std::move(mark));
}

// What each way of ending has to keep.
void keep_everything(const std::function<void(DurableBench&)>& end) {
    DurableBench bench;
    bench.settle([](ChannelSettings& settings) { settings.history = 3; });
    const uint64_t epoch = bench.broker->pushed().epoch;
    for (int i = 0; i < 5; ++i)
        bench.say("c", std::to_string(i));
    Draft full = draft("d", std::string("a\0b", 3));
    full.content_type = "text/x";
    full.event = "e";
    full.tags = "k=v";
    full.exclude[1] = 5;
    full.binary = true;
    bench.publish(std::move(full));
    bench.publish(state("e", "old"));
    for (int i = 0; i < 4; ++i)
        bench.say("e"); // the retained one leaves the history
    bench.publish(state("f", "unstored"));
    const Published first = bench.publish(keyed("once", "key"));
    bench.say("gone");
    assert_true(bench.remove("gone"));
    assert_true(mark(bench, "bob", 3).status == Marked::Status::Moved);
    const std::string before = story(bench, {"c", "d", "e"}, earliest());
    const uint64_t head = bench.broker->pushed().seq;

    end(bench);
    assert_int_equal(bench.broker->pushed().epoch, epoch);
    assert_true(bench.broker->pushed().seq >= head);
    assert_text(story(bench, {"c", "d", "e"}, earliest()), before);
    const Page page = bench.read({"d"}, earliest());
    const Message& message = *page.messages.at(0);
    assert_true(message.payload == std::string("a\0b", 3) && message.binary && message.stored);
    assert_text(message.content_type + message.event + message.tags, "text/xek=v");
    assert_true(message.exclude[1] == 5 && message.n == 1);
    assert_text(retained(bench, "e"), "old");
    assert_text(retained(bench, "f"), "unstored");
    assert_int_equal(bench.facts("c")->n, 6);
    assert_true(bench.publish(keyed("once", "key")).status == Published::Status::Replayed);
    assert_true(bench.publish(keyed("once", "key")).position == first.position);
    assert_true(bench.publish(keyed("twice", "key")).status == Published::Status::Mismatch);
    assert_text(story(bench, {"gone"}, earliest()), "");
    assert_true(story(bench, {"c"}, bench.behind(1)).starts_with("trimmed 1>"));
    assert_int_equal(bench.markers({"c"}, "bob").at(0).seq, 3);
    assert_true(mark(bench, "bob", 2).status == Marked::Status::Kept);
    assert_true(bench.say("c") > head);
    assert_int_equal(bench.facts("c")->n, 7);
}

} // namespace

static void test_everything_is_kept(void**) {
    keep_everything([](DurableBench& bench) { bench.stop_and_begin(); });
    keep_everything([](DurableBench& bench) { bench.crash_and_begin(); });
    keep_everything([](DurableBench& bench) { bench.lose_power_and_begin(); });
}

// Names that agree for long, or end within each other.
static void test_lists_are_in_order(void**) {
    DurableBench bench;
    std::vector<std::string> names = {"a", "ab", "room:1234", "room:1234:", "room:12345678:a", "z"};
    const std::string trunk(100, 'n');
    for (int i = 0; i < 50; ++i)
        names.push_back(trunk + std::to_string(i * 37 % 50) + (i % 2 ? "" : trunk));
    for (size_t i = 0; i < names.size(); ++i)
        bench.say(names[i * 31 % names.size()]);
    bench.say("gone");
    assert_true(bench.remove("gone"));
    bench.crash_and_begin();
    bench.say("b");
    names.push_back("b");
    std::sort(names.begin(), names.end());
    const ChannelList list = bench.list("", "", 1000);
    assert_int_equal(list.channels.size(), names.size());
    for (size_t i = 0; i < names.size(); ++i)
        assert_text(list.channels[i].channel, names[i]);
}

static void test_a_checkpoint_says_it_all(void**) {
    keep_everything([](DurableBench& bench) {
        bench.crash_and_begin(); // the first thing then is one
        bench.write_checkpoint();
        bench.lose_power_and_begin();
    });
    keep_everything([](DurableBench& bench) {
        for (int i = 0; i < 3; ++i) {
            bench.crash_and_begin();
            bench.write_checkpoint();
        }
        bench.stop_and_begin();
        bench.stop_and_begin();
    });
}

static void test_a_clean_end_skips_no_seq(void**) {
    DurableBench bench;
    const uint64_t last = bench.say("c");
    bench.stop_and_begin();
    assert_int_equal(bench.say("c"), last + 1);
    bench.crash_and_begin();
    const uint64_t skipped = bench.say("c");
    assert_true(skipped > last + 2);
    // Nobody can have missed anything in between.
    assert_text(story(bench, {"c"}, bench.behind(last + 1)), std::to_string(skipped) + " ");
}

// Unstored messages and joins are not in the log, and yet their seqs are never given again.
static void test_unstored_seqs_are_not_given_again(void**) {
    DurableBench bench;
    Draft typing = draft("c", "typing");
    typing.store = false;
    const uint64_t seq = bench.publish(std::move(typing)).position.seq;
    bench.lose_power_and_begin();
    assert_true(bench.say("c") > seq);
    assert_text(story(bench, {"c"}, bench.behind(seq)),
                std::to_string(bench.broker->pushed().seq) + " ");
}

static void test_a_freed_channel_has_its_gap(void**) {
    for (const bool has_checkpoint : {false, true}) {
        DurableBench bench;
        bench.settle([](ChannelSettings& settings) { settings.history_ttl = 1000; });
        const uint64_t first = bench.say("c");
        bench.say("c");
        bench.clock.advance(3000);
        bench.broker->tick();
        assert_int_equal(bench.broker->channel_count(), 0);
        bench.crash_and_begin();
        if (has_checkpoint) {
            bench.write_checkpoint();
            bench.crash_and_begin();
        }
        assert_true(story(bench, {"c"}, bench.behind(first)).starts_with("trimmed "));
    }
}

// A channel is freed, a checkpoint goes past its name, and then it is there anew.
static void test_a_channel_made_anew_has_its_gap(void**) {
    DurableBench bench;
    bench.settle([](ChannelSettings& settings) { settings.history_ttl = 1000; });
    const uint64_t first = bench.say("a");
    bench.say("a");
    bench.clock.advance(3000);
    bench.broker->tick();
    for (const char* channel : {"b1", "b2", "b3", "b4"})
        bench.say(channel, std::string(900'000, 'x')); // more than one slice
    bench.crash_and_begin();
    bench.broker->tick(); // past "a"
    assert_int_equal(bench.counters.log_checkpoints.value(), 0);
    const uint64_t later = bench.say("a");
    bench.write_checkpoint();
    bench.crash_and_begin();
    assert_text(story(bench, {"a"}, bench.behind(first)), "trimmed " + std::to_string(first) + ">" +
                                                              std::to_string(later) + " " +
                                                              std::to_string(later) + " ");
}

static void test_age_goes_on(void**) {
    DurableBench bench;
    bench.settle([](ChannelSettings& settings) { settings.history_ttl = 60'000; });
    bench.publish(state("s", "brief", 5000));
    bench.say("c");
    bench.stop_and_begin();
    assert_text(retained(bench, "s"), "brief");
    bench.clock.advance(5000);
    assert_text(retained(bench, "s"), "-");
    bench.clock.advance(56'000);
    bench.broker->tick();
    assert_int_equal(bench.broker->channel_count(), 0);
}

static void test_a_section_that_went_takes_its_channels(void**) {
    DurableBench bench;
    const uint64_t seq = bench.say("c");
    bench.say("d");
    bench.broker->stop();
    bench.rules = std::make_shared<TestRules>();
    bench.rules->exact["d"] = *bench.rules->others;
    bench.rules->others = nullptr;
    assert_true(bench.begin());
    assert_false(bench.facts("c").has_value());
    assert_true(bench.facts("d").has_value());
    assert_true(story(bench, {"c"}, bench.behind(seq - 1)).starts_with("trimmed"));
}

// A log has channels that were never there at once.
static void test_freed_channels_take_no_place(void**) {
    DurableBench bench;
    bench.settle([](ChannelSettings& settings) { settings.history_ttl = 1000; });
    const auto fill = [&](const std::string& prefix, int count) {
        for (int i = 0; i < count; ++i)
            bench.say(prefix + std::to_string(i));
    };
    fill("a", 600); // of 1000
    bench.clock.advance(3000);
    bench.broker->tick();
    fill("b", 600);
    bench.crash_and_begin();
    assert_int_equal(bench.broker->channel_count(), 600);
    assert_true(bench.facts("b599").has_value());
    fill("c", 400);
    assert_true(bench.publish(draft("d", "x")).status == Published::Status::ChannelsFull);
}

// What no history has makes the log no longer than a checkpoint does.
static void test_checkpoints_come_to_an_end(void**) {
    DurableBench bench;
    bench.slack_bytes = 3000;
    bench.stop_and_begin();
    const auto say_unstored = [&](int i, size_t size) {
        Draft draft = state("c" + std::to_string(i), std::string(size, 'x'));
        draft.store = false;
        bench.publish(std::move(draft));
    };
    for (int i = 0; i < 50; ++i)
        say_unstored(i, 1000);
    const uint64_t before = bench.counters.log_checkpoints.value();
    assert_true(before > 0);
    for (int i = 0; i < 200; ++i)
        say_unstored(0, 100);
    assert_true(bench.counters.log_checkpoints.value() <= before + 1);
}

static void test_room_is_given_back(void**) {
    DurableBench bench;
    bench.slack_bytes = 20'000;
    bench.stop_and_begin();
    bench.settle([](ChannelSettings& settings) {
        settings.history = 10;
        settings.history_ttl = 60'000;
    });
    uint64_t most = 0;
    for (int i = 0; i < 3000; ++i) {
        bench.say("c" + std::to_string(i % 5), std::string(200, 'x'));
        most = std::max(most, bench.disk_bytes());
    }
    assert_true(bench.counters.log_checkpoints.value() > 3);
    // Twice what is kept and the slack, and what is written while a checkpoint is.
    assert_true(most < 2 * (2 * 50 * 900 + 20'000));
    bench.clock.advance(100'000);
    for (int i = 0; i < 50; ++i)
        bench.broker->tick(); // by age alone
    assert_true(bench.disk_bytes() <= 20'000 + 2000);
    assert_int_equal(bench.counters.log_bytes.value(), bench.disk_bytes());
    bench.crash_and_begin();
    assert_int_equal(bench.broker->channel_count(), 0);
}

// The disk has no room for a checkpoint: what it wrote is given back, and is no publisher's loss.
static void test_a_checkpoint_that_has_no_room(void**) {
    DurableBench bench;
    for (const char* channel : {"c1", "c2", "c3", "c4"})
        bench.say(channel, std::string(900'000, 'x'));
    bench.crash_and_begin();
    const uint64_t before = bench.disk_bytes();
    bench.folder->room = before + 2'500'000;
    while (bench.counters.log_errors.value() == 0)
        bench.broker->tick();
    assert_true(bench.disk_bytes() < before + 1000);
    bench.say("c1");
    assert_int_equal(bench.counters.log_checkpoints.value(), 0);
    bench.folder->room = SIZE_MAX;
    bench.write_checkpoint();
    bench.lose_power_and_begin();
    assert_int_equal(bench.facts("c1")->n, 2);
    assert_int_equal(bench.facts("c4")->n, 1);
}

static void test_nobody_is_sent_what_is_not_stored(void**) {
    DurableBench bench;
    Mailbox box(SIZE_MAX, [] {});
    bench.subscribe(bench.broker->add_worker(box), {"c"});
    const uint64_t head = bench.broker->pushed().seq;
    size_t looks = 0;
    bench.folder->fails = [&](size_t) {
        assert_true(drain(box).empty());
        assert_int_equal(bench.broker->pushed().seq, head);
        ++looks;
        return false;
    };
    const uint64_t seq = bench.say("c");
    assert_true(looks >= 2); // a write and a sync
    bench.fail_never();
    assert_true(drain(box) == Seqs({seq}));
}

static void test_the_disk_fails(void**) {
    DurableBench bench;
    Mailbox box(SIZE_MAX, [] {});
    bench.subscribe(bench.broker->add_worker(box), {"c"});
    const uint64_t before = bench.say("c", "before");
    assert_true(drain(box) == Seqs({before}));
    bench.fail_always();
    assert_true(bench.publish(keyed("lost", "key")).status == Published::Status::Down);
    std::vector<Draft> twice;
    twice.push_back(keyed("lost", "key"));
    twice.push_back(keyed("lost", "key"));
    for (const Published& each : bench.publish_all(std::move(twice)))
        assert_true(each.status == Published::Status::Down && each.position == Position());
    assert_true(mark(bench, "bob", before).status == Marked::Status::Down);
    assert_int_equal(bench.markers({"c"}, "bob").at(0).epoch, 0);
    assert_true(bench.removal("c") == Removal::Down);
    assert_true(bench.removal("unknown") == Removal::Unknown);
    assert_true(bench.publish(draft("new", "x")).status == Published::Status::Down);
    assert_false(bench.facts("new").has_value());
    assert_true(drain(box).empty());
    assert_text(story(bench, {"c"}, earliest()), std::to_string(before) + " ");
    assert_true(bench.counters.log_errors.value() > 0);
    assert_int_equal(bench.counters.log_refused.value(), 4);

    bench.fail_never();
    bench.broker->tick();
    const Published after = bench.publish(keyed("after", "key"));
    assert_true(after.status == Published::Status::Published);
    assert_true(after.position.seq > before);
    assert_true(drain(box) == Seqs({after.position.seq}));
    bench.lose_power_and_begin();
    assert_true(payloads(bench.read({"c"}, earliest())) ==
                std::vector<std::string>({"before", "after"}));
}

// Who comes and goes is told though nothing can be stored.
static void test_joins_go_on(void**) {
    DurableBench bench;
    bench.settle([](ChannelSettings& settings) { settings.joins = settings.presence = true; });
    bench.say("c");
    Mailbox box(SIZE_MAX, [] {});
    bench.subscribe(bench.broker->add_worker(box), {"c"});
    bench.fail_always();
    assert_true(bench.publish(draft("c", "x")).status == Published::Status::Down);
    assert_true(bench.broker->attend("c", {"bob", "", 0}, kNoConnection));
    assert_int_equal(drain(box).size(), 1);
}

static void test_repeats_of_one_group(void**) {
    DurableBench bench;
    std::vector<Draft> drafts;
    drafts.push_back(keyed("a", "key"));
    drafts.push_back(keyed("a", "key"));
    drafts.push_back(keyed("b", "key"));
    const auto results = bench.publish_all(std::move(drafts));
    assert_true(results[0].status == Published::Status::Published);
    assert_true(results[1].status == Published::Status::Replayed);
    assert_true(results[2].status == Published::Status::Mismatch);
}

// The writer waits for the disk: what comes beyond the bound is refused, or not told.
static void test_the_queue_has_a_bound(void**) {
    const auto folder = std::make_shared<FakeFolder>();
    std::atomic<bool> is_slow = false;
    std::binary_semaphore is_waiting(0), goes_on(0);
    folder->fails = [&](size_t) {
        if (is_slow) {
            is_waiting.release();
            goes_on.acquire();
        }
        return false;
    };
    BrokerSettings settings;
    settings.log_queue = 2000;
    DurableBroker::Seams seams;
    seams.disk = std::make_unique<FakeDisk>(folder);
    const FakeClock clock;
    Counters counters;
    DurableBroker broker(settings, std::move(seams), clock, counters);
    const auto rules = std::make_shared<TestRules>();
    rules->others->presence = rules->others->joins = true;
    broker.configure(rules, {});
    Mailbox home(SIZE_MAX, [] {});
    home.serve_this_thread();
    assert_true(broker.start().ok());
    broker.subscribe(broker.add_worker(home), {"c"}, {}, [](const Start&) {});

    size_t stored = 0, refused = 0;
    const auto say = [&] {
        std::vector<Draft> drafts;
        drafts.push_back(draft("c", std::string(1200, 'x')));
        broker.publish(std::move(drafts), [&](const std::vector<Published>& results) {
            ++(results[0].status == Published::Status::Down ? refused : stored);
        });
    };
    const auto hits = [&] {
        return counters.limit_hits[static_cast<size_t>(Limit::LogQueue)].value();
    };
    is_slow = true;
    say();
    is_waiting.acquire();
    say();
    assert_true(refused == 0 && hits() == 0);
    say();
    assert_true(refused == 1 && hits() == 1);
    for (int user = 0; user < 10; ++user)
        assert_true(broker.attend("c", {std::to_string(user), "", 0}, kNoConnection));
    const size_t untold = hits() - 1;
    assert_true(untold > 5);
    is_slow = false;
    goes_on.release();
    size_t messages = 0;
    while (stored < 2 || messages < 2 + 10 - untold) {
        Mailbox::Batch batch;
        home.take(batch);
        for (const Mail& mail : batch.mail)
            mail.message ? static_cast<void>(++messages) : mail.notice->task();
    }
    broker.stop();
    assert_true(refused == 1 && messages == 2 + 10 - untold);
}

// What is in doubt is written again, and only then has a group its places: the key of one that
// fails is not among what was written.
static void test_a_group_that_fails_behind_a_failed_sync(void**) {
    for (size_t fails_at = 1; fails_at < 20; ++fails_at) {
        DurableBench bench(LogSync::EverySecond);
        bench.sync_micros = 0;
        bench.stop_and_begin();
        bench.say("c");
        const size_t sync = bench.folder->calls + 2;
        bench.folder->fails = [&](size_t call) { return call == sync; };
        bench.say("c"); // written; the sync fails
        const size_t before = bench.folder->calls;
        assert_int_equal(before, sync);
        bench.folder->fails = [&](size_t call) { return call == before + fails_at; };
        const bool is_stored =
            bench.publish(keyed("x", "key")).status == Published::Status::Published;
        bench.fail_never();
        bench.crash_and_begin();
        assert_true(bench.publish(keyed("x", "key")).status ==
                    (is_stored ? Published::Status::Replayed : Published::Status::Published));
    }
}

static void test_it_does_not_start(void**) {
    DurableBench bench;
    for (int i = 0; i < 100; ++i)
        bench.say("c", std::string(100, 'x'));
    bench.broker->stop();
    FakeFolder::File& first = bench.folder->files.begin()->second;
    first.bytes[first.bytes.size() / 2] ^= 1;
    assert_false(bench.begin());
    assert_true(bench.error.find("log.00000001") == 0);
    assert_true(bench.error.find("damaged at byte") != std::string::npos);
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_is_kept),
        cmocka_unit_test(test_lists_are_in_order),
        cmocka_unit_test(test_a_checkpoint_says_it_all),
        cmocka_unit_test(test_a_clean_end_skips_no_seq),
        cmocka_unit_test(test_unstored_seqs_are_not_given_again),
        cmocka_unit_test(test_a_freed_channel_has_its_gap),
        cmocka_unit_test(test_a_channel_made_anew_has_its_gap),
        cmocka_unit_test(test_age_goes_on),
        cmocka_unit_test(test_a_section_that_went_takes_its_channels),
        cmocka_unit_test(test_freed_channels_take_no_place),
        cmocka_unit_test(test_checkpoints_come_to_an_end),
        cmocka_unit_test(test_room_is_given_back),
        cmocka_unit_test(test_a_checkpoint_that_has_no_room),
        cmocka_unit_test(test_nobody_is_sent_what_is_not_stored),
        cmocka_unit_test(test_the_disk_fails),
        cmocka_unit_test(test_joins_go_on),
        cmocka_unit_test(test_repeats_of_one_group),
        cmocka_unit_test(test_the_queue_has_a_bound),
        cmocka_unit_test(test_a_group_that_fails_behind_a_failed_sync),
        cmocka_unit_test(test_it_does_not_start),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
