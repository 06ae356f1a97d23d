// SPDX-License-Identifier: Apache-2.0
// Bytes of text: ASCII rules only, no locale, nothing here throws or keeps its arguments.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

// ASCII letters only; other bytes stay.
constexpr char lower(char byte) {
    return byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte | 0x20) : byte;
}
constexpr bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}
// The value of a hexadecimal digit in either case, or -1.
constexpr int hex_value(char byte) {
    if (is_digit(byte))
        return byte - '0';
    const char small = lower(byte);
    return small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
}

bool equal_ignoring_case(std::string_view left, std::string_view right);

// Without surrounding SP and HTAB (OWS of RFC 9110 section 5.6.3).
std::string_view trim_blanks(std::string_view text);

// Takes what stands before the next `separator` (or all there is) off the front of `rest`, and the
// separator with it.
std::string_view take_until(std::string_view& rest, char separator);
// All pieces, empty ones too: "" gives one empty piece.
std::vector<std::string_view> split(std::string_view text, char separator);

void append_number(std::string& out, uint64_t number);

// Decimal digits only: no sign, no blank, at least one digit; a number over 2^64-1 is refused.
std::optional<uint64_t> parse_u64(std::string_view text);

// RFC 4648 section 4, padded.
std::string base64_encode(std::string_view bytes);
// Strict: padding and canonical last bits required, nothing outside the alphabet.
std::optional<std::string> base64_decode(std::string_view text);
// RFC 4648 section 5, without padding (RFC 7515 section 2), and as strict.
std::optional<std::string> base64url_decode(std::string_view text);

// Lower-case digits.
void append_hex(std::string& out, std::span<const uint8_t> bytes);
std::string hex_encode(std::span<const uint8_t> bytes);
std::string hex_encode(std::string_view bytes);

// Strict: '%' must be followed by two hexadecimal digits. '+' stays '+'.
std::optional<std::string> percent_decode(std::string_view text);

// Appends `utf8` as a JSON string with its quotes (RFC 8259 section 7). The caller has validated
// it.
void append_json_string(std::string& out, std::string_view utf8);

// Printable ASCII as it is, `"` and `\` behind a backslash, every other byte as \xHH: one line of
// harmless text whatever a stranger sent.
std::string escape_for_log(std::string_view bytes);

// Insertions, deletions, replacements and swaps of neighbours between two short words (optimal
// string alignment), for did-you-mean.
size_t edit_distance(std::string_view left, std::string_view right);

} // namespace fanhorn
