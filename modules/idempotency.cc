// SPDX-License-Identifier: Apache-2.0
#include "modules/idempotency.h"

#include "base/digest.h"
#include "base/text.h"

namespace fanhorn {

Digest content_digest(const Draft& draft) {
    std::string text;
    text.reserve(draft.payload.size() + 128);
    const auto field = [&](std::string_view value) {
        append_number(text, value.size());
        text += ':';
        text += value;
    };
    field(draft.content_type);
    field(draft.event);
    field(draft.tags);
    field({reinterpret_cast<const char*>(draft.exclude.data()), draft.exclude.size()});
    append_number(text, static_cast<uint64_t>(draft.ttl));
    text += draft.store ? 's' : '-';
    text += draft.retain ? 'r' : '-';
    text += draft.binary ? 'b' : '-';
    field(draft.payload);
    return sha256(text);
}

std::string IdempotencyKeys::joined(const std::string& channel, const std::string& key) {
    return channel + ',' + key; // a channel's name has no comma
}

const IdempotencyKeys::Entry* IdempotencyKeys::find(const std::string& channel,
                                                    const std::string& key, Millis now) {
    while (!expiry_.empty() && expiry_.front().first <= now)
        pop();
    const auto found = entries_.find(joined(channel, key));
    return found == entries_.end() ? nullptr : &found->second;
}

bool IdempotencyKeys::insert(const std::string& channel, const std::string& key, const Entry& entry,
                             Millis now) {
    const bool is_full = entries_.size() >= kMaxKeys;
    if (is_full)
        pop();
    const std::string name = joined(channel, key);
    CHECK(entries_.emplace(name, entry).second);
    expiry_.emplace_back(now + kLifetime, name);
    return is_full;
}

void IdempotencyKeys::pop() {
    entries_.erase(expiry_.front().second);
    expiry_.pop_front();
    ++gone_;
}

void IdempotencyKeys::take_back(const std::string& channel, const std::string& key) {
    CHECK(!expiry_.empty() && expiry_.back().second == joined(channel, key));
    entries_.erase(expiry_.back().second);
    expiry_.pop_back();
}

} // namespace fanhorn
