// SPDX-License-Identifier: Apache-2.0
// What a publisher hands in (Draft) and what the broker made of it (Message).
#pragma once

#include "base/clock.h"
#include "base/ref.h"
#include "relay/position.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace fanhorn {

// 128 random bits that name one connection, told to its client as 32 hex digits.
using ConnectionId = std::array<uint8_t, 16>;
inline constexpr ConnectionId kNoConnection{};

// What a message tells: what was published, or that a user came to the channel or went. The payload
// of those two is the JSON object that tells who; they are not stored.
enum class MessageKind : uint8_t { Data, Join, Leave };

// A publish as asked for; every field is already checked (see publish_api).
struct Draft {
    std::string channel;
    std::string payload;
    std::string content_type; // "" where the publisher named none
    std::string event;
    std::string tags;            // k=v,k=v as sent, checked
    std::string idempotency_key; // "" for none
    ConnectionId exclude = kNoConnection;
    Millis ttl = 0; // 0: as the channel's history
    bool store = true;
    bool retain = false;
    bool binary = false; // came as a binary WebSocket frame
    MessageKind kind = MessageKind::Data;
};

// Immutable once the broker has made it; any thread may hold a Ref and read.
class Message final : public AtomicCount {
  public:
    Message(Draft&& draft, Position at, uint64_t count, Millis now)
        : channel(std::move(draft.channel)), payload(std::move(draft.payload)),
          content_type(std::move(draft.content_type)), event(std::move(draft.event)),
          tags(std::move(draft.tags)), position(at), n(count),
          expires(draft.ttl ? now + draft.ttl : 0), stored_at(now), exclude(draft.exclude),
          stored(draft.store), retained(draft.retain), binary(draft.binary), tells(draft.kind) {}

    const std::string channel;
    const std::string payload;
    const std::string content_type;
    const std::string event;
    const std::string tags;
    const Position position;
    const uint64_t n;       // its count in its channel; 0 when unstored
    const Millis expires;   // by the publisher's own ttl; 0: never
    const Millis stored_at; // when the broker took it
    const ConnectionId exclude;
    const bool stored;
    const bool retained;
    const bool binary;
    const MessageKind tells;

    // What a message is charged for in every limit on bytes.
    size_t bytes() const {
        return sizeof(Message) + channel.size() + payload.size() + content_type.size() +
               event.size() + tags.size();
    }
    // Whether what a patch leads from and to is this message: it is in the log and carries data.
    bool is_state() const { return stored && tells == MessageKind::Data; }
    bool is_expired(Millis now) const { return expires && expires <= now; }
    bool is_excluded(const ConnectionId& id) const {
        return exclude != kNoConnection && exclude == id;
    }

    // A property of the payload that is dear to find and asked for once per encoding: computed by
    // the first who needs it, on any thread; all find the same.
    template <typename Find> uint8_t kind(Find find) const {
        uint8_t known = kind_.load(std::memory_order_relaxed);
        if (known == 0) {
            known = find(*this);
            kind_.store(known, std::memory_order_relaxed);
        }
        return known;
    }

  private:
    mutable std::atomic<uint8_t> kind_{0};
};

using MessageRef = Ref<const Message>;

// A stretch that a reader will not get, told before what comes behind it.
struct Gap {
    enum class Why : uint8_t { Trimmed, Epoch, Ahead, Overflow, Broker };
    std::string channel;
    Position after;
    Position next; // epoch 0: nothing is kept
    Why why = Why::Trimmed;
};
inline constexpr size_t kGapReasons = 5;
std::string_view gap_reason(Gap::Why why);

} // namespace fanhorn
