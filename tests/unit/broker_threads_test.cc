// SPDX-License-Identifier: Apache-2.0
// The broker contract under threads: publishers against workers that drain their boxes. Run it
// under TSan too. Of brokers in this process: a server's order is its own, and what becomes of it
// on the way is seen from outside (tests/blackbox/test_redis.py).
#include "tests/unit/broker_contract.h"

#include <thread>

using namespace fanhorn;

namespace {

constexpr size_t kPublishers = 4;
constexpr size_t kBatches = 1500; // of each publisher
constexpr size_t kChannels = 8;
constexpr size_t kMaxSeq = kPublishers * kBatches * 5 + 1;

std::string channel_name(size_t number) {
    return "c" + std::to_string(number);
}

// What a worker saw: all seqs in order, and how many it had after each turn, with the pushed() from
// before the turn.
struct Seen {
    Seqs seqs;
    std::vector<std::pair<uint64_t, size_t>> turns;
};

void publish_many(BrokerBench& bench, size_t publisher, std::vector<uint8_t>& channel_of) {
    uint64_t last = 0;
    for (size_t i = 0; i < kBatches; ++i) {
        std::vector<Draft> drafts;
        for (size_t j = 0; j < 1 + (i + publisher) % 5; ++j)
            drafts.push_back(draft(channel_name((i * 3 + j + publisher) % kChannels), "x"));
        const size_t count = drafts.size();
        const auto results = bench.publish_all(std::move(drafts));
        for (size_t j = 0; j < count; ++j) {
            const uint64_t seq = results[j].position.seq;
            CHECK(seq > last && seq < kMaxSeq); // its own rise as well
            last = seq;
            channel_of[seq] = static_cast<uint8_t>((i * 3 + j + publisher) % kChannels + 1);
        }
    }
}

void drain_until(BrokerBench& bench, Mailbox& box, const std::atomic<bool>& is_over, Seen& seen) {
    for (bool is_last = false; !is_last;) {
        is_last = is_over.load(); // then one turn more
        const uint64_t pushed = bench.broker->pushed().seq;
        for (const uint64_t seq : drain(box))
            seen.seqs.push_back(seq);
        seen.turns.emplace_back(pushed, seen.seqs.size());
    }
}

// Strictly rising, and at each turn everything that was wanted up to what was pushed.
void judge(const Seen& seen, const Seqs& wanted) {
    assert_true(seen.seqs == wanted);
    for (const auto& [pushed, count] : seen.turns) {
        const auto owed = std::upper_bound(wanted.begin(), wanted.end(), pushed) - wanted.begin();
        assert_true(count >= static_cast<size_t>(owed));
    }
}

} // namespace

static void test_no_hole_in_any_box(void** state) {
    BrokerBench bench(state);
    bench.settle([](ChannelSettings& settings) { settings.history = 3; });
    std::vector<uint8_t> channel_of(kMaxSeq);
    const std::vector<std::vector<size_t>> wants = {
        {0, 1, 2, 3}, {2, 3, 4}, {0, 1, 2, 3, 4, 5, 6, 7}};
    std::vector<std::unique_ptr<Mailbox>> boxes;
    std::vector<Seen> seen(wants.size());
    for (const auto& channels : wants) {
        boxes.push_back(std::make_unique<Mailbox>(SIZE_MAX, [] {}));
        std::vector<std::string> names;
        for (const size_t channel : channels)
            names.push_back(channel_name(channel));
        bench.subscribe(bench.broker->add_worker(*boxes.back()), names);
    }

    std::atomic<bool> is_over = false;
    std::vector<std::thread> workers, publishers;
    for (size_t i = 0; i < wants.size(); ++i)
        workers.emplace_back([&, i] { drain_until(bench, *boxes[i], is_over, seen[i]); });
    for (size_t i = 0; i < kPublishers; ++i)
        publishers.emplace_back([&, i] { publish_many(bench, i, channel_of); });
    for (std::thread& thread : publishers)
        thread.join();
    is_over = true;
    for (std::thread& thread : workers)
        thread.join();

    for (size_t i = 0; i < wants.size(); ++i) {
        Seqs wanted;
        for (uint64_t seq = 0; seq < kMaxSeq; ++seq)
            for (const size_t channel : wants[i])
                if (channel_of[seq] == channel + 1)
                    wanted.push_back(seq);
        assert_true(wanted.size() > 1000);
        judge(seen[i], wanted);
    }
}

// A worker that comes and goes misses nothing behind the head it was told.
static void test_nothing_is_missed_behind_the_start(void** state) {
    BrokerBench bench(state);
    bench.settle([](ChannelSettings& settings) { settings.history = 100'000; });
    std::vector<uint8_t> channel_of(kMaxSeq);
    Mailbox box(SIZE_MAX, [] {});
    const size_t worker = bench.broker->add_worker(box);
    std::thread publisher([&] { publish_many(bench, 1, channel_of); });
    for (int i = 0; i < 300; ++i) {
        drain(box);
        const Start start = bench.subscribe(worker, {"c1", "c2"});
        std::this_thread::yield();
        const uint64_t pushed = bench.broker->pushed().seq;
        const Seqs live = drain(box);
        Stretch stretch;
        stretch.after = start.head;
        stretch.parts = {{"c1", 0}, {"c2", 0}};
        stretch.max_messages = stretch.max_bytes = SIZE_MAX;
        Seqs logged = seqs(bench.read(std::move(stretch)));
        std::erase_if(logged, [&](uint64_t seq) { return seq > pushed; });
        assert_true(live.size() >= logged.size());
        assert_true(std::equal(logged.begin(), logged.end(), live.begin()));
        bench.broker->unsubscribe(worker, "c1");
        bench.broker->unsubscribe(worker, "c2");
    }
    publisher.join();
}

// Several workers move one marker: its user is told each move once, in rising order.
static void test_moves_are_told_in_their_order(void** state) {
    BrokerBench bench(state);
    Mailbox box(SIZE_MAX, [] {});
    bench.subscribe(bench.broker->add_worker(box), {"$user:bob"});
    uint64_t head = 0;
    while (head < 4000)
        head = bench.say("c");
    std::atomic<size_t> moves = 0;
    const auto move_on = [&](size_t step) {
        for (uint64_t seq = step; seq <= head; seq += step) {
            ReadMark mark;
            mark.channel = "c";
            mark.user = "bob";
            mark.position = bench.behind(seq).position;
            mark.told = draft("$user:bob", std::to_string(seq));
            mark.told.store = false;
            moves += bench.mark(std::move(mark)).status == Marked::Status::Moved ? 1 : 0;
        }
    };
    std::vector<std::thread> workers;
    for (size_t step = 1; step <= kPublishers; ++step)
        workers.emplace_back([&, step] { move_on(step); });
    for (std::thread& thread : workers)
        thread.join();

    Mailbox::Batch batch;
    box.take(batch);
    assert_int_equal(batch.mail.size(), moves.load());
    assert_true(moves >= head / kPublishers);
    uint64_t last = 0;
    for (const Mail& mail : batch.mail) {
        const uint64_t told = std::stoull(mail.message->payload);
        assert_true(told > last);
        last = told;
    }
    assert_int_equal(last, head);
    assert_int_equal(bench.markers({"c"}, "bob").at(0).seq, head);
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_no_hole_in_any_box),
        cmocka_unit_test(test_nothing_is_missed_behind_the_start),
        cmocka_unit_test(test_moves_are_told_in_their_order),
    };
    return run_broker_contract(tests, Servers::No);
}
