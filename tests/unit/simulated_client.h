// SPDX-License-Identifier: Apache-2.0
// One client of the simulation: its socket, its subscriber, and what is judged of both.
#pragma once

#include "relay/poll_subscriber.h"
#include "tests/unit/relay_oracle.h"

#include <memory>
#include <string>
#include <vector>

namespace fanhorn {

// Behind which seq the kept messages begin that were asked for.
inline uint64_t expected_newest(Broker& broker, const std::string& name, const Since& since) {
    std::vector<uint64_t> kept;
    Stretch stretch;
    stretch.parts = {{name, 0}};
    stretch.max_messages = stretch.max_bytes = SIZE_MAX;
    broker.read(std::move(stretch), [&](Page page) {
        for (const MessageRef& message : page.messages)
            kept.push_back(message->position.seq);
    });
    size_t count = kept.size();
    if (since.kind != Since::Kind::Earliest)
        count = since.kind == Since::Kind::Latest ? 0 : std::min(count, since.count);
    return count == 0 ? broker.pushed().seq : kept[kept.size() - count] - 1;
}

// What a client has to begin with by what it asks for, and, returned, what it is to be told.
inline Position expected_start(Broker& broker, const Wish& wish,
                               std::map<std::string, uint64_t>& starts) {
    const Position head = broker.pushed();
    const Position asked = wish.since.position;
    const bool is_foreign = asked.epoch != head.epoch || asked.seq > head.seq;
    uint64_t lowest = head.seq;
    for (const std::string& name : wish.channels) {
        if (wish.since.kind == Since::Kind::After)
            starts[name] = is_foreign ? 0 : asked.seq;
        else
            starts[name] = expected_newest(broker, name, wish.since);
        lowest = std::min(lowest, starts[name]);
    }
    return wish.since.kind == Since::Kind::After ? asked : Position{head.epoch, lowest};
}

struct SimulatedClient {
    size_t worker = 0;
    Wish wish;
    FakeSink sink;
    std::unique_ptr<Subscriber> subscriber;
    StreamSubscriber* stream = nullptr; // or
    PollSubscriber* poll = nullptr;
    std::unique_ptr<Session> session;
    Position told;
    bool is_begun = false;

    // The first fault in what came since the last call, or "". With `is_roomy` nothing was lost.
    std::string judge(bool is_roomy) {
        if (stream) {
            session->read(sink.taken());
            session->check_position(subscriber->position());
        } else if (sink.is_answered && !is_answer_read_) {
            is_answer_read_ = true;
            read_answer();
        }
        if (!session->fault().empty())
            return describe() + ": " + session->fault();
        if (is_roomy && session->losses() > 0)
            return describe() + ": a gap where nothing was lost";
        return {};
    }

    // The world stands still: nothing may be owed.
    std::string judge_calm(Position head) {
        if (subscriber->state() != Subscriber::State::Live)
            return describe() + ": not live in the end";
        if (stream && subscriber->position() != head)
            return describe() + ": lags at " + position_text(subscriber->position());
        session->check_position(head);
        session->check_whole();
        return session->fault().empty() ? "" : describe() + " in the end: " + session->fault();
    }

  private:
    // {"messages":[…],"next":"…","gaps":[…],"ends":[…]}, each list with the last ';' cut off.
    void read_answer() {
        const std::string& body = sink.body;
        const auto list = [&](std::string_view name) {
            const size_t at = body.find(name);
            if (at == body.npos)
                return std::string();
            const size_t begin = at + name.size();
            const std::string items = body.substr(begin, body.find(']', begin) - begin);
            return items.empty() ? items : items + ';';
        };
        const size_t next = body.find("\"next\":\"") + 8;
        session->read("h" + position_text(told) + ";"); // a poll has none
        session->read(list("\"gaps\":["));
        session->read(list("\"messages\":["));
        session->read("p" + body.substr(next, body.find('"', next) - next) + ";");
        session->read(list("\"ends\":["));
    }

    std::string describe() const {
        std::string text = poll ? "poll of" : "stream of";
        for (const std::string& name : wish.channels)
            text += " " + name;
        return text + " since " + std::to_string(static_cast<int>(wish.since.kind)) + " " +
               position_text(wish.since.position);
    }

    bool is_answer_read_ = false;
};

} // namespace fanhorn
