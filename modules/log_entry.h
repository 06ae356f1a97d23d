// SPDX-License-Identifier: Apache-2.0
// What a durable broker writes into its log: bytes of entries and back.
#pragma once

#include "modules/idempotency.h"
#include "relay/message.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fanhorn {

// Times are wall_millis().
struct LoggedMessage {
    Draft draft;
    uint64_t seq = 0, n = 0;
    Millis stored_at = 0;
    bool is_past = false;          // stored, and no longer in the history: a retained value
    std::optional<Digest> content; // of an idempotency key
};

struct LoggedKey {
    std::string channel, key;
    IdempotencyKeys::Entry entry;
    Millis used_at = 0;
};

// A stretch of seqs whose messages are gone without trace: above `after`, up to `upto`.
struct LostStretch {
    uint64_t after = 0, upto = 0;
    bool operator==(const LostStretch&) const = default;
};

void log_message(std::string& out, const Message& message, Millis stored_at, bool is_past,
                 std::string_view idempotency_key = {}, const Digest* content = nullptr);
void log_removal(std::string& out, std::string_view channel, uint64_t seq);
void log_marker(std::string& out, std::string_view user, std::string_view channel, uint64_t seq);
// A channel as it is from here on: what came of it before is void.
void log_channel(std::string& out, std::string_view channel, uint64_t n, uint64_t trimmed);
// Of freed channels, by a hash of their names.
void log_watermark(std::string& out, size_t index, uint64_t seq);
void log_key(std::string& out, const LoggedKey& key);
void log_loss(std::string& out, const LostStretch& lost);

// Takes entries in their order. False: that cannot be, the log is damaged.
class LogReader {
  public:
    virtual ~LogReader() = default;
    virtual bool on_message(LoggedMessage&& message) = 0;
    virtual bool on_removal(const std::string& channel, uint64_t seq) = 0;
    virtual bool on_marker(const std::string& user, const std::string& channel, uint64_t seq) = 0;
    virtual bool on_channel(const std::string& channel, uint64_t n, uint64_t trimmed) = 0;
    virtual bool on_watermark(size_t index, uint64_t seq) = 0;
    virtual bool on_key(LoggedKey&& key) = 0;
    virtual bool on_loss(const LostStretch& lost) = 0;
};

// False where the bytes are not whole entries, or the reader does not take one.
bool read_entries(std::string_view bytes, LogReader& reader);

} // namespace fanhorn
