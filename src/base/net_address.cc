// SPDX-License-Identifier: Apache-2.0
#include "base/net_address.h"

#include "base/text.h"

#include <algorithm>
#include <arpa/inet.h>

namespace fanhorn {

namespace {

constexpr size_t kV4Bytes = 4, kNetworkBytes = 8;
constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// The address's bytes; a NUL would end it early.
bool parse(int family, std::string_view text, void* bytes) {
    return text.size() < INET6_ADDRSTRLEN && text.find('\0') == text.npos &&
           inet_pton(family, std::string(text).c_str(), bytes) == 1;
}

std::string address_text(const NetAddress& address) {
    char text[INET6_ADDRSTRLEN] = "";
    const int family = address.kind == NetAddress::Kind::V4 ? AF_INET : AF_INET6;
    inet_ntop(family, address.bytes.data(), text, sizeof text);
    return text;
}

int address_bits(const NetAddress& address) {
    return address.kind == NetAddress::Kind::V4   ? 32
           : address.kind == NetAddress::Kind::V6 ? 128
                                                  : 0;
}

// With zeros behind the first `bits` bits, and without a port.
NetAddress cut(NetAddress address, int bits) {
    address.port = 0;
    for (size_t i = 0; i < address.bytes.size(); ++i) {
        const int kept = std::clamp(bits - static_cast<int>(8 * i), 0, 8);
        address.bytes[i] &= static_cast<uint8_t>(0xff00 >> kept);
    }
    return address;
}

std::string as_network(const NetAddress& base, int prefix) {
    const bool is_whole = prefix == address_bits(base);
    return address_text(base) + (is_whole ? "" : "/" + std::to_string(prefix));
}

} // namespace

NetAddress NetAddress::v4(std::span<const uint8_t, 4> bytes, uint16_t port) {
    NetAddress address{.kind = Kind::V4, .port = port};
    std::copy(bytes.begin(), bytes.end(), address.bytes.begin());
    return address;
}

NetAddress NetAddress::v6(std::span<const uint8_t, 16> bytes, uint16_t port) {
    if (std::equal(kMapped.begin(), kMapped.end(), bytes.begin()))
        return v4(bytes.last<kV4Bytes>(), port);
    NetAddress address{.kind = Kind::V6, .port = port};
    std::copy(bytes.begin(), bytes.end(), address.bytes.begin());
    return address;
}

std::optional<NetAddress> parse_ipv4(std::string_view text) {
    std::array<uint8_t, 4> bytes;
    if (!parse(AF_INET, text, bytes.data()))
        return std::nullopt;
    return NetAddress::v4(bytes);
}

std::optional<NetAddress> parse_ipv6(std::string_view text) {
    std::array<uint8_t, 16> bytes;
    if (!parse(AF_INET6, text, bytes.data()))
        return std::nullopt;
    return NetAddress::v6(bytes);
}

std::string to_text(const NetAddress& address) {
    if (address.kind == NetAddress::Kind::Unknown)
        return "-";
    if (address.kind == NetAddress::Kind::Unix)
        return "unix:";
    std::string text = address_text(address);
    if (address.port == 0)
        return text;
    const bool is_v6 = address.kind == NetAddress::Kind::V6;
    return (is_v6 ? '[' + text + ']' : text) + ':' + std::to_string(address.port);
}

std::string network_key(const NetAddress& address) {
    const auto* bytes = reinterpret_cast<const char*>(address.bytes.data());
    switch (address.kind) {
    case NetAddress::Kind::V4:
        return "4" + std::string(bytes, kV4Bytes);
    case NetAddress::Kind::V6:
        return "6" + std::string(bytes, kNetworkBytes);
    case NetAddress::Kind::Unix:
        return "unix";
    case NetAddress::Kind::Unknown:
        break;
    }
    return "-";
}

Result<Network> Network::parse(std::string_view text) {
    Network network;
    network.base_ = NetAddress::unix_socket();
    if (text == "unix")
        return network;
    if (text.starts_with("unix"))
        return Error{"is not a network; write unix, which is every unix socket"};
    const size_t slash = text.find('/');
    const std::string_view address = text.substr(0, slash);
    auto parsed = parse_ipv4(address);
    if (!parsed)
        parsed = parse_ipv6(address);
    if (!parsed)
        return Error{"is not an address or a network, such as 192.0.2.1, 10.0.0.0/8, "
                     "2001:db8::/32 or unix"};
    if (parsed->kind == NetAddress::Kind::V4 && address.find(':') != address.npos)
        return Error{"is IPv4 inside IPv6; write " + address_text(*parsed)};
    const int bits = address_bits(*parsed);
    const auto prefix =
        slash == text.npos ? static_cast<uint64_t>(bits) : parse_u64(text.substr(slash + 1));
    if (!prefix || *prefix > static_cast<uint64_t>(bits))
        return Error{"needs a prefix of 0 to " + std::to_string(bits) + " bits behind the '/'"};
    network.prefix_ = static_cast<int>(*prefix);
    network.base_ = cut(*parsed, network.prefix_);
    if (network.base_ != *parsed)
        return Error{"has bits behind its prefix; write " +
                     as_network(network.base_, network.prefix_)};
    return network;
}

bool Network::has(const NetAddress& address) const {
    return address.kind == base_.kind && cut(address, prefix_) == base_;
}

std::string Network::text() const {
    return base_.kind == NetAddress::Kind::Unix ? "unix" : as_network(base_, prefix_);
}

bool is_in(const std::vector<Network>& networks, const NetAddress& address) {
    return std::any_of(networks.begin(), networks.end(),
                       [&](const Network& each) { return each.has(address); });
}

} // namespace fanhorn
