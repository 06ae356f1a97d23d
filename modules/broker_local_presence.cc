// SPDX-License-Identifier: Apache-2.0
// The local broker: who is on its channels.
#include "modules/broker_local_channel.h"

namespace fanhorn {

// In the order of the channel's messages, to those who are there now.
void LocalBroker::tell(const std::string& channel, MessageKind kind, const Attendee& who,
                       const ConnectionId& exclude) {
    Garbage garbage;
    if (const Staged staged = stage_told(channel, kind, who, exclude); staged.message)
        apply(staged, garbage);
    pushed_.store(head_, std::memory_order_release);
}

LocalBroker::Staged LocalBroker::stage_told(const std::string& channel, MessageKind kind,
                                            const Attendee& who, const ConnectionId& exclude) {
    const ChannelSettings* settings = rules_->settings_for(channel);
    Channel* found = find(channel);
    if (!found || !settings || !settings->joins || is_retired_)
        return {};
    settings_of(*found);
    Draft draft;
    draft.channel = channel;
    draft.payload = attendee_json(who, false);
    draft.store = false;
    draft.kind = kind;
    draft.exclude = exclude;
    ++found->staged;
    return {found, MessageRef(new Message(std::move(draft), {epoch_, ++given_}, 0, clock_.now()))};
}

bool LocalBroker::attend(const std::string& channel, const Attendee& who,
                         const ConnectionId& connection) {
    After after;
    PresenceBook::Entry entry;
    {
        std::lock_guard lock(mutex_);
        const ChannelSettings* settings = rules_->settings_for(channel);
        const uint32_t most = settings ? settings->presence_users : 0;
        entry = presence_.enter(channel, who.user, who.info, most);
        switch (entry) {
        case PresenceBook::Entry::Joined:
        case PresenceBook::Entry::Renewed: // who keeps a list would go on with the old info
            tell(channel, MessageKind::Join, who, connection);
            break;
        case PresenceBook::Entry::Full:
            reached(Limit::PresenceUsers);
            break;
        case PresenceBook::Entry::Known:
            break;
        }
        take(after);
    }
    after.run();
    return entry != PresenceBook::Entry::Full;
}

void LocalBroker::depart(const std::string& channel, const std::string& user) {
    std::lock_guard lock(mutex_);
    const ChannelSettings* settings = rules_->settings_for(channel);
    presence_.leave(channel, user, clock_.now(), settings ? settings->presence_grace : 0);
}

void LocalBroker::attendance(const std::string& channel,
                             std::function<void(std::vector<Attendee>)> done) {
    std::vector<Attendee> users;
    {
        std::lock_guard lock(mutex_);
        users = presence_.users(channel);
    }
    done(std::move(users));
}

void LocalBroker::tell_who_left(Millis now) {
    After after;
    {
        std::lock_guard lock(mutex_);
        for (const PresenceBook::Left& left : presence_.expire(now))
            tell(left.channel, MessageKind::Leave, {left.user, {}}, kNoConnection);
        take(after);
    }
    after.run();
}

} // namespace fanhorn
