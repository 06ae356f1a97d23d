// SPDX-License-Identifier: Apache-2.0
#include "http/grammar.h"

#include "base/text.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cstdint>
#include <string>

namespace fanhorn::http {
namespace {

enum Class : uint8_t { kToken = 1, kField = 2, kRegName = 4 };

constexpr auto kClasses = [] {
    std::array<uint8_t, 256> classes{};
    const auto mark = [&](std::string_view bytes, uint8_t what) {
        for (const char byte : bytes)
            classes[static_cast<uint8_t>(byte)] |= what;
    };
    for (int byte = 0x20; byte < 0x100; ++byte)
        classes[byte] |= byte == 0x7f ? 0 : kField;
    mark("\t", kField);
    mark("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", kToken | kRegName);
    mark("!#$%&'*+-.^_`|~", kToken);
    mark("-._~!$&'()*+,;=", kRegName); // unreserved and sub-delims
    return classes;
}();

bool has_class(char byte, Class what) {
    return kClasses[static_cast<uint8_t>(byte)] & what;
}

bool all_have(std::string_view text, Class what) {
    return std::all_of(text.begin(), text.end(), [=](char byte) { return has_class(byte, what); });
}

bool is_port(std::string_view text) {
    // Digits only, and RFC 3986 lets them be none.
    return text.empty() || (text.size() <= 5 && parse_u64(text).value_or(65536) <= 65535);
}

bool is_reg_name(std::string_view text) {
    // Percent-escapes are checked by decoding; they may be any byte.
    const auto plain = [](char byte) { return byte == '%' || has_class(byte, kRegName); };
    return !text.empty() && std::all_of(text.begin(), text.end(), plain) &&
           (text.find('%') == text.npos || percent_decode(text));
}

bool is_ipv6(std::string_view text) {
    in6_addr address;
    return inet_pton(AF_INET6, std::string(text).c_str(), &address) == 1 &&
           text.find('\0') == text.npos;
}

} // namespace

bool is_token_char(char byte) {
    return has_class(byte, kToken);
}

bool is_token(std::string_view text) {
    return !text.empty() && all_have(text, kToken);
}

bool is_field_char(char byte) {
    return has_class(byte, kField);
}

bool is_field_value(std::string_view text) {
    return all_have(text, kField);
}

bool is_authority(std::string_view text) {
    if (text.starts_with('[')) {
        const size_t end = text.find(']');
        if (end == text.npos || !is_ipv6(text.substr(1, end - 1)))
            return false;
        text.remove_prefix(end + 1);
        return text.empty() || (text.front() == ':' && is_port(text.substr(1)));
    }
    const size_t colon = text.find(':');
    return is_reg_name(text.substr(0, colon)) &&
           (colon == text.npos || is_port(text.substr(colon + 1)));
}

} // namespace fanhorn::http
