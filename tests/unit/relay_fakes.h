// SPDX-License-Identifier: Apache-2.0
// The relay without sockets and threads: settings by hand, a sink that takes what the test says,
// an encoding that a test can read, and a worker whose turns the test calls.
#pragma once

#include "modules/modules.h"
#include "relay/hub.h"
#include "relay/stream_subscriber.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace fanhorn {

// Settings by exact name; `others` for the rest, unless null.
class TestRules final : public Rules {
  public:
    std::map<std::string, ChannelSettings, std::less<>> exact;
    std::shared_ptr<ChannelSettings> others = std::make_shared<ChannelSettings>();
    const ChannelSettings* settings_for(std::string_view channel) const override {
        const auto found = exact.find(channel);
        return found == exact.end() ? others.get() : &found->second;
    }
    const ChannelSettings* settings_for_wildcard(const Pattern&) const override {
        return others && others->wildcard ? others.get() : nullptr;
    }
};

inline Draft draft(std::string channel, std::string payload) {
    Draft draft;
    draft.channel = std::move(channel);
    draft.payload = std::move(payload);
    return draft;
}

inline ConnectionId connection_id(uint8_t number) {
    ConnectionId id{};
    id[0] = number;
    id[15] = 1; // never kNoConnection
    return id;
}

// m<seq>:<channel>:<payload>;  r (retained) likewise  g<channel>,<after>,<next>,<why>,<head>;
// h<position>; p<position>; b<position>; e<channel>,<code>; f<why>; =<reply>;
// c<channel>,<position>;
class TestEncoding final : public Encoding {
  public:
    explicit TestEncoding(Use use, bool carries_unstored = true)
        : use_(use), carries_unstored_(carries_unstored) {}
    Use use() const override { return use_; }
    bool carries_unstored() const override { return carries_unstored_; }
    bool carries_presence() const override { return carries_unstored_; }
    void message(std::string& out, const Message& message) override { data(out, 'm', message); }
    void retained(std::string& out, const Message& message) override { data(out, 'r', message); }
    void gap(std::string& out, const Gap& gap) override {
        out.append("g").append(gap.channel).append(",").append(position_text(gap.after));
        out.append(",").append(gap.next.epoch ? position_text(gap.next) : "null");
        out.append(",").append(gap_reason(gap.why)).append(",");
        out.append(std::to_string(head ? *head : 0)).append(";");
    }
    void hello(std::string& out, const Hello& hello) override { place(out, 'h', hello.position); }
    void position(std::string& out, Position at) override { place(out, 'p', at); }
    void heartbeat(std::string& out, Position at) override { place(out, 'b', at); }
    void end(std::string& out, std::string_view channel, std::string_view code) override {
        out.append("e").append(channel).append(",").append(code).append(";");
    }
    void reply(std::string& out, std::string_view text) override {
        out.append("=").append(text).append(";");
    }
    void caught_up(std::string& out, std::string_view channel, Position at) override {
        out.append("c").append(channel).append(",").append(position_text(at)).append(";");
    }
    void farewell(std::string& out, const Farewell& farewell) override {
        out.append("f").append(std::to_string(static_cast<int>(farewell.why))).append(";");
    }

    const uint64_t* head = nullptr; // the sequencer's, noted in gaps, when somebody sets it

  private:
    static void data(std::string& out, char kind, const Message& message) {
        out.append(1, kind).append(std::to_string(message.position.seq));
        out.append(":").append(message.channel).append(":").append(message.payload).append(";");
    }
    static void place(std::string& out, char kind, Position at) {
        out.append(1, kind).append(position_text(at)).append(";");
    }

    const Use use_;
    const bool carries_unstored_;
};

// A socket with so much room.
class FakeSink final : public Sink {
  public:
    ssize_t write(const iovec* pieces, int count) override {
        CHECK(!is_broken && !is_finished);
        CHECK(count > 0 && count <= 1024); // IOV_MAX
        size_t asked = 0, taken = 0;
        for (int i = 0; i < count; ++i) {
            const size_t part = std::min(room, pieces[i].iov_len);
            received.append(static_cast<const char*>(pieces[i].iov_base), part);
            asked += pieces[i].iov_len;
            taken += part;
            room -= part;
        }
        CHECK(asked > 0);
        ++writes;
        if (breaks_next) {
            received.resize(received.size() - taken);
            is_broken = true;
            return -1;
        }
        is_blocked = taken < asked;
        return static_cast<ssize_t>(taken);
    }
    void finish() override {
        CHECK(!is_finished);
        is_finished = true;
    }
    void refuse(Start::Status status) override {
        CHECK(received.empty() && !is_refused);
        is_refused = true;
        refusal = status;
    }
    void answer(std::string text, SegmentRef content) override {
        CHECK(!is_answered);
        is_answered = true;
        head = std::move(text);
        body = content->bytes;
        shared_body = std::move(content);
    }
    bool is_done() const { return is_broken || is_finished || is_refused || is_answered; }
    // What came since the last call.
    std::string taken() { return std::exchange(received, {}); }

    std::string received;
    size_t room = SIZE_MAX;
    size_t writes = 0;
    bool breaks_next = false;
    bool is_blocked = false; // took less than all: on_writable is due
    bool is_broken = false, is_finished = false, is_refused = false, is_answered = false;
    Start::Status refusal = Start::Status::Placed;
    std::string head, body;
    SegmentRef shared_body;
};

// One write to each, counted.
class FakeBatchWriter final : public BatchWriter {
  public:
    void write(std::span<Sink* const> sinks, iovec piece, std::span<ssize_t> results) override {
        CHECK(sinks.size() <= kMax && sinks.size() == results.size());
        for (size_t i = 0; i < sinks.size(); ++i)
            results[i] = sinks[i]->write(&piece, 1);
        sizes.push_back(sinks.size());
    }
    std::vector<size_t> sizes;
};

// One worker and its turn.
class TestWorker {
  public:
    TestWorker(const Clock& clock, Broker& broker, size_t mailbox_bytes = SIZE_MAX)
        : box(mailbox_bytes, [this] { ++wakes; }), hub(clock, counters),
          end(hub.add_broker(broker, box)) {}

    void deliver() {
        const std::vector<Position> pushed = hub.pushed();
        box.take(batch);
        hub.deliver(batch, pushed);
    }
    void turn() {
        deliver();
        while (hub.flush(SIZE_MAX)) {
        }
        hub.reap();
    }

    std::atomic<size_t> wakes{0};
    Mailbox box;
    Counters counters;
    Hub hub;
    BrokerEnd& end;
    Mailbox::Batch batch;
};

} // namespace fanhorn
