// SPDX-License-Identifier: Apache-2.0
#include "relay/position.h"

#include "base/random.h"
#include "base/text.h"

#include <charconv>

namespace fanhorn {

namespace {

constexpr size_t kMaxEpochDigits = 12; // 36^12 < 2^63
constexpr size_t kMaxSeqDigits = 20;

// The value of base-36 digits, or nothing.
std::optional<uint64_t> parse_epoch(std::string_view text) {
    if (text.empty() || text.size() > kMaxEpochDigits)
        return std::nullopt;
    uint64_t value = 0;
    for (const char c : text) {
        if (c >= '0' && c <= '9')
            value = value * 36 + static_cast<uint64_t>(c - '0');
        else if (c >= 'a' && c <= 'z')
            value = value * 36 + static_cast<uint64_t>(c - 'a' + 10);
        else
            return std::nullopt;
    }
    return value;
}

std::optional<uint64_t> parse_seq(std::string_view text) {
    if (text.empty() || text.size() > kMaxSeqDigits)
        return std::nullopt;
    if (text.find_first_not_of("0123456789") != text.npos)
        return std::nullopt;
    return parse_u64(text).value_or(UINT64_MAX);
}

} // namespace

void append_position(std::string& out, Position position) {
    char text[kPositionTextSize];
    char* end = std::to_chars(text, text + kMaxEpochDigits, position.epoch, 36).ptr;
    *end++ = '.';
    end = std::to_chars(end, text + sizeof text, position.seq).ptr;
    out.append(text, end);
}

std::string position_text(Position position) {
    std::string text;
    append_position(text, position);
    return text;
}

void append_position_or_null(std::string& out, Position position) {
    if (position.epoch == 0) {
        out += "null";
        return;
    }
    out += '"';
    append_position(out, position);
    out += '"';
}

std::optional<Position> parse_position(std::string_view text) {
    const size_t dot = text.find('.');
    if (dot == text.npos)
        return std::nullopt;
    const auto epoch = parse_epoch(text.substr(0, dot));
    const auto seq = parse_seq(text.substr(dot + 1));
    if (!epoch || !seq)
        return std::nullopt;
    return Position{*epoch, *seq};
}

uint64_t random_epoch() {
    constexpr uint64_t kSmallest = 78'364'164'096;             // 36^7
    constexpr uint64_t kRange = 2'821'109'907'456 - kSmallest; // up to 36^8
    return kSmallest + random_u64() % kRange;
}

std::optional<Since> parse_since(std::string_view text) {
    if (text == "latest")
        return Since{};
    if (text == "earliest" || text == "0")
        return Since{.kind = Since::Kind::Earliest, .count = 0, .position = {}};
    if (text.starts_with('-')) {
        const auto count = parse_u64(text.substr(1));
        if (!count)
            return std::nullopt;
        return Since{.kind = Since::Kind::Newest, .count = *count, .position = {}};
    }
    const auto position = parse_position(text);
    if (!position)
        return std::nullopt;
    return Since{.kind = Since::Kind::After, .count = 0, .position = *position};
}

} // namespace fanhorn
