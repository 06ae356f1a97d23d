// SPDX-License-Identifier: Apache-2.0
#include "modules/log_format.h"

#include "base/check.h"
#include "base/digest.h"
#include "modules/deflate.h"

namespace fanhorn {

namespace {

constexpr std::string_view kMagic("fanhorn log 1\n\0\0", 16);

template <typename T> void put(std::string& out, T value) {
    for (size_t i = 0; i < sizeof value; ++i)
        out += static_cast<char>(value >> (8 * i));
}

template <typename T> T take(std::string_view& bytes) {
    T value = 0;
    for (size_t i = 0; i < sizeof value; ++i)
        value |= static_cast<T>(static_cast<uint8_t>(bytes[i])) << (8 * i);
    bytes.remove_prefix(sizeof value);
    return value;
}

std::string_view take_text(std::string_view& bytes, size_t size) {
    const std::string_view text = bytes.substr(0, size);
    bytes.remove_prefix(size);
    return text;
}

} // namespace

std::string boot_digest(std::string_view boot) {
    const auto digest = sha256(boot);
    return std::string(reinterpret_cast<const char*>(digest.data()), kBootBytes);
}

std::string segment_header(const SegmentHeader& header) {
    std::string out(kMagic);
    out.append(header.salt).append(header.boot);
    for (const uint64_t value :
         {header.number, header.epoch, header.ceiling, header.previous_end, header.previous_synced,
          header.head, header.key.low, header.key.high, static_cast<uint64_t>(header.is_lazy)})
        put(out, value);
    put(out, crc32_of(out));
    CHECK(out.size() == kSegmentHeaderBytes);
    return out;
}

std::optional<SegmentHeader> read_segment_header(std::string_view bytes) {
    if (bytes.size() < kSegmentHeaderBytes || !bytes.starts_with(kMagic))
        return std::nullopt;
    const uint32_t sum = crc32_of(bytes.substr(0, kSegmentHeaderBytes - 4));
    bytes.remove_prefix(kMagic.size());
    SegmentHeader header;
    header.salt = take_text(bytes, kSaltBytes);
    header.boot = take_text(bytes, kBootBytes);
    for (uint64_t* value :
         {&header.number, &header.epoch, &header.ceiling, &header.previous_end,
          &header.previous_synced, &header.head, &header.key.low, &header.key.high})
        *value = take<uint64_t>(bytes);
    header.is_lazy = take<uint64_t>(bytes) != 0;
    if (take<uint32_t>(bytes) != sum)
        return std::nullopt;
    return header;
}

void append_group(std::string& out, std::string_view salt, const LogGroup& group) {
    const size_t begin = out.size();
    out.append(salt);
    for (const uint64_t value : {group.value, group.synced, group.ceiling})
        put(out, value);
    put(out, static_cast<uint64_t>(group.entries.size()));
    put(out, group.kind);
    put(out, crc32_of(group.entries));
    put(out, crc32_of(std::string_view(out).substr(begin)));
    out.append(group.entries);
}

std::optional<LogGroup> read_group_header(std::string_view bytes, size_t at,
                                          std::string_view salt) {
    if (at > bytes.size() || bytes.size() - at < kGroupHeaderBytes)
        return std::nullopt;
    std::string_view rest = bytes.substr(at, kGroupHeaderBytes);
    const uint32_t sum = crc32_of(rest.substr(0, kGroupHeaderBytes - 4));
    if (take_text(rest, kSaltBytes) != salt)
        return std::nullopt;
    LogGroup group;
    for (uint64_t* value : {&group.value, &group.synced, &group.ceiling})
        *value = take<uint64_t>(rest);
    const auto size = take<uint64_t>(rest);
    group.kind = take<uint32_t>(rest);
    rest.remove_prefix(4);
    constexpr uint64_t kMaxSize = 1ull << 62;
    if (take<uint32_t>(rest) != sum || size > kMaxSize)
        return std::nullopt;
    group.entries = bytes.substr(at + kGroupHeaderBytes, size);
    group.end = at + kGroupHeaderBytes + size;
    return group;
}

std::optional<LogGroup> read_group(std::string_view bytes, size_t at, std::string_view salt) {
    const auto group = read_group_header(bytes, at, salt);
    if (!group || group->end > bytes.size())
        return std::nullopt;
    std::string_view sum = bytes.substr(at + kGroupHeaderBytes - 8, 4);
    if (take<uint32_t>(sum) != crc32_of(group->entries))
        return std::nullopt;
    return group;
}

} // namespace fanhorn
