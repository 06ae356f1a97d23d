// SPDX-License-Identifier: Apache-2.0
// The Redis broker: what readers are given, facts, lists, markers.
#include "modules/broker_redis_placing.h"

#include "modules/message_record.h"

#include <algorithm>
#include <set>

namespace fanhorn {

MessageRef RedisBroker::message_of(std::string_view record, const std::string& channel,
                                   Position position, uint64_t n) const {
    return decode_record(record, channel, position, n, behind());
}

// One read, from the wildcards' names to the page.
class RedisBroker::Reading : public std::enable_shared_from_this<Reading> {
  public:
    Reading(RedisBroker& broker, Stretch stretch, std::function<void(Page)> done)
        : broker_(broker), stretch_(std::move(stretch)), asked_(question<Page>(std::move(done))),
          settings_(broker.settings()) {}

    // Again when the server is back, if it goes away meanwhile; for who may not wait, nothing.
    void begin() {
        if (broker_.stage_ != Stage::Up)
            return again();
        named_.clear();
        for (const StretchPart& part : stretch_.parts)
            if (!is_wildcard(part.channel))
                named_.push_back({part.channel, part.floor, kNoWildcard});
        version_.clear();
        is_moved_ = false;
        const bool is_unsteady = ++rounds_ > kMostRounds; // new names all the time
        is_cut_.assign(stretch_.parts.size(), is_unsteady);
        listing_ = 1;
        for (size_t i = 0; i < stretch_.parts.size() && !is_unsteady; ++i)
            if (is_wildcard(stretch_.parts[i].channel))
                list(i);
        on_listed();
    }

  private:
    static constexpr size_t kNoWildcard = SIZE_MAX;
    // Of messages in one reply, however many channels there are; it passes that by one channel's.
    static constexpr size_t kMostBytes = 4 << 20;
    struct Part {
        std::string channel;
        uint64_t floor = 0;
        size_t wildcard = kNoWildcard; // the part that matched it
    };

    void again() {
        if (!stretch_.may_wait && broker_.stage_ != Stage::CatchingUp)
            return asked_->answer(Page{.is_down = true});
        rounds_ = 0;
        broker_.parked_.push_back([self = shared_from_this()] { self->begin(); });
    }

    void list(size_t index) {
        const auto pattern = Pattern::parse(stretch_.parts[index].channel);
        const size_t most = settings_.limits.wildcard_channels * kLooksForOne + 1;
        ++listing_;
        broker_.call("list",
                     {std::string(pattern ? pattern->literal() : ""), "", std::to_string(most)},
                     [self = shared_from_this(), index](const RedisReply& reply) {
                         self->take_list(index, reply);
                     });
    }

    void take_list(size_t index, const RedisReply& reply) {
        std::vector<std::string> matched;
        is_moved_ = is_moved_ || (!version_.empty() && version_ != reply[1].text());
        version_ = reply[1].text();
        if (reply.is_error())
            has_failed_ = true;
        else
            is_cut_[index] =
                !broker_.find_matched(stretch_.parts[index].channel, settings_, reply, matched);
        for (std::string& name : matched) {
            const bool is_named = std::any_of(named_.begin(), named_.end(), [&](const Part& part) {
                return part.channel == name;
            });
            if (!is_named)
                named_.push_back({std::move(name), stretch_.parts[index].floor, index});
        }
        on_listed();
    }

    void on_listed() {
        if (--listing_ > 0)
            return;
        if (std::exchange(has_failed_, false))
            return again();
        const size_t count = std::max<size_t>(named_.size(), 1);
        most_ = std::clamp(2 * stretch_.max_messages / count,
                           std::min<size_t>(stretch_.max_messages, 4), stretch_.max_messages);
        Words words = {std::to_string(stretch_.after), std::to_string(most_),
                       std::to_string(std::max<size_t>(2 * stretch_.max_bytes / count, 1)),
                       std::to_string(kMostBytes)};
        const auto add = [&](const std::string& name, uint64_t floor, const ChannelSettings* of) {
            words.push_back(name);
            words.push_back(std::to_string(floor));
            append_limits(words, of);
        };
        for (const StretchPart& part : stretch_.parts)
            if (const auto pattern = Pattern::parse(part.channel);
                pattern && is_wildcard(part.channel))
                add(part.channel, 0, settings_.rules->settings_for_wildcard(*pattern));
        for (const Part& part : named_)
            add(part.channel, part.floor, settings_.rules->settings_for(part.channel));
        broker_.call(
            "read", std::move(words), [self = shared_from_this()](const RedisReply& reply) {
                const bool has_moved = !self->version_.empty() && self->version_ != reply[2].text();
                if (reply.size() < 3)
                    self->again();
                else if (self->is_moved_ || has_moved) // a channel came between
                    self->begin();
                else
                    self->take(reply);
                self->broker_.check_epoch(reply);
            });
    }

    void take(const RedisReply& reply) {
        page_ = Page();
        page_.epoch = reply[0].number();
        head_ = reply[1].number();
        limit_ = UINT64_MAX;
        size_t at = 3;
        const size_t count = stretch_.parts.size();
        for (size_t i = 0; i < count; ++i)
            if (is_wildcard(stretch_.parts[i].channel))
                take_wildcard(i, reply[at++][0].number());
        size_t plain = 0;
        for (const Part& part : named_) {
            const uint64_t floor = take_channel(part, reply[at++]);
            if (part.wildcard == kNoWildcard)
                plain_part(plain)->floor = floor;
            else if (floor > part.floor || stretch_.parts[part.wildcard].floor > part.floor)
                stretch_.parts.push_back({part.channel, floor});
        }
        finish();
    }

    // What the reader had is of an epoch before this one: what came between may be lost.
    bool is_other() const { return stretch_.epoch && stretch_.epoch != page_.epoch; }

    // The next part that is no wildcard.
    StretchPart* plain_part(size_t& index) {
        while (is_wildcard(stretch_.parts[index].channel))
            ++index;
        return &stretch_.parts[index++];
    }

    // Of a channel that was freed nothing else is left than what its section trimmed.
    void take_wildcard(size_t index, uint64_t gone) {
        StretchPart& part = stretch_.parts[index];
        const uint64_t lower = std::max(part.floor, stretch_.after);
        const uint64_t freed = is_cut_[index] ? head_ : gone;
        if (is_other())
            page_.gaps.push_back({part.channel, {stretch_.epoch, lower}, {}, Gap::Why::Broker});
        else if (lower < freed)
            page_.gaps.push_back({part.channel, {page_.epoch, lower}, {}, Gap::Why::Trimmed});
        part.floor = std::max(part.floor, freed);
    }

    // Returns from where on the channel has been told, or will be read.
    uint64_t take_channel(const Part& part, const RedisReply& reply) {
        uint64_t floor = part.floor;
        const uint64_t lower = std::max(floor, stretch_.after);
        const uint64_t trimmed = reply[0].number();
        if (lower < trimmed || is_other()) {
            Gap gap{part.channel,
                    {is_other() ? stretch_.epoch : page_.epoch, lower},
                    {},
                    is_other() ? Gap::Why::Broker : Gap::Why::Trimmed};
            if (reply.size() > 2) // the first that it gets
                gap.next = {page_.epoch, reply[2].number()};
            page_.gaps.push_back(std::move(gap));
            floor = std::max(floor, trimmed);
        }
        if (!settings_.rules->settings_for(part.channel)) // a reload took its section away
            return floor;
        uint64_t last = 0;
        for (size_t i = 2; i + 2 < reply.size(); i += 3)
            last = take_message(part.channel, reply, i);
        if (reply.size() == 3)
            last = reply[2].number() - 1; // its first did not fit
        if (reply[1].text() == "1" && last)
            limit_ = std::min(limit_, last);
        return floor;
    }

    uint64_t take_message(const std::string& channel, const RedisReply& reply, size_t at) {
        const uint64_t seq = reply[at].number();
        if (MessageRef message = broker_.message_of(reply[at + 2].text(), channel,
                                                    {page_.epoch, seq}, reply[at + 1].number()))
            page_.messages.push_back(std::move(message));
        else // somebody else wrote it, or another version of ours
            page_.gaps.push_back({channel, {page_.epoch, seq - 1}, {}, Gap::Why::Broker});
        return seq;
    }

    // Up to where all channels have been read, within what was asked for, in the order of seqs.
    void finish() {
        auto& messages = page_.messages;
        std::sort(messages.begin(), messages.end(), [](const MessageRef& a, const MessageRef& b) {
            return a->position.seq < b->position.seq;
        });
        bool is_end = limit_ == UINT64_MAX;
        size_t count = 0, bytes = 0;
        for (; count < messages.size(); ++count) {
            const Message& message = *messages[count];
            bytes += message.bytes();
            if (message.position.seq > limit_ || count >= stretch_.max_messages ||
                (bytes > stretch_.max_bytes && count > 0)) {
                is_end = false;
                break;
            }
        }
        const uint64_t last = count > 0 ? messages[count - 1]->position.seq : 0;
        messages.resize(count);
        const Millis now = broker_.clock_.now();
        std::erase_if(messages, [&](const MessageRef& each) { return each->is_expired(now); });
        stretch_.after =
            std::max(stretch_.after, is_end ? head_ : std::max(last, count > 0 ? 0 : limit_));
        page_.is_end = is_end;
        stretch_.epoch = page_.epoch;
        page_.rest = std::move(stretch_);
        asked_->answer(std::move(page_));
    }

    RedisBroker& broker_;
    Stretch stretch_;
    const Asked<Page> asked_;
    const Snapshot settings_;
    std::vector<Part> named_;
    std::vector<bool> is_cut_; // of the parts: a wildcard that matches too much
    size_t listing_ = 0, most_ = 0;
    bool has_failed_ = false, is_moved_ = false;
    std::string version_; // of the server's names, when they were listed
    int rounds_ = 0;
    Page page_;
    uint64_t head_ = 0;
    uint64_t limit_ = UINT64_MAX; // behind it some channel has more than was asked for
};

void RedisBroker::read(Stretch stretch, std::function<void(Page)> done) {
    auto reading = std::make_shared<Reading>(*this, std::move(stretch), std::move(done));
    post([reading = std::move(reading)] { reading->begin(); });
}

void RedisBroker::remove(const std::string& channel, std::function<void(Removal)> done) {
    post([this, channel, asked = question<Removal>(std::move(done))] {
        call("remove", {channel}, [this, asked](const RedisReply& reply) {
            const std::string_view word = reply[1].text();
            asked->answer(word == "1"   ? Removal::Removed
                          : word == "0" ? Removal::Unknown
                                        : Removal::Down);
            check_epoch(reply);
        });
    });
}

// ---- facts and lists

// What is here of it.
ChannelFacts RedisBroker::facts_of(const std::string& name, const RedisReply& reply,
                                   uint64_t epoch) {
    ChannelFacts facts;
    facts.channel = name;
    each_topic_of(name, [&](const Topic& topic) {
        for (size_t i = 0; i < facts.subscribers.size(); ++i)
            facts.subscribers[i] += topic.audience->count[i].load(std::memory_order_relaxed);
    });
    if (const ChannelSettings* settings = this->settings().rules->settings_for(name))
        facts.section = settings->pattern;
    facts.messages = reply[1].number();
    facts.bytes = reply[2].number();
    facts.n = reply[5].number();
    if (facts.messages) {
        facts.first = {epoch, reply[3].number()};
        facts.last = {epoch, reply[4].number()};
    }
    return facts;
}

void RedisBroker::facts(const std::string& channel,
                        std::function<void(std::optional<ChannelFacts>)> done) {
    post([this, channel, asked = question<std::optional<ChannelFacts>>(std::move(done))] {
        call("facts", facts_words({channel}), [this, channel, asked](const RedisReply& reply) {
            std::optional<ChannelFacts> facts;
            if (!reply[1][0].text().empty() || topics_.contains(std::string_view(channel)))
                facts = facts_of(channel, reply[1], reply[0].number());
            asked->answer(std::move(facts));
        });
    });
}

RedisBroker::Words RedisBroker::facts_words(const std::vector<std::string>& names) const {
    const auto rules = settings().rules;
    Words words;
    for (const std::string& name : names) {
        words.push_back(name);
        append_limits(words, rules->settings_for(name));
    }
    return words;
}

// What the server lists, and what is only subscribed to here.
void RedisBroker::list(std::string_view prefix, std::string_view cursor, size_t limit,
                       std::function<void(ChannelList)> done) {
    post([this, prefix = std::string(prefix), cursor = std::string(cursor), limit,
          asked = question<ChannelList>(std::move(done))] {
        call("list", {prefix, cursor, std::to_string(limit + 1)},
             [this, prefix, cursor, limit, asked](const RedisReply& reply) {
                 std::set<std::string> names;
                 for (size_t i = 2; i < reply.size(); ++i)
                     names.emplace(reply[i].text());
                 for (const auto& topic : topics_)
                     if (!topic->pattern && topic->name.starts_with(prefix) &&
                         topic->name >= cursor && !is_reserved(topic->name))
                         names.insert(topic->name);
                 list_facts({names.begin(), names.end()}, limit, asked);
             });
    });
}

void RedisBroker::list_facts(std::vector<std::string> names, size_t limit,
                             const Asked<ChannelList>& asked) {
    std::string cursor;
    if (names.size() > limit) {
        cursor = names[limit];
        names.resize(limit);
    }
    call("facts", facts_words(names), [this, names, cursor, asked](const RedisReply& reply) {
        ChannelList list;
        list.cursor = cursor;
        for (size_t i = 0; i < names.size(); ++i)
            if (!reply[i + 1][0].text().empty() || topics_.contains(std::string_view(names[i])))
                list.channels.push_back(facts_of(names[i], reply[i + 1], reply[0].number()));
        asked->answer(std::move(list));
    });
}

// ---- markers

void RedisBroker::mark(ReadMark mark, std::function<void(Marked)> done) {
    const Snapshot snapshot = settings();
    Words words = {mark.user,
                   mark.channel,
                   std::to_string(mark.position.epoch),
                   std::to_string(mark.position.seq),
                   std::to_string(snapshot.limits.read_markers),
                   std::to_string(snapshot.limits.user_read_markers),
                   snapshot.rules->settings_for(mark.told.channel) ? mark.told.channel : "",
                   encode_record(mark.told, shared_now())};
    post([this, words = std::move(words), asked = question<Marked>(std::move(done))]() mutable {
        call("mark", std::move(words), [this, asked](const RedisReply& reply) {
            Marked marked;
            marked.status = marked_status(reply[1].text());
            if (marked.status == Marked::Status::Moved || marked.status == Marked::Status::Kept)
                marked.position = {reply[0].number(), reply[2].number()};
            if (reply[3].number() > 0) // one mark makes it forget one
                counters_.hit(Limit::ReadMarkers);
            if (reply[4].number() > 0)
                counters_.hit(Limit::UserReadMarkers);
            asked->answer(marked);
        });
    });
}

Marked::Status RedisBroker::marked_status(std::string_view word) {
    if (word == "moved")
        return Marked::Status::Moved;
    if (word == "kept")
        return Marked::Status::Kept;
    if (word == "epoch")
        return Marked::Status::Epoch;
    return word == "ahead" ? Marked::Status::Ahead : Marked::Status::Down;
}

void RedisBroker::markers(const std::vector<std::string>& channels, const std::string& user,
                          std::function<void(std::vector<Position>)> done) {
    Words words = {user};
    words.insert(words.end(), channels.begin(), channels.end());
    post([this, words = std::move(words),
          asked = question<std::vector<Position>>(std::move(done))]() mutable {
        const size_t count = words.size() - 1;
        call("markers", std::move(words), [count, asked](const RedisReply& reply) {
            std::vector<Position> found(count);
            for (size_t i = 0; i < count; ++i)
                if (!reply[i + 1].text().empty())
                    found[i] = {reply[0].number(), reply[i + 1].number()};
            asked->answer(std::move(found));
        });
    });
}

} // namespace fanhorn
