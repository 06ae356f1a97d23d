// SPDX-License-Identifier: Apache-2.0
#include "modules/nats_entry.h"

#include "modules/packed_fields.h"

namespace fanhorn {

namespace {
// The first byte; another layout is another number.
constexpr uint8_t kVersion = 1;
} // namespace

std::string encode_entry(const NatsEntry& entry) {
    std::string out;
    out.reserve(80 + entry.channel.size() + entry.text.size());
    PackedWriter to(out);
    to.byte(kVersion).byte(static_cast<uint8_t>(entry.kind)).text(entry.node);
    to.number(entry.request).number(static_cast<uint64_t>(entry.at));
    to.text(entry.channel).text(entry.user).text(entry.of).text(entry.other).text(entry.key);
    to.number(entry.a).number(entry.b).number(entry.c).byte(entry.content ? 1 : 0);
    if (entry.content)
        to.bytes(entry.content->data(), entry.content->size());
    to.text(entry.text);
    return out;
}

std::optional<NatsEntry> decode_entry(std::string_view bytes) {
    constexpr Millis kLatest = Millis{1} << 50; // below the year 37,000
    PackedReader from(bytes);
    if (from.byte() != kVersion)
        return std::nullopt;
    NatsEntry entry;
    const uint8_t kind = from.byte();
    entry.kind = static_cast<NatsEntry::Kind>(kind);
    entry.node = from.text();
    entry.request = from.number();
    entry.at = static_cast<Millis>(from.number());
    for (std::string* field : {&entry.channel, &entry.user, &entry.of, &entry.other, &entry.key})
        *field = from.text();
    for (uint64_t* field : {&entry.a, &entry.b, &entry.c})
        *field = from.number();
    if (const uint8_t has_content = from.byte(); has_content == 1)
        from.bytes(entry.content.emplace());
    entry.text = from.text();
    if (!from.is_whole() || !from.is_end() || kind == 0 || kind > NatsEntry::kKinds ||
        entry.at < 0 || entry.at >= kLatest)
        return std::nullopt;
    return entry;
}

} // namespace fanhorn
