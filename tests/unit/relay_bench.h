// SPDX-License-Identifier: Apache-2.0
// One broker, one worker, and clients by hand.
#pragma once

#include "relay/poll_subscriber.h"
#include "tests/unit/relay_fakes.h"

#include <string>
#include <utility>
#include <vector>

namespace fanhorn {

class RelayBench {
  public:
    explicit RelayBench(size_t mailbox_bytes = SIZE_MAX)
        : broker(broker_modules()[0]->create({}, clock, broker_counters)),
          worker(clock, *broker, mailbox_bytes) {
        settle([](ChannelSettings&) {});
    }

    template <typename Change> void settle(Change change) {
        rules = std::make_shared<TestRules>();
        change(*rules->others);
        apply();
    }
    void apply() {
        broker->configure(rules, {.channels = 1000});
        worker.hub.configure(rules);
    }

    uint64_t publish(Draft draft) {
        std::vector<Draft> drafts;
        drafts.push_back(std::move(draft));
        uint64_t seq = 0;
        broker->publish(std::move(drafts), [&](std::vector<Published> results) {
            CHECK(results[0].status == Published::Status::Published);
            seq = results[0].position.seq;
        });
        return seq;
    }
    uint64_t say(const std::string& channel, const std::string& payload = "x") {
        return publish(draft(channel, payload));
    }
    uint64_t say_tagged(const std::string& channel, const std::string& tags) {
        Draft draft = fanhorn::draft(channel, "x");
        draft.tags = tags;
        return publish(std::move(draft));
    }
    // As the frame of TestEncoding.
    static std::string frame(uint64_t seq, const std::string& channel,
                             const std::string& payload = "x") {
        return "m" + std::to_string(seq) + ":" + channel + ":" + payload + ";";
    }
    std::string at(uint64_t seq) const { return position_text({broker->pushed().epoch, seq}); }
    Since behind(uint64_t seq) const {
        return {.kind = Since::Kind::After, .count = 0, .position = {broker->pushed().epoch, seq}};
    }

    Wish wish(std::vector<std::string> channels, Since since, Encoding& its_encoding) {
        Wish wish;
        wish.channels = std::move(channels);
        for (const std::string& channel : wish.channels)
            wish.settings.push_back(rules->settings_for(channel));
        wish.end = &worker.end;
        wish.since = since;
        wish.encoding = &its_encoding;
        wish.connection = connection_id(++connections);
        return wish;
    }

    FakeClock clock;
    Counters broker_counters;
    std::shared_ptr<TestRules> rules;
    std::unique_ptr<Broker> broker;
    TestWorker worker;
    TestEncoding encoding{Use::Sse};
    TestEncoding poll_encoding{Use::Longpoll, false};
    uint8_t connections = 0;
};

// A stream that is open from its construction on.
class Stream {
  public:
    Stream(RelayBench& bench, std::vector<std::string> channels, Since since = {},
           size_t room = SIZE_MAX)
        : Stream(bench.wish(std::move(channels), since, bench.encoding), room) {}
    explicit Stream(const Wish& wish, size_t room = SIZE_MAX) : subscriber(sink, wish, "") {
        sink.room = room;
        subscriber.begin(wish);
    }

    std::string taken() { return sink.taken(); }
    // The socket takes so much more.
    void open(size_t room = SIZE_MAX) {
        sink.room = room;
        CHECK(std::exchange(sink.is_blocked, false));
        subscriber.on_writable();
    }

    FakeSink sink;
    StreamSubscriber subscriber;
};

} // namespace fanhorn
