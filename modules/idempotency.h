// SPDX-License-Identifier: Apache-2.0
// Publishes that may come twice: what was answered to which key, for five minutes.
#pragma once

#include "base/clock.h"
#include "base/hash.h"
#include "relay/message.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>

namespace fanhorn {

using Digest = std::array<uint8_t, 32>;

// Covers payload, type and options: the same key with another digest is a mismatch.
Digest content_digest(const Draft& draft);

// Bounded in age and number: beyond the number the oldest key is forgotten. Not thread-safe.
class IdempotencyKeys {
  public:
    static constexpr Millis kLifetime = 300'000;
    static constexpr size_t kMaxKeys = 200'000;

    struct Entry {
        Digest content;
        Position position;
        uint64_t n;
    };
    // What that key was used for on that channel, or null.
    const Entry* find(const std::string& channel, const std::string& key, Millis now);
    // Returns whether an older key had to be forgotten before its time.
    bool insert(const std::string& channel, const std::string& key, const Entry& entry, Millis now);
    // The one that was inserted last, and was in vain.
    void take_back(const std::string& channel, const std::string& key);

    // For who writes them down, some at a time: calls see(channel, key, entry, used_at) for at most
    // `count` of them, from number `next` on, and returns the number behind. A key keeps its
    // number; they begin at 0.
    template <typename See> uint64_t each(uint64_t next, size_t count, See see) const {
        next = std::max(next, gone_);
        for (; count > 0 && next - gone_ < expiry_.size(); --count, ++next) {
            const auto& [until, name] = expiry_[next - gone_];
            const size_t comma = name.find(',');
            see(name.substr(0, comma), name.substr(comma + 1), entries_.find(name)->second,
                until - kLifetime);
        }
        return next;
    }
    bool is_behind(uint64_t next) const { return next >= gone_ + expiry_.size(); }

  private:
    static std::string joined(const std::string& channel, const std::string& key);
    void pop();

    std::unordered_map<std::string, Entry, KeyedHash, std::equal_to<>> entries_;
    std::deque<std::pair<Millis, std::string>> expiry_;
    uint64_t gone_ = 0; // from its front
};

} // namespace fanhorn
