// SPDX-License-Identifier: Apache-2.0
#include "relay/history.h"

#include <algorithm>

namespace fanhorn {

void History::append(MessageRef message, const ChannelSettings& limits, Millis now,
                     std::vector<MessageRef>& dropped) {
    CHECK(message->stored);
    CHECK(empty() || at(size_ - 1).position.seq < message->position.seq);
    if (size_ == ring_.size())
        grow();
    bytes_ += message->bytes();
    ring_[slot(size_++)] = std::move(message);
    trim(limits, now, dropped);
}

void History::trim(const ChannelSettings& limits, Millis now, std::vector<MessageRef>& dropped) {
    const auto is_old = [&](const Message& message) {
        return message.is_expired(now) || message.stored_at + limits.history_ttl <= now;
    };
    while (!empty() && (size_ > limits.history || bytes_ > limits.history_bytes || is_old(at(0))))
        pop_front(now, dropped);
}

void History::clear(std::vector<MessageRef>& dropped) {
    while (!empty()) {
        raise_trimmed(at(0).position.seq);
        pop_front(0, dropped);
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
    return at(0).expires ? std::min(by_age, at(0).expires) : by_age;
}

void History::grow() {
    std::vector<MessageRef> larger(ring_.empty() ? 1 : ring_.size() * 2);
    for (size_t i = 0; i < size_; ++i)
        larger[i] = std::move(ring_[slot(i)]);
    ring_ = std::move(larger);
    head_ = 0;
}

void History::pop_front(Millis now, std::vector<MessageRef>& dropped) {
    MessageRef& oldest = ring_[head_];
    if (!oldest->is_expired(now))
        raise_trimmed(oldest->position.seq);
    bytes_ -= oldest->bytes();
    dropped.push_back(std::move(oldest));
    head_ = (head_ + 1) & static_cast<uint32_t>(ring_.size() - 1);
    if (--size_ == 0)
        ring_ = {};
    if (ring_.empty())
        head_ = 0;
}

} // namespace fanhorn
