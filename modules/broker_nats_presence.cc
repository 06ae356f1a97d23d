// SPDX-License-Identifier: Apache-2.0
// The NATS broker: who is on its channels, on all nodes together.
//
// Each node says who is there by its own book, under a name with a lease; what it says is the
// state, whatever came before. A user is on a channel as long as one node says so. A channel that
// is for one user alone is said to be listened to in the same way: its channel is "", its user the
// channel's name.
#include "modules/broker_local_channel.h"
#include "modules/broker_nats.h"

#include <algorithm>

namespace fanhorn {

namespace {
std::string bytes_of(const ConnectionId& connection) {
    return {reinterpret_cast<const char*>(connection.data()), connection.size()};
}
ConnectionId connection_of(std::string_view bytes) {
    ConnectionId connection = kNoConnection;
    if (bytes.size() == connection.size())
        std::copy(bytes.begin(), bytes.end(), connection.begin());
    return connection;
}
} // namespace

// ---- what is said

void NatsBroker::note(const std::string& channel, const std::string& user,
                      const ConnectionId& exclude) {
    const auto [noted, is_new] = unsaid_.insert({{channel, user}, exclude});
    if (!is_new && exclude != kNoConnection)
        noted->second = exclude;
    ++noted_;
}

// Who was here and is gone is told when the stream says so.
void NatsBroker::tell(const std::string& channel, MessageKind, const Attendee& who,
                      const ConnectionId& exclude) {
    note(channel, who.user, exclude);
}

// Of other channels nobody asks.
void NatsBroker::note_heard(const std::vector<std::string>& channels) {
    for (const std::string& name : channels)
        if (is_reserved(name))
            note("", name, kNoConnection);
    if (!unsaid_.empty())
        nudge();
}

bool NatsBroker::attend(const std::string& channel, const Attendee& who,
                        const ConnectionId& connection) {
    After after;
    auto entry = PresenceBook::Entry::Full;
    {
        std::lock_guard lock(mutex_);
        const ChannelSettings* settings = rules_->settings_for(channel);
        entry =
            presence_.enter(channel, who.user, who.info, settings ? settings->presence_users : 0);
        if (entry == PresenceBook::Entry::Full)
            reached(Limit::PresenceUsers);
        else
            note(channel, who.user, connection);
        take(after);
    }
    after.run();
    nudge();
    return entry != PresenceBook::Entry::Full;
}

void NatsBroker::depart(const std::string& channel, const std::string& user) {
    LocalBroker::depart(channel, user);
    {
        std::lock_guard lock(mutex_);
        note(channel, user, kNoConnection);
    }
    nudge();
}

void NatsBroker::behind_said(std::function<void()> task) {
    {
        std::lock_guard lock(mutex_);
        if (is_up_ && said_ < noted_) {
            behind_said_.emplace_back(noted_, [home = home(), task = std::move(task)]() mutable {
                home(std::move(task));
            });
            return;
        }
    }
    task();
}

void NatsBroker::behind_all(std::function<void()> task) {
    {
        std::lock_guard lock(mutex_);
        ++noted_; // if only to say that we are here
    }
    behind_said(std::move(task));
    nudge();
}

void NatsBroker::attendance(const std::string& channel,
                            std::function<void(std::vector<Attendee>)> done) {
    behind_said([this, channel, done = std::move(done)] {
        std::vector<Attendee> users;
        {
            std::lock_guard lock(mutex_);
            const auto room = people_.find(channel);
            if (room != people_.end() && !is_loading_)
                for (const auto& [name, user] : room->second) {
                    Attendee& who = users.emplace_back(Attendee{name, user.info});
                    for (const auto& [node, connections] : user.nodes)
                        who.connections += connections;
                }
        }
        done(std::move(users));
    });
}

// ---- saying it

// Under mutex_: as it is now.
NatsEntry NatsBroker::seat_entry(const Seat& seat, const ConnectionId& exclude) {
    NatsEntry made = entry(Kind::Seat);
    made.of = node_;
    std::tie(made.channel, made.user) = seat;
    made.b = UINT32_MAX;
    if (made.channel.empty()) {
        const Channel* channel = find(made.user);
        made.a = channel && !channel->wanted.empty() ? 2 : 0;
        return made;
    }
    if (const ChannelSettings* settings = rules_->settings_for(made.channel))
        made.b = settings->presence_users;
    if (const auto who = presence_.look(made.channel, made.user)) {
        made.a = who->connections + 1;
        made.text = who->info;
    }
    if (exclude != kNoConnection)
        made.key = bytes_of(exclude);
    return made;
}

// Some at once, so that publishers are not behind all of them.
void NatsBroker::say_who_is_here() {
    std::vector<NatsEntry> entries;
    std::vector<Seat> seats;
    uint64_t covered = 0;
    {
        std::lock_guard lock(mutex_);
        if (is_saying_ || (unsaid_.empty() && parting_.empty() && said_ == noted_))
            return;
        while (entries.size() < kMostSaid && !unsaid_.empty()) {
            entries.push_back(seat_entry(unsaid_.begin()->first, unsaid_.begin()->second));
            seats.push_back(unsaid_.begin()->first);
            unsaid_.erase(unsaid_.begin());
        }
        if (unsaid_.empty()) {
            covered = noted_;
            if (!parting_.empty()) {
                NatsEntry& parting = entries.emplace_back(entry(Kind::Burial));
                parting.of = std::exchange(parting_, "");
                parting.b = 1;
            }
        }
        if (entries.empty())
            entries.emplace_back(entry(Kind::Renewal)).of = node_;
        is_saying_ = true;
    }
    auto command = std::make_shared<Command>();
    auto is_applied = std::make_shared<bool>(true);
    command->settle = [is_applied](size_t, const Outcome& outcome) {
        *is_applied = *is_applied && outcome.is_applied;
    };
    command->answer = [this, is_applied, seats = std::move(seats), covered]() mutable {
        on_said(*is_applied, std::move(seats), covered);
    };
    submit(std::move(entries), command);
}

// What did not come back is said again a moment later.
void NatsBroker::on_said(bool is_applied, std::vector<Seat> seats, uint64_t covered) {
    std::vector<std::function<void()>> tasks;
    {
        std::lock_guard lock(mutex_);
        is_saying_ = false;
        if (is_applied)
            said_ = std::max(said_, covered);
        else
            for (Seat& seat : seats)
                unsaid_.insert({std::move(seat), kNoConnection});
        std::erase_if(behind_said_, [&](auto& waiting) {
            const bool is_due = !is_applied || waiting.first <= said_;
            if (is_due)
                tasks.push_back(std::move(waiting.second));
            return is_due;
        });
    }
    for (const auto& task : tasks)
        task();
    if (is_applied)
        nudge();
}

// Under mutex_. Under a new name, so that what the old one said and is not true any more goes with
// it.
void NatsBroker::say_all_again() {
    parting_ = std::exchange(node_, random_name());
    for (const PresenceBook::Left& each : presence_.everybody())
        unsaid_.insert({{each.channel, each.user}, kNoConnection});
    for (const Channel* channel : by_name_)
        if (is_reserved(channel->name) && !channel->wanted.empty())
            unsaid_.insert({{"", channel->name}, kNoConnection});
    ++noted_;
}

// The users of nodes that are gone leave, one entry each.
void NatsBroker::bury_the_dead() {
    std::vector<NatsEntry> entries;
    {
        std::lock_guard lock(mutex_);
        if (is_burying_)
            return;
        while (!to_bury_.empty() && entries.size() < kMostSaid) {
            const auto dead = nodes_.find(to_bury_.back());
            if (dead == nodes_.end()) {
                to_bury_.pop_back();
                continue;
            }
            for (const Seat& seat : dead->second.seats) {
                NatsEntry& made = entries.emplace_back(entry(Kind::Seat));
                made.of = dead->first;
                std::tie(made.channel, made.user) = seat;
                if (entries.size() == kMostSaid)
                    break;
            }
            if (entries.size() < kMostSaid)
                to_bury_.pop_back();
        }
        if (entries.empty())
            return;
        is_burying_ = true;
    }
    auto command = std::make_shared<Command>();
    command->answer = [this] {
        {
            std::lock_guard lock(mutex_);
            is_burying_ = false;
        }
        nudge();
    };
    submit(std::move(entries), command);
}

// ---- what the stream tells

// Under mutex_. To those who are here now, in the order of the channel's messages.
void NatsBroker::tell_now(const std::string& channel, MessageKind kind, const Attendee& who,
                          const ConnectionId& exclude, uint64_t seq, Turn& turn) {
    if (is_loading_)
        return;
    given_ = seq - 1; // it is given here
    if (const Staged staged = stage_told(channel, kind, who, exclude); staged.message)
        LocalBroker::apply(staged, turn.garbage);
}

NatsBroker::Node& NatsBroker::renewed(const std::string& name) {
    Node& node = nodes_[name];
    node.renewed = applied_;
    node.seen_at = wire_clock_.now();
    return node;
}

void NatsBroker::apply_seat(const NatsEntry& entry, uint64_t seq, Turn& turn) {
    if (entry.a == 0)
        return unseat(entry, seq, turn);
    if (!renewed(entry.of).is_dead)
        seat(entry, seq, turn);
}

void NatsBroker::seat(const NatsEntry& entry, uint64_t seq, Turn& turn) {
    auto& room = people_[entry.channel];
    auto found = room.find(entry.user);
    const bool is_new = found == room.end();
    if (is_new && room.size() >= entry.b) {
        if (entry.node == self_)
            reached(Limit::PresenceUsers);
        if (room.empty())
            people_.erase(entry.channel);
        return;
    }
    if (is_new)
        found = room.emplace(entry.user, User()).first;
    User& user = found->second;
    const bool is_renewed = !is_new && user.info != entry.text;
    user.info = entry.text;
    user.nodes[entry.of] = static_cast<uint32_t>(entry.a - 1);
    nodes_[entry.of].seats.insert({entry.channel, entry.user});
    if (is_new || is_renewed) // who keeps a list would go on with the old info
        tell_now(entry.channel, MessageKind::Join, {entry.user, entry.text},
                 connection_of(entry.key), seq, turn);
}

void NatsBroker::unseat(const NatsEntry& entry, uint64_t seq, Turn& turn) {
    if (const auto node = nodes_.find(entry.of); node != nodes_.end()) {
        node->second.seats.erase({entry.channel, entry.user});
        if (node->second.is_dead && node->second.seats.empty())
            nodes_.erase(node);
    }
    const auto room = people_.find(entry.channel);
    if (room == people_.end())
        return;
    const auto user = room->second.find(entry.user);
    if (user == room->second.end() || !user->second.nodes.erase(entry.of) ||
        !user->second.nodes.empty())
        return;
    room->second.erase(user);
    if (room->second.empty())
        people_.erase(room);
    tell_now(entry.channel, MessageKind::Leave, {entry.user, {}}, kNoConnection, seq, turn);
}

// By whom it was said first lets its users go.
void NatsBroker::apply_burial(const NatsEntry& entry) {
    const auto found = nodes_.find(entry.of);
    if (found != nodes_.end()) {
        Node& node = found->second;
        if (node.is_dead || (entry.b == 0 && node.renewed != entry.a))
            return;
        node.is_dead = true;
        node.seen_at = wire_clock_.now();
        if (node.seats.empty())
            nodes_.erase(found);
        else if (entry.node == self_)
            to_bury_.push_back(entry.of);
    }
    if (entry.of == node_) // others have let our users go
        say_all_again();
    if (!is_loading_)
        nudge();
}

void NatsBroker::apply_away(const NatsEntry& entry, Turn& turn) {
    if (entry.node == self_ || !has_loaded_)
        return;
    // The age is by the server's clock, which least_lag_ relates to ours.
    const Millis lag = std::max<Millis>(wire_clock_.now() - turn.stored_at - least_lag_, 0);
    turn.away.emplace_back(entry.user, lag);
}

// A user's channel: whether he listens anywhere.
bool NatsBroker::is_heard(const std::string& channel) const {
    const auto room = people_.find("");
    return is_reserved(channel) && room != people_.end() && room->second.contains(channel);
}

} // namespace fanhorn
