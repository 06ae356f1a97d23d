// SPDX-License-Identifier: Apache-2.0
// The kept messages of one channel, oldest first, within limits on count, bytes and age.
#pragma once

#include "relay/message.h"
#include "relay/settings.h"

#include <memory>
#include <vector>

namespace fanhorn {

// A ring in the order of positions. Not thread-safe; belongs to its broker.
class History {
  public:
    // Takes a stored message whose seq is above all before it, then applies the limits. What is
    // dropped goes to `dropped`, so that it can be freed outside a lock.
    void append(MessageRef message, const ChannelSettings& limits, Millis now,
                std::vector<MessageRef>& dropped);
    // Applies the limits. What ended by its own ttl goes within a second of that; who reads looks
    // at Message::is_expired.
    void trim(const ChannelSettings& limits, Millis now, std::vector<MessageRef>& dropped);
    // Drops everything, as if by a limit.
    void clear(std::vector<MessageRef>& dropped);

    size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    size_t bytes() const { return bytes_; }
    const Message& at(size_t index) const { return *ring_[slot(index)]; }
    const MessageRef& ref(size_t index) const { return ring_[slot(index)]; }
    // The index of the first message with a seq above `seq`; size() when there is none.
    size_t first_after(uint64_t seq) const;

    // The highest seq that the limits dropped: a reader below it has a gap. Expiry by the
    // publisher's own ttl does not raise it.
    uint64_t trimmed() const { return trimmed_; }
    void raise_trimmed(uint64_t seq) { trimmed_ = trimmed_ < seq ? seq : trimmed_; }
    // When the next message goes by age or ttl; 0 when empty.
    Millis next_expiry(const ChannelSettings& limits) const;

  private:
    size_t slot(size_t index) const { return (head_ + index) & (capacity_ - 1); }
    void grow();
    void pop_front(Millis now, std::vector<MessageRef>& dropped);
    void drop_expired(Millis now, std::vector<MessageRef>& dropped);
    void release_if_empty();

    std::unique_ptr<MessageRef[]> ring_;
    uint32_t capacity_ = 0; // a power of two, or 0
    uint32_t head_ = 0;
    uint32_t size_ = 0;
    size_t bytes_ = 0;
    uint64_t trimmed_ = 0;
    Millis first_ttl_ = 0; // when the first of those with a ttl goes; 0: none has one
};

} // namespace fanhorn
