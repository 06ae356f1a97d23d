// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace fanhorn {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kBase64Digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr auto kBase64Values = []() {
    std::array<int8_t, 256> values{};
    values.fill(-1);
    for (size_t i = 0; i < kBase64Digits.size(); ++i)
        values[static_cast<uint8_t>(kBase64Digits[i])] = static_cast<int8_t>(i);
    return values;
}();

bool is_blank(char byte) {
    return byte == ' ' || byte == '\t';
}

void append_hex(std::string& out, uint8_t byte) {
    out += kHexDigits[byte >> 4];
    out += kHexDigits[byte & 15];
}

// The bytes of one group of four digits, of which the last `padding` are '='.
bool append_base64_group(std::string& out, std::string_view digits, size_t padding) {
    uint32_t bits = 0;
    for (size_t i = 0; i < 4; ++i) {
        const int value = i < 4 - padding ? kBase64Values[static_cast<uint8_t>(digits[i])] : 0;
        if (value < 0)
            return false;
        bits = bits << 6 | static_cast<uint32_t>(value);
    }
    // RFC 4648 section 3.5: bits that encode nothing are zero, so that each text has one form.
    if (bits & ((1u << (8 * padding)) - 1))
        return false;
    for (size_t i = 0; i < 3 - padding; ++i)
        out += static_cast<char>(bits >> (16 - 8 * i) & 0xff);
    return true;
}

// The letter behind the backslash of a short JSON escape, or 0.
char json_short_escape(char byte) {
    switch (byte) {
    case '"':
    case '\\':
        return byte;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

bool needs_json_escape(char byte) {
    return static_cast<uint8_t>(byte) < 0x20 || byte == '"' || byte == '\\';
}

} // namespace

bool equal_ignoring_case(std::string_view left, std::string_view right) {
    return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                      [](char a, char b) { return lower(a) == lower(b); });
}

std::string_view trim_blanks(std::string_view text) {
    while (!text.empty() && is_blank(text.front()))
        text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back()))
        text.remove_suffix(1);
    return text;
}

std::string_view take_until(std::string_view& rest, char separator) {
    const size_t end = rest.find(separator);
    const std::string_view piece = rest.substr(0, end);
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    return piece;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> pieces;
    size_t start = 0;
    for (size_t end; (end = text.find(separator, start)) != text.npos; start = end + 1)
        pieces.push_back(text.substr(start, end - start));
    pieces.push_back(text.substr(start));
    return pieces;
}

void append_number(std::string& out, uint64_t number) {
    char digits[20];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    out.append(digits, end);
}

std::optional<uint64_t> parse_u64(std::string_view text) {
    uint64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, number);
    if (parsed.ec != std::errc() || parsed.ptr != end)
        return {};
    return number;
}

std::string base64_encode(std::string_view bytes) {
    std::string out;
    out.reserve((bytes.size() + 2) / 3 * 4);
    for (; !bytes.empty(); bytes.remove_prefix(std::min<size_t>(3, bytes.size()))) {
        const size_t count = std::min<size_t>(3, bytes.size());
        uint32_t bits = 0;
        for (size_t i = 0; i < 3; ++i)
            bits = bits << 8 | (i < count ? static_cast<uint8_t>(bytes[i]) : 0u);
        for (size_t i = 0; i < 4; ++i)
            out += i <= count ? kBase64Digits[bits >> (18 - 6 * i) & 63] : '=';
    }
    return out;
}

std::optional<std::string> base64_decode(std::string_view text) {
    if (text.size() % 4 != 0)
        return {};
    std::string out;
    out.reserve(text.size() / 4 * 3);
    for (; !text.empty(); text.remove_prefix(4)) {
        const bool last = text.size() == 4;
        const size_t padding = !last || text[3] != '=' ? 0 : text[2] == '=' ? 2 : 1;
        if (!append_base64_group(out, text, padding))
            return {};
    }
    return out;
}

std::optional<std::string> base64url_decode(std::string_view text) {
    if (text.find_first_of("+/=") != text.npos || text.size() % 4 == 1)
        return {};
    std::string usual(text);
    std::replace(usual.begin(), usual.end(), '-', '+');
    std::replace(usual.begin(), usual.end(), '_', '/');
    usual.append((4 - usual.size() % 4) % 4, '=');
    return base64_decode(usual);
}

void append_hex(std::string& out, std::span<const uint8_t> bytes) {
    out.resize(out.size() + 2 * bytes.size());
    char* to = out.data() + out.size() - 2 * bytes.size();
    for (const uint8_t byte : bytes) {
        *to++ = kHexDigits[byte >> 4];
        *to++ = kHexDigits[byte & 15];
    }
}

std::string hex_encode(std::span<const uint8_t> bytes) {
    std::string out;
    append_hex(out, bytes);
    return out;
}

std::string hex_encode(std::string_view bytes) {
    return hex_encode({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

std::optional<std::string> percent_decode(std::string_view text) {
    const size_t plain = std::min(text.find('%'), text.size());
    std::string out;
    out.reserve(text.size());
    out.append(text.substr(0, plain));
    for (size_t i = plain; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        if (text.size() - i < 3)
            return {};
        const int high = hex_value(text[i + 1]), low = hex_value(text[i + 2]);
        if (high < 0 || low < 0)
            return {};
        out += static_cast<char>(high << 4 | low);
        i += 2;
    }
    return out;
}

void append_json_string(std::string& out, std::string_view utf8) {
    out += '"';
    while (!utf8.empty()) {
        const auto plain = static_cast<size_t>(
            std::find_if(utf8.begin(), utf8.end(), needs_json_escape) - utf8.begin());
        out.append(utf8.substr(0, plain));
        if (plain == utf8.size())
            break;
        const char byte = utf8[plain];
        if (const char escape = json_short_escape(byte)) {
            out += '\\';
            out += escape;
        } else {
            out += "\\u00";
            append_hex(out, static_cast<uint8_t>(byte));
        }
        utf8.remove_prefix(plain + 1);
    }
    out += '"';
}

std::string escape_for_log(std::string_view bytes) {
    std::string out;
    out.reserve(bytes.size());
    for (const char byte : bytes) {
        if (byte < ' ' || byte > '~') {
            out += "\\x";
            append_hex(out, static_cast<uint8_t>(byte));
            continue;
        }
        if (byte == '"' || byte == '\\')
            out += '\\';
        out += byte;
    }
    return out;
}

size_t edit_distance(std::string_view left, std::string_view right) {
    // Three rows of the usual table: two back (for swaps), one back, this one.
    std::vector<size_t> before(right.size() + 1), above(right.size() + 1), row(right.size() + 1);
    for (size_t j = 0; j <= right.size(); ++j)
        row[j] = j;
    for (size_t i = 1; i <= left.size(); ++i) {
        before.swap(above);
        above.swap(row);
        row[0] = i;
        for (size_t j = 1; j <= right.size(); ++j) {
            const size_t replaced = above[j - 1] + (left[i - 1] != right[j - 1]);
            row[j] = std::min({above[j] + 1, row[j - 1] + 1, replaced});
            if (i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1])
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
    }
    return row[right.size()];
}

} // namespace fanhorn
