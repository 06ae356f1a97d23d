// SPDX-License-Identifier: Apache-2.0
// Where a peer is, and networks of such places: values and their texts, no sockets.
#pragma once

#include "base/result.h"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

struct NetAddress {
    enum class Kind : uint8_t { Unknown, V4, V6, Unix };

    Kind kind = Kind::Unknown;
    uint16_t port = 0;               // 0: not known
    std::array<uint8_t, 16> bytes{}; // in the network's order; V4: the first four

    static NetAddress v4(std::span<const uint8_t, 4> bytes, uint16_t port = 0);
    // An IPv4 address inside an IPv6 one (::ffff:192.0.2.1) is V4.
    static NetAddress v6(std::span<const uint8_t, 16> bytes, uint16_t port = 0);
    static NetAddress unix_socket() { return {.kind = Kind::Unix}; }

    bool operator==(const NetAddress&) const = default;
};

// An address alone: no port, no brackets, no zone, in IPv4 no leading zeros.
std::optional<NetAddress> parse_ipv4(std::string_view text);
std::optional<NetAddress> parse_ipv6(std::string_view text);

// For people: "192.0.2.1:80", "[2001:db8::1]:80", without a port "192.0.2.1" and "2001:db8::1";
// "unix:", "-" for an unknown one.
std::string to_text(const NetAddress& address);

// For telling clients apart: the same bytes for all that one may easily have, an IPv4 address, the
// first 64 bits of an IPv6 one.
std::string network_key(const NetAddress& address);

// "192.0.2.1", "10.0.0.0/8", "2001:db8::/32", or "unix": every unix socket.
class Network {
  public:
    // The error goes on behind the text: "is not ...".
    static Result<Network> parse(std::string_view text);

    bool has(const NetAddress& address) const;
    // In canonical form; parse() takes it.
    std::string text() const;

  private:
    NetAddress base_;
    int prefix_ = 0; // bits that count
};

bool is_in(const std::vector<Network>& networks, const NetAddress& address);

} // namespace fanhorn
