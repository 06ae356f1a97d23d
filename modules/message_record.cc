// SPDX-License-Identifier: Apache-2.0
#include "modules/message_record.h"

#include "base/text.h"

#include <algorithm>

namespace fanhorn {

namespace {

// The first byte of a record; another layout is another number.
constexpr char kVersion = 1;
// Times and their sums are below the year 37,000.
constexpr Millis kLatest = Millis{1} << 50;

enum Flag : uint8_t { kStored = 1, kRetained = 2, kBinary = 4, kExcludes = 8 };

template <typename Number> void append_number(std::string& out, Number number) {
    for (size_t i = 0; i < sizeof number; ++i)
        out += static_cast<char>(static_cast<uint64_t>(number) >> (8 * i));
}

void append_text(std::string& out, std::string_view text) {
    append_number(out, static_cast<uint16_t>(text.size()));
    out += text;
}

// Takes from the front; what is missing is noted and reads as nothing.
class Cursor {
  public:
    explicit Cursor(std::string_view bytes) : bytes_(bytes) {}

    std::string_view take(size_t size) {
        if (bytes_.size() < size) {
            is_short_ = true;
            bytes_ = {};
            return {};
        }
        const std::string_view taken = bytes_.substr(0, size);
        bytes_.remove_prefix(size);
        return taken;
    }
    template <typename Number> Number number() {
        uint64_t value = 0;
        const std::string_view taken = take(sizeof(Number));
        for (size_t i = 0; i < taken.size(); ++i)
            value |= static_cast<uint64_t>(static_cast<uint8_t>(taken[i])) << (8 * i);
        return static_cast<Number>(value);
    }
    std::string_view text() { return take(number<uint16_t>()); }
    std::string_view rest() const { return bytes_; }
    bool is_short() const { return is_short_; }

  private:
    std::string_view bytes_;
    bool is_short_ = false;
};

bool is_line(std::string_view text) {
    return std::none_of(text.begin(), text.end(), [](char c) {
        return (static_cast<uint8_t>(c) < 0x20 && c != '\t') || c == 0x7f;
    });
}

} // namespace

std::string encode_record(const Draft& draft, Millis now) {
    std::string out;
    out.reserve(64 + draft.content_type.size() + draft.event.size() + draft.tags.size() +
                draft.payload.size());
    const bool excludes = draft.exclude != kNoConnection;
    out += kVersion;
    out += static_cast<char>(draft.kind);
    out += static_cast<char>((draft.store ? kStored : 0) | (draft.retain ? kRetained : 0) |
                             (draft.binary ? kBinary : 0) | (excludes ? kExcludes : 0));
    append_number(out, now);
    append_number(out, draft.ttl);
    if (excludes)
        out.append(reinterpret_cast<const char*>(draft.exclude.data()), draft.exclude.size());
    append_text(out, draft.content_type);
    append_text(out, draft.event);
    append_text(out, draft.tags);
    out += draft.payload;
    return out;
}

MessageRef decode_record(std::string_view record, std::string_view channel, Position position,
                         uint64_t n, Millis behind) {
    Cursor cursor(record);
    if (cursor.number<char>() != kVersion)
        return nullptr;
    const auto kind = cursor.number<uint8_t>();
    const auto flags = cursor.number<uint8_t>();
    const auto stored_at = cursor.number<Millis>();
    Draft draft;
    draft.ttl = cursor.number<Millis>();
    if (flags & kExcludes) {
        const std::string_view id = cursor.take(draft.exclude.size());
        std::copy(id.begin(), id.end(), draft.exclude.begin()); // fewer where it is short
    }
    draft.content_type = cursor.text();
    draft.event = cursor.text();
    draft.tags = cursor.text();
    const bool is_time =
        stored_at >= 0 && stored_at < kLatest && draft.ttl >= 0 && draft.ttl < kLatest;
    if (cursor.is_short() || kind > static_cast<uint8_t>(MessageKind::Leave) || !is_time ||
        !is_line(draft.content_type) || !is_line(draft.event) || !is_line(draft.tags))
        return nullptr;
    draft.channel = channel;
    draft.payload = cursor.rest();
    draft.kind = static_cast<MessageKind>(kind);
    draft.store = flags & kStored;
    draft.retain = flags & kRetained;
    draft.binary = flags & kBinary;
    return MessageRef(new Message(std::move(draft), position, n, stored_at - behind));
}

} // namespace fanhorn
