// SPDX-License-Identifier: Apache-2.0
// Publishes that may come twice: what was answered to which key, for five minutes.
#pragma once

#include "base/clock.h"
#include "base/hash.h"
#include "relay/message.h"

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

  private:
    static std::string joined(const std::string& channel, const std::string& key);
    void pop();

    std::unordered_map<std::string, Entry, KeyedHash, std::equal_to<>> entries_;
    std::deque<std::pair<Millis, std::string>> expiry_;
};

} // namespace fanhorn
