// SPDX-License-Identifier: Apache-2.0
#include "relay/history.h"

#include <algorithm>

namespace fanhorn {

void History::append(MessageRef message, const ChannelSettings& limits, Millis now,
                     std::vector<MessageRef>& dropped) {
    CHECK(message->stored);
    CHECK(empty() || at(size_ - 1).position.seq < message->position.seq);
    if (size_ == capacity_)
        grow();
    bytes_ += message->bytes();
    if (message->expires && (first_ttl_ == 0 || message->expires < first_ttl_))
        first_ttl_ = message->expires;
    ring_[slot(size_++)] = std::move(message);
    trim(limits, now, dropped);
}

void History::trim(const ChannelSettings& limits, Millis now, std::vector<MessageRef>& dropped) {
    if (first_ttl_ && first_ttl_ <= now)
        drop_expired(now, dropped);
    while (!empty() && (size_ > limits.history || bytes_ > limits.history_bytes ||
                        at(0).stored_at + limits.history_ttl <= now))
        pop_front(now, dropped);
}

// Anywhere in the ring: a ttl is the publisher's own and need not be the oldest message's.
void History::drop_expired(Millis now, std::vector<MessageRef>& dropped) {
    first_ttl_ = 0;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < size_; ++i) {
        MessageRef& message = ring_[slot(i)];
        if (message->is_expired(now)) {
            bytes_ -= message->bytes();
            dropped.push_back(std::move(message));
            continue;
        }
        if (message->expires && (first_ttl_ == 0 || message->expires < first_ttl_))
            first_ttl_ = message->expires;
        if (kept != i)
            ring_[slot(kept)] = std::move(message);
        ++kept;
    }
    size_ = kept;
    // The ring is walked at most once in this time, however many ttls end in it.
    constexpr Millis kPause = 1000;
    if (first_ttl_)
        first_ttl_ = std::max(first_ttl_, now + kPause);
    release_if_empty();
}

void History::clear(std::vector<MessageRef>& dropped) {
    while (!empty()) {
        pop_front(0, dropped); // as if by a limit, whatever its ttl
    }
}

size_t History::first_after(uint64_t seq) const {
    size_t low = 0;
    size_t high = size_;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (at(middle).position.seq > seq)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

Millis History::next_expiry(const ChannelSettings& limits) const {
    if (empty())
        return 0;
    const Millis by_age = at(0).stored_at + limits.history_ttl;
    return first_ttl_ ? std::min(by_age, first_ttl_) : by_age;
}

void History::grow() {
    const uint32_t capacity = capacity_ == 0 ? 1 : capacity_ * 2;
    auto larger = std::make_unique<MessageRef[]>(capacity);
    for (size_t i = 0; i < size_; ++i)
        larger[i] = std::move(ring_[slot(i)]);
    ring_ = std::move(larger);
    capacity_ = capacity;
    head_ = 0;
}

void History::pop_front(Millis now, std::vector<MessageRef>& dropped) {
    MessageRef& oldest = ring_[head_];
    if (!oldest->is_expired(now))
        raise_trimmed(oldest->position.seq);
    bytes_ -= oldest->bytes();
    dropped.push_back(std::move(oldest));
    head_ = (head_ + 1) & (capacity_ - 1);
    --size_;
    release_if_empty();
}

void History::release_if_empty() {
    if (size_ > 0)
        return;
    ring_ = nullptr;
    capacity_ = 0;
    head_ = 0;
    first_ttl_ = 0;
}

} // namespace fanhorn
