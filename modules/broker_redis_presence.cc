// SPDX-License-Identifier: Apache-2.0
// The Redis broker: who is on its channels, on all nodes together, and who is sent away.
//
// Each node says who is there by its own book, under a name with a lease; what it says is the
// state, whatever came before. A user is on a channel as long as one node says so: where the first
// said it he has joined, when the last one has let him go, or its lease has ended, he has left.
#include "modules/broker_redis_placing.h"

#include "base/random.h"
#include "modules/message_record.h"

#include <algorithm>

namespace fanhorn {

namespace {

constexpr size_t kMostOfACall = 256, kMostOfATurn = 4096;

} // namespace

// As the script has it: 16 characters.
std::string RedisBroker::node_name() {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string name;
    while (name.size() < 16)
        name += kDigits[random_below(16)];
    return name;
}

// What the channel is told in the order of its messages; "" where its section does not want it
// told.
std::string RedisBroker::joins_record(const ChannelSettings& settings, const std::string& channel,
                                      MessageKind kind, const Attendee& who,
                                      const ConnectionId& exclude) const {
    if (!settings.joins)
        return {};
    Draft draft;
    draft.channel = channel;
    draft.payload = attendee_json(who, false);
    draft.store = false;
    draft.kind = kind;
    draft.exclude = exclude;
    return encode_record(draft, shared_now());
}

// presence_mutex_ is held. While the server is away nothing is noted: all is said again.
void RedisBroker::note_attendee(const std::string& channel, const std::string& user,
                                const ConnectionId& exclude) {
    if (!is_up())
        return;
    const bool is_first = unsaid_.empty();
    const auto [entry, is_new] = unsaid_.insert({{channel, user}, exclude});
    if (!is_new && exclude != kNoConnection)
        entry->second = exclude;
    if (is_first)
        post([this] { say_who_is_here(); });
}

bool RedisBroker::attend(const std::string& channel, const Attendee& who,
                         const ConnectionId& connection) {
    const ChannelSettings* settings = this->settings().rules->settings_for(channel);
    const uint32_t most = settings ? settings->presence_users : 0;
    std::lock_guard lock(presence_mutex_);
    if (presence_.enter(channel, who.user, who.info, most) == PresenceBook::Entry::Full) {
        post([this, channel] { counters_.hit(Limit::PresenceUsers, channel); });
        return false;
    }
    note_attendee(channel, who.user, connection);
    return true;
}

void RedisBroker::depart(const std::string& channel, const std::string& user) {
    const ChannelSettings* settings = this->settings().rules->settings_for(channel);
    std::lock_guard lock(presence_mutex_);
    presence_.leave(channel, user, clock_.now(), settings ? settings->presence_grace : 0);
    note_attendee(channel, user, kNoConnection);
}

void RedisBroker::note_who_left() {
    std::lock_guard lock(presence_mutex_);
    for (const PresenceBook::Left& each : presence_.expire(clock_.now()))
        note_attendee(each.channel, each.user, kNoConnection);
}

// Under a new name, so that what the old one said and is not true any more goes away with it.
void RedisBroker::say_all_again() {
    parting_ = std::exchange(node_, node_name());
    has_lease_ = false;
    {
        std::lock_guard lock(presence_mutex_);
        unsaid_.clear();
        for (const PresenceBook::Left& each : presence_.everybody())
            unsaid_.insert({{each.channel, each.user}, kNoConnection});
    }
    say_who_is_here();
}

// Some at once, so that publishers are not behind all of them; the next tick goes on.
void RedisBroker::say_who_is_here() {
    if (stage_ != Stage::Up)
        return; // all is said again
    std::vector<std::pair<Seat, ConnectionId>> unsaid;
    bool is_all = false;
    {
        std::lock_guard lock(presence_mutex_);
        while (unsaid.size() < kMostOfATurn && !unsaid_.empty()) {
            unsaid.push_back(*unsaid_.begin());
            unsaid_.erase(unsaid_.begin());
        }
        is_all = unsaid_.empty();
    }
    const Snapshot snapshot = settings();
    std::vector<Seat> said;
    Words words = {node_};
    for (const auto& [seat, exclude] : unsaid) {
        append_attendee(words, *snapshot.rules, seat, exclude);
        said.push_back(seat);
        if (said.size() == kMostOfACall)
            say(std::exchange(words, {node_}), std::exchange(said, {}));
    }
    if (!said.empty())
        say(std::move(words), std::move(said));
    if (is_all && !parting_.empty())
        call("part", {std::exchange(parting_, "")}, [](const RedisReply&) {});
}

void RedisBroker::append_attendee(Words& words, const Rules& rules, const Seat& seat,
                                  const ConnectionId& exclude) {
    const auto& [channel, user] = seat;
    const ChannelSettings* settings = rules.settings_for(channel);
    std::optional<Attendee> who;
    {
        std::lock_guard lock(presence_mutex_);
        who = presence_.look(channel, user);
    }
    std::string record;
    if (settings)
        record = who ? joins_record(*settings, channel, MessageKind::Join, *who, exclude)
                     : joins_record(*settings, channel, MessageKind::Leave, {user, {}}, exclude);
    for (std::string word :
         {channel, user, who ? who->info : "", who ? std::to_string(who->connections) : "",
          std::to_string(settings ? settings->presence_users : 0), record})
        words.push_back(std::move(word));
}

// What the server could not take is said again a moment later.
void RedisBroker::say(Words words, std::vector<Seat> said) {
    call("attend", std::move(words),
         [this, said = std::move(said), node = node_](const RedisReply& reply) {
             if (reply.is_error()) {
                 std::lock_guard lock(presence_mutex_);
                 for (const Seat& seat : said)
                     unsaid_.insert({seat, kNoConnection});
                 return;
             }
             if (reply[1].number() > 0)
                 counters_.hit(Limit::PresenceUsers, said[0].first);
             has_lease_ = has_lease_ || node == node_;
             check_epoch(reply);
         });
}

void RedisBroker::attendance(const std::string& channel,
                             std::function<void(std::vector<Attendee>)> done) {
    const auto asked = question<std::vector<Attendee>>(std::move(done));
    post([this, asked, channel] {
        call("attendance", {channel}, [asked](const RedisReply& reply) {
            std::vector<Attendee> users;
            for (size_t i = 1; i + 2 < reply.size(); i += 3)
                users.push_back({std::string(reply[i].text()), std::string(reply[i + 1].text()),
                                 static_cast<uint32_t>(reply[i + 2].number())});
            std::sort(users.begin(), users.end(),
                      [](const Attendee& a, const Attendee& b) { return a.user < b.user; });
            asked->answer(std::move(users));
        });
    });
}

void RedisBroker::send_user_away(const std::string& user, std::function<void(bool)> done) {
    const auto asked = question<bool>(std::move(done));
    post([this, asked, user] {
        call("send_away", {name_, user},
             [asked](const RedisReply& reply) { asked->answer(!reply.is_error()); });
    });
}

} // namespace fanhorn
