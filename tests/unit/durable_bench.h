// SPDX-License-Identifier: Apache-2.0
// A durable broker on a disk in memory, that ends in every way and begins again.
#pragma once

#include "tests/unit/broker_contract.h"

namespace fanhorn {

class DurableBench final : public BrokerBench {
  public:
    explicit DurableBench(LogSync sync = LogSync::Always)
        : BrokerBench(memory_module()), sync_(sync) {
        assert_true(begin());
    }
    // Whether it starts; `error` says why not.
    bool begin() {
        BrokerSettings settings;
        settings.sync = sync_;
        DurableBroker::Seams seams;
        seams.disk = std::make_unique<FakeDisk>(folder);
        seams.boot = boot;
        seams.wall = [this] { return clock.now() + 1'000'000'000; };
        seams.turn = DurableBroker::Turn::Caller;
        seams.slack_bytes = slack_bytes;
        seams.segment_bytes = 2000;
        seams.pause_micros = 0;
        seams.sync_micros = sync_micros;
        broker = nullptr;
        broker = std::make_unique<DurableBroker>(settings, std::move(seams), clock, counters);
        broker->configure(rules, {.channels = 1000});
        const auto started = broker->start();
        error = started.error();
        return started.ok();
    }
    void stop_and_begin() {
        broker->stop();
        assert_true(begin());
    }
    void crash_and_begin() { assert_true(begin()); }
    void lose_power_and_begin(size_t kept = 0) {
        broker = nullptr;
        folder->lose_power(kept);
        assert_true(begin());
    }
    // Until none is under way.
    void write_checkpoint() {
        const uint64_t before = counters.log_checkpoints.value();
        for (int i = 0; i < 10'000 && counters.log_checkpoints.value() == before; ++i)
            broker->tick();
        assert_true(counters.log_checkpoints.value() > before);
    }
    uint64_t disk_bytes() const { return folder->bytes(); }
    void fail_always() {
        folder->fails = [](size_t) { return true; };
    }
    void fail_never() {
        folder->fails = [](size_t) { return false; };
    }

    std::shared_ptr<FakeFolder> folder = std::make_shared<FakeFolder>();
    std::string boot = "boot";
    std::string error;
    uint64_t slack_bytes = 1 << 20;
    int64_t sync_micros = 3'600'000'000; // between the syncs of LogSync::EverySecond

  private:
    static void** memory_module() {
        static void* module = const_cast<BrokerModule*>(broker_modules()[0]);
        return &module;
    }
    const LogSync sync_;
};

inline std::vector<std::string> payloads(const Page& page) {
    std::vector<std::string> texts;
    for (const MessageRef& message : page.messages)
        texts.push_back(message->payload);
    return texts;
}

// As a reader sees it: the seqs of messages, and "why after>next" for gaps, in their order.
inline std::string story(DurableBench& bench, const std::vector<std::string>& channels,
                         Since since) {
    const Start start = bench.locate(channels, since);
    Stretch stretch;
    stretch.after = start.after;
    for (size_t i = 0; i < channels.size(); ++i)
        stretch.parts.push_back({channels[i], start.channels.at(i).floor});
    std::string told;
    for (bool is_end = false; !is_end;) {
        Page page = bench.read(std::move(stretch));
        for (const Gap& gap : page.gaps)
            told += std::string(gap_reason(gap.why)) + " " + std::to_string(gap.after.seq) + ">" +
                    std::to_string(gap.next.seq) + " ";
        for (const uint64_t seq : seqs(page))
            told += std::to_string(seq) + " ";
        is_end = page.is_end;
        stretch = std::move(page.rest);
    }
    return told;
}

} // namespace fanhorn
