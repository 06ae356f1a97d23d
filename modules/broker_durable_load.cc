// SPDX-License-Identifier: Apache-2.0
// How a durable broker begins: its log becomes what it keeps in memory.
#include "base/log.h"
#include "modules/broker_durable.h"
#include "modules/broker_local_channel.h"

#include <algorithm>
#include <span>
#include <utility>

namespace fanhorn {

namespace {

constexpr size_t kMaxLosses = 64; // beyond, two become one

// A name's eight bytes from some place on, as a number of the same order, and whose it is.
template <typename Named> struct Keyed {
    uint64_t key;
    Named* named;
};

uint64_t key_at(std::string_view name, size_t depth) {
    uint64_t key = 0;
    for (size_t i = depth; i < depth + sizeof key; ++i)
        key = key << 8 | (i < name.size() ? static_cast<uint8_t>(name[i]) : 0);
    return key;
}

// By names, each another one and without zeros, which agree up to `depth`. A million in a set of
// their own would be looked up in memory twenty times each; here it is once for eight bytes.
template <typename Named> void sort_by_name(std::span<Keyed<Named>> all, size_t depth = 0) {
    for (Keyed<Named>& each : all)
        each.key = key_at(each.named->name, depth);
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
    for (size_t from = 0, to = 0; from < all.size(); from = to) {
        while (to < all.size() && all[to].key == all[from].key)
            ++to;
        if (to - from > 1)
            sort_by_name(all.subspan(from, to - from), depth + sizeof(uint64_t));
    }
}

} // namespace

// Before anybody else knows of the broker: no lock.
class DurableBroker::Loader final : public LogReader {
  public:
    explicit Loader(DurableBroker& broker) : broker_(broker), now_(broker.clock_.now()) {
        broker_.is_by_name_late_ = true;
    }

    bool on_message(LoggedMessage&& logged) override {
        prepare();
        last_ = std::max(last_, logged.seq);
        if (logged.content)
            remember_key(logged.draft.channel, logged.draft.idempotency_key,
                         {*logged.content, {broker_.epoch_, logged.seq}, logged.n},
                         broker_.clock_of(logged.stored_at));
        Channel* channel = find_or_make(logged.draft.channel, logged.seq);
        if (!channel)
            return true;
        const Millis stored_at = broker_.clock_of(logged.stored_at);
        const MessageRef message(new Message(std::move(logged.draft), {broker_.epoch_, logged.seq},
                                             logged.n, stored_at));
        ++messages_;
        channel->n = std::max(channel->n, message->n);
        if (message->retained &&
            (!channel->retained || channel->retained->position.seq < logged.seq))
            channel->retained = message;
        return !message->stored || logged.is_past || append(*channel, message);
    }
    bool on_removal(const std::string& name, uint64_t seq) override {
        prepare();
        last_ = std::max(last_, seq);
        if (Channel* channel = broker_.find(name)) {
            reset(*channel, [&](History& history) { history.clear(garbage_); });
            channel->retained = nullptr;
        }
        garbage_.clear();
        return true;
    }
    bool on_marker(const std::string& user, const std::string& channel, uint64_t seq) override {
        prepare();
        ReadMark mark;
        mark.user = user;
        mark.channel = channel;
        mark.position = {broker_.epoch_, seq};
        broker_.move_marker_to(mark);
        return true;
    }
    bool on_channel(const std::string& name, uint64_t n, uint64_t trimmed) override {
        prepare();
        Channel* channel = find_or_make(name, trimmed);
        if (!channel)
            return true;
        reset(*channel, [&](History& history) {
            history = History();
            history.raise_trimmed(trimmed);
        });
        channel->retained = nullptr;
        channel->n = n;
        return true;
    }
    bool on_watermark(size_t index, uint64_t seq) override {
        prepare();
        if (index >= broker_.watermarks_.size())
            return false;
        broker_.watermarks_[index] = std::max(broker_.watermarks_[index], seq);
        return true;
    }
    bool on_key(LoggedKey&& key) override {
        prepare();
        last_ = std::max(last_, key.entry.position.seq);
        key.entry.position.epoch = broker_.epoch_;
        remember_key(key.channel, key.key, key.entry, broker_.clock_of(key.used_at));
        return true;
    }
    bool on_loss(const LostStretch& lost) override {
        if (lost.after > lost.upto)
            return false;
        broker_.add_loss(lost);
        return true;
    }

    // Behind the last entry.
    void finish() {
        prepare();
        sort_by_name<Channel>(made_);
        for (const auto& [key, channel] : made_)
            broker_.by_name_.insert(broker_.by_name_.end(), channel);
        for (const auto& [key, channel] : made_) {
            broker_.expire(*channel, now_, garbage_);
            broker_.schedule(*channel);
            broker_.free_if_empty(*channel);
        }
        broker_.is_by_name_late_ = false;
        broker_.reached_.clear(); // of markers, and told when it happened
        broker_.earlier_watermark_ =
            *std::max_element(broker_.watermarks_.begin(), broker_.watermarks_.end());
    }
    uint64_t last() const { return last_; }
    uint64_t messages() const { return messages_; }

  private:
    // The first segment's header has been read by now.
    void prepare() {
        broker_.epoch_ = broker_.store_->epoch();
        broker_.name_key_ = broker_.store_->key();
    }

    // Null where the configuration has no section for it any more: what it had is gone.
    Channel* find_or_make(const std::string& name, uint64_t seq) {
        auto refused = Published::Status::Published;
        const size_t before = broker_.channels_.size();
        Channel* channel = broker_.find_or_make(name, refused);
        if (broker_.channels_.size() > before)
            made_.push_back({0, channel});
        if (!channel) {
            uint64_t& mark = broker_.watermark(name);
            mark = std::max(mark, seq);
        }
        return channel;
    }

    template <typename Change> void reset(Channel& channel, Change change) {
        broker_.kept_bytes_ -= channel.history.bytes();
        change(channel.history);
        broker_.kept_bytes_ += channel.history.bytes();
    }

    bool append(Channel& channel, const MessageRef& message) {
        History& history = channel.history;
        if (!history.empty() &&
            history.at(history.size() - 1).position.seq >= message->position.seq)
            return false;
        reset(channel, [&](History& to) { to.append(message, *channel.settings, now_, garbage_); });
        garbage_.clear();
        return true;
    }

    void remember_key(const std::string& channel, const std::string& key,
                      const IdempotencyKeys::Entry& entry, Millis used_at) {
        if (used_at + IdempotencyKeys::kLifetime > now_ &&
            !broker_.keys_.find(channel, key, used_at))
            broker_.keys_.insert(channel, key, entry, used_at);
    }

    DurableBroker& broker_;
    const Millis now_;
    uint64_t last_ = 0, messages_ = 0;
    std::vector<Keyed<Channel>> made_;
    Garbage garbage_;
};

// False: it is known. Those that overlap are one: a reader goes from one to the next.
bool DurableBroker::add_loss(LostStretch lost) {
    const auto has = [](const LostStretch& all, const LostStretch& part) {
        return all.after <= part.after && part.upto <= all.upto;
    };
    for (const LostStretch& each : losses_)
        if (has(each, lost))
            return false;
    std::erase_if(losses_, [&](const LostStretch& each) {
        if (each.upto < lost.after || lost.upto < each.after)
            return false;
        lost = {std::min(lost.after, each.after), std::max(lost.upto, each.upto)};
        return true;
    });
    const auto is_before = [](const LostStretch& a, const LostStretch& b) {
        return a.after < b.after;
    };
    losses_.insert(std::upper_bound(losses_.begin(), losses_.end(), lost, is_before), lost);
    if (losses_.size() > kMaxLosses) {
        losses_[1].after = losses_[0].after;
        losses_.erase(losses_.begin());
    }
    return true;
}

Result<void> DurableBroker::start() {
    const int64_t begin = monotonic_micros();
    wall_offset_ = wall_() - clock_.now();
    Loader loader(*this);
    // Channels that were freed are there again until the end.
    const uint32_t channels = std::exchange(limits_.channels, UINT32_MAX);
    const auto opened = store_->open(loader);
    limits_.channels = channels;
    if (!opened)
        return Error{opened.error()};
    loader.finish();
    given_ = head_ = std::max(opened->head, loader.last());
    pushed_.store(head_, std::memory_order_release);
    if (opened->cut_bytes)
        log_event(LogLevel::Warning, "broker_log_cut",
                  {{"broker", name_}, {"bytes", opened->cut_bytes}});
    for (const LostStretch& lost : opened->lost) {
        if (!add_loss(lost))
            continue; // it has been said
        log_event(LogLevel::Warning, "broker_log_lost",
                  {{"broker", name_}, {"after", lost.after}, {"upto", lost.upto}});
        log_loss(entries_, lost);
    }
    if (!entries_.empty())
        if (auto written = store_->commit(entries_, head_ + 1); !written)
            return written;
    is_checkpoint_wanted_ = !opened->was_closed;
    log_event(LogLevel::Notice, "broker_log_opened",
              {{"broker", name_},
               {"messages", loader.messages()},
               {"channels", channels_.size()},
               {"bytes", store_->bytes()},
               {"ms", (monotonic_micros() - begin) / 1000}});
    has_started_ = true;
    if (turn_ == Turn::Thread)
        writer_ = std::thread([this] { write(); });
    return {};
}

} // namespace fanhorn
