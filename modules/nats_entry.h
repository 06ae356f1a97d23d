// SPDX-License-Identifier: Apache-2.0
// What nodes write into the stream that they share (modules/broker_nats.h): bytes and back.
#pragma once

#include "base/clock.h"
#include "modules/idempotency.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fanhorn {

// One operation. Which of the fields count, the kind says; the others are empty and cost a byte.
struct NatsEntry {
    enum class Kind : uint8_t {
        Epoch = 1, // one begins with this entry, whose seq is `a`: `b`; `text` hashes names, on the
                   // server `other` ("": on several)
        Message,   // `channel`, `text` its record, `key` and `content` where it may come twice
        Removal,   // of `channel`
        Mark,      // of `user` in `channel` to epoch `a`, seq `b`; told on `other` by record `text`
        Seat,    // node `of`: `user` has `a` connections on `channel`, `text` about him; `b` users
                 // may be there, `key` is the connection that is not told
        Renewal, // of the lease of node `of`
        Burial,  // of node `of`, whose lease was last renewed at seq `a`; by itself: `b` is 1
        Away,    // `user` is sent away
        Begin,   // of a snapshot
        Part,    // of the one that `a` began: what was so at seq `b`, entries of log_entry.h in
                 // `text`, or seats
        End,     // of the one that `a` began: `b` parts; `c` is its epoch, `text` hashes names,
                 // `other` the server, `key` where epochs began
    };
    static constexpr uint8_t kKinds = static_cast<uint8_t>(Kind::End);

    Kind kind = Kind::Renewal;
    std::string node;     // who wrote it
    uint64_t request = 0; // which of its own
    Millis at = 0;        // when, by the clock that all nodes share
    std::string channel, user, of, other, key, text;
    uint64_t a = 0, b = 0, c = 0;
    std::optional<Digest> content;
};

std::string encode_entry(const NatsEntry& entry);
// Nothing where the bytes are none: they come from outside and may be anything.
std::optional<NatsEntry> decode_entry(std::string_view bytes);

} // namespace fanhorn
