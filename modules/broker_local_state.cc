// SPDX-License-Identifier: Apache-2.0
// The local broker goes on in another process: what it keeps in memory, as bytes and back.
#include "modules/broker_local_load.h"
#include "modules/packed_fields.h"

#include <algorithm>

namespace fanhorn {

// ---- the one that ends

void LocalBroker::pack(std::string& state) {
    std::lock_guard lock(mutex_);
    uint64_t earlier = earlier_watermark_;
    for (const auto& [settings, seq] : section_watermarks_)
        earlier = std::max(earlier, seq);
    std::string entries;
    pack_log(entries);
    PackedWriter to(state);
    to.number(epoch_).number(head_).number(earlier);
    to.text({reinterpret_cast<const char*>(&name_key_), sizeof name_key_});
    to.text(entries);
    to.number(presence_.size());
    presence_.each([&](const std::string& channel, const Attendee& who, Millis leaves_at) {
        const bool is_absent = leaves_at != 0 && leaves_at == absent_until_;
        to.text(channel).text(who.user).text(who.info);
        to.number(static_cast<uint64_t>(is_absent ? 0 : leaves_at));
    });
}

void LocalBroker::pack_log(std::string& entries) {
    for (const Channel* channel : by_name_) {
        const ChannelCopy copy = copy_of(*channel);
        log_channel(entries, copy.channel, copy.n, copy.trimmed);
        if (copy.past)
            log_message(entries, *copy.past, copy.past->stored_at, true);
        for (const MessageRef& message : copy.messages)
            log_message(entries, *message, message->stored_at, false);
    }
    keys_.each(0, SIZE_MAX,
               [&](std::string channel, std::string key, const IdempotencyKeys::Entry& entry,
                   Millis used_at) {
                   log_key(entries, {std::move(channel), std::move(key), entry, used_at});
               });
    markers_.begin_copy();
    markers_.copy(SIZE_MAX, [&](std::string_view user, std::string_view channel, uint64_t seq) {
        log_marker(entries, user, channel, seq);
    });
    for (size_t i = 0; i < watermarks_.size(); ++i)
        if (watermarks_[i])
            log_watermark(entries, i, watermarks_[i]);
}

void LocalBroker::retire() {
    std::lock_guard lock(mutex_);
    is_retired_ = true;
}

// ---- the one that goes on

void LocalBroker::end_absence() {
    std::lock_guard lock(mutex_);
    presence_.hurry(absent_until_, clock_.now(), [&](const std::string& channel) {
        const ChannelSettings* settings = rules_->settings_for(channel);
        return settings ? settings->presence_grace : 0;
    });
}

class LocalBroker::StateLoader final : public Loader {
  public:
    StateLoader(LocalBroker& broker, Millis now) : Loader(broker), now_(now) {}
    bool on_loss(const LostStretch&) override { return false; } // nothing is, in memory

  private:
    void prepare() override {}
    // The machine's clock, which both processes read.
    Millis clock_of(Millis logged) const override { return std::min(logged, now_); }

    const Millis now_;
};

bool LocalBroker::unpack(std::string_view state, Millis absent_until) {
    std::lock_guard lock(mutex_);
    const Millis now = clock_.now();
    PackedReader from(state);
    epoch_ = from.number();
    given_ = head_ = from.number();
    const uint64_t earlier = from.number();
    const std::string_view key = from.view();
    const std::string_view entries = from.view();
    if (!from.is_whole() || key.size() != sizeof name_key_)
        return false;
    std::copy(key.begin(), key.end(), reinterpret_cast<char*>(&name_key_));
    {
        StateLoader loader(*this, now);
        if (!read_entries(entries, loader))
            return false;
        loader.finish();
    }
    earlier_watermark_ = std::max(earlier_watermark_, earlier);
    for (uint64_t count = from.number(); count > 0 && from.is_whole(); --count) {
        const std::string channel = from.text(), user = from.text(), info = from.text();
        const auto leaves_at = static_cast<Millis>(from.number());
        presence_.enter(channel, user, info, UINT32_MAX);
        presence_.leave(channel, user, now, (leaves_at ? leaves_at : absent_until) - now);
    }
    absent_until_ = absent_until;
    pushed_.store(head_, std::memory_order_release);
    return from.is_whole() && from.is_end();
}

} // namespace fanhorn
