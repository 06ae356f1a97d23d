// SPDX-License-Identifier: Apache-2.0
#include "http/proxy_header.h"

#include "base/text.h"

#include <algorithm>

namespace fanhorn::http {

namespace {

using Status = ProxyHeader::Status;

constexpr std::string_view kLinePrefix = "PROXY ";
constexpr size_t kMaxLine = 107; // with CRLF: section 2.1
constexpr std::string_view kSignature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr size_t kFixedBytes = 16; // of version 2, behind which the length counts

ProxyHeader malformed(std::string_view fault) {
    return {.status = Status::Malformed, .fault = fault};
}

ProxyHeader whole(size_t size, std::optional<NetAddress> source) {
    return {.status = Status::Whole, .size = size, .source = source};
}

// ---- version 1, a line

// Section 2.1: no leading zeros.
std::optional<uint16_t> parse_port(std::string_view text) {
    const auto port = parse_u64(text);
    if (!port || *port > 65535 || (text.size() > 1 && text.front() == '0'))
        return std::nullopt;
    return static_cast<uint16_t>(*port);
}

// What is behind "PROXY TCP4 " or "PROXY TCP6 ".
std::optional<NetAddress> parse_ends(std::string_view ends, bool is_v4) {
    const auto parts = split(ends, ' ');
    if (parts.size() != 4)
        return std::nullopt;
    const auto parse = is_v4 ? parse_ipv4 : parse_ipv6;
    auto source = parse(parts[0]);
    const auto target = parse(parts[1]);
    const auto source_port = parse_port(parts[2]), target_port = parse_port(parts[3]);
    if (!source || !target || !source_port || !target_port)
        return std::nullopt;
    source->port = *source_port;
    return source;
}

ProxyHeader read_words(std::string_view line, size_t size) {
    const std::string_view words = line.substr(kLinePrefix.size());
    if (words == "UNKNOWN" || words.starts_with("UNKNOWN "))
        return whole(size, std::nullopt);
    const bool is_v4 = words.starts_with("TCP4 ");
    if (!is_v4 && !words.starts_with("TCP6 "))
        return malformed("neither TCP4, TCP6 nor UNKNOWN");
    const auto source = parse_ends(words.substr(5), is_v4);
    return source ? whole(size, source) : malformed("not two addresses and two ports");
}

ProxyHeader read_line(std::string_view bytes) {
    const size_t end = bytes.find_first_of("\r\n");
    if (std::min(end, bytes.size()) > kMaxLine - 2)
        return malformed("longer than 107 bytes");
    if (end == bytes.npos || (end + 1 == bytes.size() && bytes[end] == '\r'))
        return {};
    if (bytes.substr(end, 2) != "\r\n")
        return malformed("a line ends with CR LF");
    return read_words(bytes.substr(0, end), end + 2);
}

// ---- version 2, binary

enum Family : uint8_t { kUnspecified = 0, kInet = 1, kInet6 = 2, kUnix = 3 };

uint8_t byte_at(std::string_view bytes, size_t at) {
    return static_cast<uint8_t>(bytes[at]);
}

uint16_t number_at(std::string_view bytes, size_t at) {
    return static_cast<uint16_t>(byte_at(bytes, at) << 8 | byte_at(bytes, at + 1));
}

// Both addresses and ports of a family; of a unix socket, both paths.
size_t address_bytes(Family family) {
    constexpr size_t kBytes[] = {0, 12, 36, 216};
    return kBytes[family];
}

template <size_t Bytes> std::span<const uint8_t, Bytes> address_in(std::string_view block) {
    return std::span<const uint8_t, Bytes>(reinterpret_cast<const uint8_t*>(block.data()), Bytes);
}

std::optional<NetAddress> source_in(std::string_view block, Family family) {
    switch (family) {
    case kInet:
        return NetAddress::v4(address_in<4>(block), number_at(block, 8));
    case kInet6:
        return NetAddress::v6(address_in<16>(block), number_at(block, 32));
    case kUnix:
        return NetAddress::unix_socket();
    case kUnspecified:
        break;
    }
    return std::nullopt;
}

// A type, two bytes of length, and the value, each.
bool are_extensions(std::string_view rest) {
    constexpr size_t kHeadBytes = 3;
    while (!rest.empty()) {
        if (rest.size() < kHeadBytes || rest.size() - kHeadBytes < number_at(rest, 1))
            return false;
        rest.remove_prefix(kHeadBytes + number_at(rest, 1));
    }
    return true;
}

// Section 2.2: only these may be sent.
bool is_known_family(uint8_t family) {
    constexpr uint8_t kStream = 1, kDatagram = 2;
    const uint8_t transport = family & 0x0f;
    return family == 0 || ((family >> 4) >= kInet && (family >> 4) <= kUnix &&
                           (transport == kStream || transport == kDatagram));
}

// Of the fixed part, as far as it has come.
std::string_view fault_of_head(std::string_view bytes) {
    if (bytes.size() > 12 && byte_at(bytes, 12) >> 4 != 2)
        return "not version 2";
    if (bytes.size() > 12 && (byte_at(bytes, 12) & 0x0f) > 1)
        return "neither LOCAL nor PROXY";
    if (bytes.size() > 13 && (byte_at(bytes, 12) & 0x0f) == 1 &&
        !is_known_family(byte_at(bytes, 13)))
        return "a family that is not specified";
    if (bytes.size() >= kFixedBytes && number_at(bytes, 14) > kMaxProxyHeader - kFixedBytes)
        return "longer than 4096 bytes";
    return {};
}

ProxyHeader read_binary(std::string_view bytes) {
    if (const auto fault = fault_of_head(bytes); !fault.empty())
        return malformed(fault);
    if (bytes.size() < kFixedBytes)
        return {};
    const size_t length = number_at(bytes, 14);
    const bool is_local = (byte_at(bytes, 12) & 0x0f) == 0;
    // Of a LOCAL one nothing is looked at but the length.
    const auto family = is_local ? kUnspecified : static_cast<Family>(byte_at(bytes, 13) >> 4);
    if (length < address_bytes(family))
        return malformed("too short for its addresses");
    if (bytes.size() < kFixedBytes + length)
        return {};
    const std::string_view block = bytes.substr(kFixedBytes, length);
    if (family != kUnspecified && !are_extensions(block.substr(address_bytes(family))))
        return malformed("an extension is longer than the header");
    return whole(kFixedBytes + length, source_in(block, family));
}

bool begins_as(std::string_view bytes, std::string_view prefix) {
    return bytes.substr(0, prefix.size()) == prefix.substr(0, bytes.size());
}

} // namespace

ProxyHeader read_proxy_header(std::string_view bytes) {
    if (begins_as(bytes, kSignature))
        return read_binary(bytes);
    if (begins_as(bytes, kLinePrefix))
        return read_line(bytes);
    return malformed("no PROXY header");
}

} // namespace fanhorn::http
