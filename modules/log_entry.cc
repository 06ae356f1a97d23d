// SPDX-License-Identifier: Apache-2.0
#include "modules/log_entry.h"

#include "modules/packed_fields.h"

namespace fanhorn {

namespace {

// Each is a byte of kind and its fields.
enum class Kind : uint8_t { Message = 1, Removal, Marker, Channel, Watermark, Key, Loss };
enum Flag : uint8_t {
    kStored = 1,
    kRetained = 2,
    kBinary = 4,
    kPast = 8,
    kExclude = 16,
    kKeyed = 32
};
constexpr uint8_t kFlags = 63;

using Parser = PackedReader;

PackedWriter begin(std::string& out, Kind kind) {
    PackedWriter to(out);
    to.byte(static_cast<uint8_t>(kind));
    return to;
}

bool read_message(Parser& from, LogReader& reader) {
    LoggedMessage message;
    const uint8_t flags = from.byte();
    Draft& draft = message.draft;
    draft.store = flags & kStored;
    draft.retain = flags & kRetained;
    draft.binary = flags & kBinary;
    message.is_past = flags & kPast;
    message.seq = from.number();
    message.n = from.number();
    message.stored_at = static_cast<Millis>(from.number());
    draft.ttl = static_cast<Millis>(from.number());
    draft.channel = from.text();
    draft.content_type = from.text();
    draft.event = from.text();
    draft.tags = from.text();
    draft.payload = from.text();
    if (flags & kExclude)
        from.bytes(draft.exclude);
    if (flags & kKeyed) {
        draft.idempotency_key = from.text();
        from.bytes(message.content.emplace());
    }
    return from.is_whole() && flags <= kFlags && draft.ttl >= 0 && message.stored_at >= 0 &&
           reader.on_message(std::move(message));
}

bool read_key(Parser& from, LogReader& reader) {
    LoggedKey key;
    key.channel = from.text();
    key.key = from.text();
    from.bytes(key.entry.content);
    key.entry.position.seq = from.number();
    key.entry.n = from.number();
    key.used_at = static_cast<Millis>(from.number());
    return from.is_whole() && key.used_at >= 0 && reader.on_key(std::move(key));
}

bool read_entry(Parser& from, LogReader& reader) {
    const auto kind = static_cast<Kind>(from.byte());
    if (kind == Kind::Message)
        return read_message(from, reader);
    if (kind == Kind::Key)
        return read_key(from, reader);
    if (kind == Kind::Watermark || kind == Kind::Loss) {
        const uint64_t first = from.number(), second = from.number();
        return from.is_whole() && (kind == Kind::Loss ? reader.on_loss({first, second})
                                                      : reader.on_watermark(first, second));
    }
    const std::string name = from.text();
    if (kind == Kind::Removal) {
        const uint64_t seq = from.number();
        return from.is_whole() && reader.on_removal(name, seq);
    }
    if (kind == Kind::Marker) {
        const std::string channel = from.text();
        const uint64_t seq = from.number();
        return from.is_whole() && reader.on_marker(name, channel, seq);
    }
    if (kind != Kind::Channel)
        return false;
    const uint64_t n = from.number(), trimmed = from.number();
    return from.is_whole() && reader.on_channel(name, n, trimmed);
}

} // namespace

void log_message(std::string& out, const Message& message, Millis stored_at, bool is_past,
                 std::string_view idempotency_key, const Digest* content) {
    const bool has_exclude = message.exclude != kNoConnection;
    const int flags = (message.stored ? kStored : 0) | (message.retained ? kRetained : 0) |
                      (message.binary ? kBinary : 0) | (is_past ? kPast : 0) |
                      (has_exclude ? kExclude : 0) | (content ? kKeyed : 0);
    const Millis ttl = message.expires ? message.expires - message.stored_at : 0;
    PackedWriter to = begin(out, Kind::Message);
    to.byte(static_cast<uint8_t>(flags)).number(message.position.seq).number(message.n);
    to.number(static_cast<uint64_t>(stored_at)).number(static_cast<uint64_t>(ttl));
    to.text(message.channel).text(message.content_type).text(message.event).text(message.tags);
    to.text(message.payload);
    if (has_exclude)
        to.bytes(message.exclude.data(), message.exclude.size());
    if (content)
        to.text(idempotency_key).bytes(content->data(), content->size());
}

void log_removal(std::string& out, std::string_view channel, uint64_t seq) {
    begin(out, Kind::Removal).text(channel).number(seq);
}

void log_marker(std::string& out, std::string_view user, std::string_view channel, uint64_t seq) {
    begin(out, Kind::Marker).text(user).text(channel).number(seq);
}

void log_channel(std::string& out, std::string_view channel, uint64_t n, uint64_t trimmed) {
    begin(out, Kind::Channel).text(channel).number(n).number(trimmed);
}

void log_watermark(std::string& out, size_t index, uint64_t seq) {
    begin(out, Kind::Watermark).number(index).number(seq);
}

void log_key(std::string& out, const LoggedKey& key) {
    PackedWriter to = begin(out, Kind::Key);
    to.text(key.channel).text(key.key).bytes(key.entry.content.data(), key.entry.content.size());
    to.number(key.entry.position.seq).number(key.entry.n);
    to.number(static_cast<uint64_t>(key.used_at));
}

void log_loss(std::string& out, const LostStretch& lost) {
    begin(out, Kind::Loss).number(lost.after).number(lost.upto);
}

bool read_entries(std::string_view bytes, LogReader& reader) {
    Parser parser(bytes);
    while (!parser.is_end())
        if (!read_entry(parser, reader))
            return false;
    return true;
}

} // namespace fanhorn
