// SPDX-License-Identifier: Apache-2.0
// The Redis broker: where subscriptions begin.
#include "modules/broker_redis_placing.h"

#include <algorithm>

namespace fanhorn {

void RedisBroker::subscribe(size_t worker, std::vector<std::string> channels, Since since,
                            std::function<void(Start)> done) {
    for (const std::string& channel : channels)
        ++crew_[worker]->unsettled[channel];
    auto placing = std::make_shared<Placing>();
    placing->names = std::move(channels);
    placing->since = since;
    placing->worker = worker;
    // On the worker again: from here on it says itself that it does not want a channel any more.
    placing->done = [crew = crew_[worker].get(), names = placing->names,
                     done = std::move(done)](Start start) {
        for (const std::string& name : names)
            if (const auto found = crew->unsettled.find(name); --found->second == 0)
                crew->unsettled.erase(found);
        done(std::move(start));
    };
    begin(std::move(placing));
}

void RedisBroker::locate(std::vector<std::string> channels, Since since,
                         std::function<void(Start)> done) {
    auto placing = std::make_shared<Placing>();
    placing->names = std::move(channels);
    placing->since = since;
    placing->done = std::move(done);
    begin(std::move(placing));
}

void RedisBroker::begin(std::shared_ptr<Placing> placing) {
    placing->settings = settings();
    placing->home = home();
    if (!is_up()) {
        Start start;
        start.status = Start::Status::Down;
        return placing->done(std::move(start));
    }
    post([this, placing = std::move(placing)] { place(placing); });
}

void RedisBroker::place(const std::shared_ptr<Placing>& placing) {
    if (stage_ == Stage::CatchingUp)
        return parked_.push_back([this, placing] { place(placing); });
    auto status = stage_ == Stage::Up ? Start::Status::Placed : Start::Status::Down;
    if (placing->worker && status == Start::Status::Placed)
        status = use_topics(placing);
    if (status != Start::Status::Placed) {
        placing->worker.reset(); // it uses no topic
        return give_up(*placing, status);
    }
    placing->word = next_word();
    placing_[placing->word] = placing;
    place_if_confirmed(placing);
}

// All of them or none.
Start::Status RedisBroker::use_topics(const std::shared_ptr<Placing>& placing) {
    auto status = Start::Status::Placed;
    size_t used = 0;
    for (const std::string& name : placing->names) {
        Topic* topic = find_or_make(*placing, name, status);
        if (!topic)
            break;
        ++topic->uses;
        ++used;
        if (topic->confirming > 0)
            topic->waiting.push_back(placing);
    }
    if (status == Start::Status::Placed)
        return status;
    placing->names.resize(used);
    release_topics(*placing);
    return status;
}

RedisBroker::Topic* RedisBroker::find_or_make(const Placing& placing, const std::string& name,
                                              Start::Status& refused) {
    const bool is_pattern = is_wildcard(name);
    const auto pattern = is_pattern ? Pattern::parse(name) : Result<Pattern>(Pattern());
    const Rules& rules = *placing.settings.rules;
    const ChannelSettings* settings = nullptr;
    if (pattern)
        settings = is_pattern ? rules.settings_for_wildcard(*pattern) : rules.settings_for(name);
    if (!settings) {
        refused = Start::Status::NoSection;
        return nullptr;
    }
    const auto found = topics_.find(std::string_view(name));
    Topic* topic = found == topics_.end() ? nullptr : found->get();
    if (topic && settings->subscribers && topic->audience->total() >= settings->subscribers) {
        refused = Start::Status::SubscribersFull;
        counters_.hit(Limit::Subscribers, name);
        return nullptr;
    }
    if (topic)
        return topic;
    const BrokerLimits& limits = placing.settings.limits;
    if (is_pattern ? wildcards_.size() >= limits.wildcards : topics_.size() >= limits.channels) {
        refused = is_pattern ? Start::Status::WildcardsFull : Start::Status::ChannelsFull;
        counters_.hit(is_pattern ? Limit::Wildcards : Limit::Channels, name);
        return nullptr;
    }
    auto made = std::make_unique<Topic>();
    made->name = name;
    if (is_pattern)
        made->pattern = *pattern;
    topic = topics_.insert(std::move(made)).first->get();
    if (is_pattern)
        wildcards_.push_back(topic);
    ask_for(*topic);
    return topic;
}

void RedisBroker::release_topics(const Placing& placing) {
    for (const std::string& name : placing.names) {
        const auto found = topics_.find(std::string_view(name));
        --(*found)->uses;
        drop_if_unused(**found);
    }
}

void RedisBroker::drop_if_unused(Topic& topic) {
    if (topic.uses > 0 || !topic.wanted.empty() || topic.confirming > 0)
        return;
    const std::vector<std::string> words = {wanting(topic.pattern.has_value(), false),
                                            key_of(topic)};
    std::erase(wildcards_, &topic);
    const bool is_shared = std::any_of( // two patterns may be one to the server
        wildcards_.begin(), wildcards_.end(),
        [&](const Topic* other) { return key_of(*other) == words[1]; });
    if (!topic.pattern || !is_shared)
        carrier_->ask(words, nullptr);
    topics_.erase(topics_.find(topic.key()));
}

// The worker's last subscriber of it has gone, unless another one is on its way.
void RedisBroker::unsubscribe(size_t worker, const std::string& channel) {
    if (crew_[worker]->unsettled.contains(channel))
        return;
    post([this, worker, channel] {
        const auto found = topics_.find(std::string_view(channel));
        if (found == topics_.end())
            return;
        std::erase((*found)->wanted, static_cast<uint16_t>(worker));
        drop_if_unused(**found);
    });
}

void RedisBroker::give_up(Placing& placing, Start::Status status) {
    placing.is_asked = true; // nobody waits for it any more
    placing_.erase(placing.word);
    if (placing.worker)
        release_topics(placing);
    Start start;
    start.status = status;
    answer(placing, std::move(start));
}

void RedisBroker::answer(Placing& placing, Start start) {
    placing.home([done = std::move(placing.done), start = std::move(start)]() mutable {
        done(std::move(start));
    });
}

// What the server carries is ours from here on: now it is asked where that begins.
void RedisBroker::place_if_confirmed(const std::shared_ptr<Placing>& placing) {
    if (placing->is_asked)
        return;
    if (placing->worker)
        for (const std::string& name : placing->names)
            if ((*topics_.find(std::string_view(name)))->confirming > 0)
                return;
    placing->is_asked = true;
    list_matched(placing);
}

// What the wildcards match comes first: the server knows names, and we know what they mean.
void RedisBroker::list_matched(const std::shared_ptr<Placing>& placing) {
    placing->matched.assign(placing->names.size(), {});
    const bool is_unsteady = ++placing->rounds > kMostRounds; // new names all the time
    placing->is_cut.assign(placing->names.size(), is_unsteady);
    placing->version.clear();
    placing->is_moved = false;
    placing->listing = static_cast<size_t>(
        std::count_if(placing->names.begin(), placing->names.end(),
                      [](const std::string& name) { return is_wildcard(name); }));
    if (placing->listing == 0 || is_unsteady)
        return ask_where(placing);
    for (size_t i = 0; i < placing->names.size(); ++i) {
        if (!is_wildcard(placing->names[i]))
            continue;
        const auto pattern = Pattern::parse(placing->names[i]);
        const size_t most = placing->settings.limits.wildcard_channels;
        const std::string literal(pattern ? pattern->literal() : "");
        call("list", {literal, "", std::to_string(most * kLooksForOne + 1)},
             [this, placing, i](const RedisReply& reply) { on_listed(placing, i, reply); });
    }
}

void RedisBroker::on_listed(const std::shared_ptr<Placing>& placing, size_t index,
                            const RedisReply& reply) {
    if (!placing_.contains(placing->word))
        return; // given up meanwhile
    if (reply.is_error())
        return give_up(*placing, Start::Status::Down);
    const std::string version(reply[1].text());
    placing->is_moved =
        placing->is_moved || (!placing->version.empty() && placing->version != version);
    placing->version = version;
    placing->is_cut[index] =
        !find_matched(placing->names[index], placing->settings, reply, placing->matched[index]);
    if (--placing->listing == 0)
        ask_where(placing);
}

// Of the names in a listing those that the wildcard means. False: there are too many to look at.
bool RedisBroker::find_matched(const std::string& wildcard, const Snapshot& settings,
                               const RedisReply& listing, std::vector<std::string>& matched) {
    const auto pattern = Pattern::parse(wildcard);
    if (!pattern)
        return true;
    const size_t most = settings.limits.wildcard_channels;
    const ChannelSettings* section = settings.rules->settings_for_wildcard(*pattern);
    bool is_cut = listing.size() - 2 > most * kLooksForOne;
    for (size_t i = 2; i < listing.size() && section && !is_cut; ++i) {
        std::string name(listing[i].text());
        if (!is_reserved(name) && pattern->matches(name) &&
            settings.rules->settings_for(name) == section)
            matched.push_back(std::move(name));
        is_cut = matched.size() > most;
    }
    if (is_cut) {
        matched.clear();
        counters_.hit(Limit::WildcardChannels, wildcard);
    }
    return !is_cut;
}

static std::string_view kind_word(Since::Kind kind) {
    switch (kind) {
    case Since::Kind::Latest:
        return "latest";
    case Since::Kind::Earliest:
        return "earliest";
    case Since::Kind::Newest:
        return "newest";
    case Since::Kind::After:
        break;
    }
    return "after";
}

void RedisBroker::ask_where(const std::shared_ptr<Placing>& placing) {
    const Since& since = placing->since;
    const Rules& rules = *placing->settings.rules;
    Words words;
    if (placing->worker)
        words = {inbox_, placing->word, std::to_string(placing->settings.limits.channels)};
    for (std::string word :
         {std::string(kind_word(since.kind)), std::to_string(since.count),
          std::to_string(since.position.epoch), std::to_string(since.position.seq)})
        words.push_back(std::move(word));
    const auto add = [&](const std::string& name, const ChannelSettings* settings) {
        words.push_back(name);
        append_limits(words, settings);
    };
    for (size_t i = 0; i < placing->names.size(); ++i) {
        const std::string& name = placing->names[i];
        const auto pattern = is_wildcard(name) ? Pattern::parse(name) : Result<Pattern>(Pattern());
        add(name, is_wildcard(name) && pattern ? rules.settings_for_wildcard(*pattern)
                                               : rules.settings_for(name));
        for (const std::string& matched : placing->matched[i])
            add(matched, rules.settings_for(matched));
    }
    call(placing->worker ? "subscribe" : "locate", std::move(words),
         [this, placing](const RedisReply& reply) { on_placed(placing, reply); });
}

void RedisBroker::on_placed(const std::shared_ptr<Placing>& placing, const RedisReply& reply) {
    const std::string word = placing->word;
    place_by(placing, reply);
    if (awaited_ == word) { // what the server carried behind it can come
        awaited_.clear();
        carrier_->resume();
    }
}

void RedisBroker::place_by(const std::shared_ptr<Placing>& placing, const RedisReply& reply) {
    if (!placing_.contains(placing->word))
        return; // given up meanwhile
    if (reply.is_error())
        return give_up(*placing, Start::Status::Down);
    if (reply[2].text() == "full") {
        counters_.hit(Limit::Channels, placing->names[0]);
        return give_up(*placing, Start::Status::ChannelsFull);
    }
    if (placing->is_moved || (!placing->version.empty() && placing->version != reply[2].text())) {
        // There were other names by then.
        auto node = placing_.extract(placing->word);
        placing->word = node.key() = next_word();
        placing_.insert(std::move(node));
        placing->is_carried = false;
        return list_matched(placing);
    }
    placing->start = start_of(*placing, reply);
    if (!placing->worker || placing->is_carried)
        settle(*placing);
}

void RedisBroker::settle(Placing& placing) {
    const auto keep = placing_.extract(placing.word);
    if (placing.worker) {
        for (size_t i = 0; i < placing.names.size(); ++i) {
            Topic& topic = **topics_.find(std::string_view(placing.names[i]));
            placing.start->channels[i].audience = topic.audience;
            const auto worker = static_cast<uint16_t>(*placing.worker);
            if (topic.wanted.find(worker) == topic.wanted.npos)
                topic.wanted.push_back(worker);
            --topic.uses;
        }
    }
    answer(placing, std::move(*placing.start));
}

// ---- from the answer to a start

namespace {

struct Place {
    uint64_t trimmed, first, floor, behind;
    std::string_view gap;
};

Place place_of(const RedisReply& reply) {
    return {reply[0].number(), reply[1].number(), reply[2].number(), reply[4].number(),
            reply[3].text()};
}

} // namespace

Start RedisBroker::start_of(const Placing& placing, const RedisReply& reply) const {
    const Since& since = placing.since;
    Start start;
    start.epoch = reply[0].number();
    start.head = reply[1].number();
    uint64_t lowest = start.head; // behind it lies what the replay brings first
    size_t at = 3;
    for (size_t i = 0; i < placing.names.size(); ++i) {
        if (is_wildcard(placing.names[i]))
            start.channels.push_back(start_wildcard(placing, i, start, reply, at, lowest));
        else
            start.channels.push_back(
                start_channel(placing.names[i], since, start.epoch, reply[at++], lowest));
    }
    if (since.kind == Since::Kind::After) {
        start.told = since.position;
        start.after = start.channels[0].gap ? 0 : since.position.seq;
    } else {
        start.told = {start.epoch, lowest};
        start.after = lowest;
    }
    return start;
}

ChannelStart RedisBroker::start_channel(const std::string& name, const Since& since, uint64_t epoch,
                                        const RedisReply& reply, uint64_t& lowest) const {
    const Place place = place_of(reply);
    ChannelStart start;
    start.floor = place.floor;
    if (place.first)
        lowest = std::min(lowest, place.first - 1);
    if (!place.gap.empty()) {
        start.gap = Gap{name, since.position, {}, Gap::Why::Epoch};
        if (place.gap == "ahead")
            start.gap->why = Gap::Why::Ahead;
        if (place.behind)
            start.gap->next = {epoch, place.behind};
    }
    if (const std::string_view retained = reply[5].text(); !retained.empty())
        start.retained = message_of(retained, name, {epoch, reply[6].number()}, reply[7].number());
    return start;
}

// Of all its channels together. One that was freed has left no name, only what its section trimmed.
ChannelStart RedisBroker::start_wildcard(const Placing& placing, size_t index, const Start& of,
                                         const RedisReply& reply, size_t& at,
                                         uint64_t& lowest) const {
    const Since& since = placing.since;
    const std::string& name = placing.names[index];
    const uint64_t freed = reply[at++][0].number();
    ChannelStart start;
    start.floor = of.head;
    if (since.kind == Since::Kind::After) {
        const bool is_ours = since.position.epoch == of.epoch;
        if (!is_ours || since.position.seq > of.head || since.position.seq < freed)
            start.gap = Gap{name,
                            since.position,
                            {},
                            !is_ours                       ? Gap::Why::Epoch
                            : since.position.seq > of.head ? Gap::Why::Ahead
                                                           : Gap::Why::Trimmed};
        else
            start.floor = since.position.seq;
    }
    if (placing.is_cut[index]) {
        const Position from =
            since.kind == Since::Kind::After ? since.position : Position{of.epoch, 0};
        start.floor = of.head;
        if (since.kind != Since::Kind::Latest && from.seq < of.head && !start.gap)
            start.gap = Gap{name, from, {}, Gap::Why::Trimmed};
        return start;
    }
    for (const std::string& matched : placing.matched[index]) {
        const RedisReply& place = reply[at++];
        ChannelStart one = start_channel(matched, since, of.epoch, place, lowest);
        if (one.retained)
            start.matched_retained.push_back(std::move(one.retained));
        const uint64_t first = place_of(place).first;
        if (first && start.gap && (!start.gap->next.epoch || first < start.gap->next.seq))
            start.gap->next = {of.epoch, first};
        if (first || one.floor < place_of(place).trimmed)
            start.matched.push_back({matched, one.floor});
    }
    return start;
}

} // namespace fanhorn
