// SPDX-License-Identifier: Apache-2.0
// The Redis broker: what comes due, about once a second.
#include "modules/broker_redis_placing.h"

#include "base/log.h"
#include "modules/message_record.h"

#include <algorithm>
#include <cstdlib>
#include <map>

namespace fanhorn {

namespace {
constexpr Millis kWorthAWarning = 10'000; // what is kept for a time goes that much sooner, or later
} // namespace

void RedisBroker::tick() {
    note_who_left();
    post([this] {
        say_who_is_here();
        expire();
    });
}

void RedisBroker::expire() {
    if (stage_ != Stage::Up || std::exchange(is_ticking_, true))
        return;
    call("tick", {inbox_, node_, ticked_ ? std::to_string(ticked_) : "", name_},
         [this, node = node_, at = wire_clock_.now()](const RedisReply& reply) {
             is_ticking_ = false;
             if (reply.size() != 8)
                 return;
             heed_clock(static_cast<Millis>(reply[4].number() / 1000), at);
             if (node == node_)
                 on_expired(reply);
             check_epoch(reply);
         });
}

void RedisBroker::on_expired(const RedisReply& reply) {
    channel_count_ = std::max<size_t>(reply[2].number(), topics_.size() - wildcards_.size());
    ticked_ = reply[4].number();
    const RedisReply dead = reply[5], away = reply[6];
    bury(dead);
    for (size_t i = 0; i + 1 < away.size(); i += 2)
        away_(std::string(away[i].text()), static_cast<Millis>(away[i + 1].number() / 1000));
    if (reply[7].text() == "1" && has_lease_) // others have let our users go
        return say_all_again();
    has_lease_ = true;
    if (reply[3].text() == "1")
        expire();
}

// What the way there and back explains is no other clock.
void RedisBroker::heed_clock(Millis server, Millis asked_at) {
    const Millis now = wire_clock_.now();
    const Millis by = server - now + origin_ - behind();
    if (std::abs(by) <= kClockSlack + now - asked_at)
        return;
    behind_ = behind() + by;
    log_event(std::abs(by) > kWorthAWarning ? LogLevel::Warning : LogLevel::Notice, "broker_clock",
              {{"broker", settings_.name}, {"moved_ms", by}});
}

// Nodes that are gone let their users go, in one call each; whichever node sees it first says so
// for them. There may be more of them.
void RedisBroker::bury(const RedisReply& dead) {
    const Snapshot snapshot = settings();
    std::map<std::string, Words> of_nodes;
    for (size_t i = 0; i + 2 < dead.size(); i += 3) {
        const std::string node(dead[i].text()), channel(dead[i + 1].text());
        const Attendee who{std::string(dead[i + 2].text()), {}};
        const ChannelSettings* settings = snapshot.rules->settings_for(channel);
        std::string record;
        if (settings)
            record = joins_record(*settings, channel, MessageKind::Leave, who, kNoConnection);
        Words& words = of_nodes.try_emplace(node, Words{node}).first->second;
        for (const std::string& word :
             {channel, who.user, std::string(), std::string(), std::string("0"), record})
            words.push_back(word);
    }
    size_t left = of_nodes.size();
    for (auto& [node, words] : of_nodes)
        call("attend", std::move(words), [this, is_last = --left == 0](const RedisReply& reply) {
            check_epoch(reply);
            if (is_last && !reply.is_error())
                expire();
        });
}

} // namespace fanhorn
