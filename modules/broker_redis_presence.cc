// SPDX-License-Identifier: Apache-2.0
// The Redis broker: who is on its channels.
#include "modules/broker_redis_placing.h"

namespace fanhorn {

// In the order of the channel's messages.
void RedisBroker::tell(const std::string& channel, MessageKind kind, const Attendee& who,
                       const ConnectionId& exclude) {
    const Snapshot snapshot = settings();
    const ChannelSettings* settings = snapshot.rules->settings_for(channel);
    if (!settings || !settings->joins)
        return;
    Draft draft;
    draft.channel = channel;
    draft.payload = attendee_json(who, false);
    draft.store = false;
    draft.kind = kind;
    draft.exclude = exclude;
    Words words = {std::to_string(snapshot.limits.channels)};
    Words of_draft = draft_words(draft, *settings);
    std::move(of_draft.begin(), of_draft.end(), std::back_inserter(words));
    post([this, words = std::move(words)]() mutable {
        call("publish", std::move(words), [this](const RedisReply& reply) { check_epoch(reply); });
    });
}

bool RedisBroker::attend(const std::string& channel, const Attendee& who,
                         const ConnectionId& connection) {
    const ChannelSettings* settings = this->settings().rules->settings_for(channel);
    const uint32_t most = settings ? settings->presence_users : 0;
    std::lock_guard lock(
        presence_mutex_); // what is told is told in the order in which it became so
    const auto entry = presence_.enter(channel, who.user, who.info, most);
    if (entry == PresenceBook::Entry::Joined || entry == PresenceBook::Entry::Renewed)
        tell(channel, MessageKind::Join, who, connection);
    if (entry == PresenceBook::Entry::Full)
        post([this, channel] { counters_.hit(Limit::PresenceUsers, channel); });
    return entry != PresenceBook::Entry::Full;
}

void RedisBroker::depart(const std::string& channel, const std::string& user) {
    const ChannelSettings* settings = this->settings().rules->settings_for(channel);
    std::lock_guard lock(presence_mutex_);
    presence_.leave(channel, user, clock_.now(), settings ? settings->presence_grace : 0);
}

void RedisBroker::attendance(const std::string& channel,
                             std::function<void(std::vector<Attendee>)> done) {
    std::vector<Attendee> users;
    {
        std::lock_guard lock(presence_mutex_);
        users = presence_.users(channel);
    }
    done(std::move(users));
}

void RedisBroker::tell_who_left() {
    std::lock_guard lock(presence_mutex_);
    for (const PresenceBook::Left& each : presence_.expire(clock_.now()))
        tell(each.channel, MessageKind::Leave, {each.user, {}}, kNoConnection);
}

} // namespace fanhorn
