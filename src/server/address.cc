// SPDX-License-Identifier: Apache-2.0
#include "server/address.h"

#include "base/text.h"

#include <algorithm>
#include <arpa/inet.h>
#include <sys/un.h>

namespace fanhorn {

namespace {

constexpr size_t kMaxHostBytes = 150; // keeps a value within a line of the file

bool is_word(std::string_view text, std::string_view further) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
        return (c >= 'a' && c <= 'z') || is_digit(c) || further.find(c) != further.npos;
    });
}

std::string in_lower_case(std::string_view text) {
    std::string result(text);
    std::transform(result.begin(), result.end(), result.begin(), lower);
    return result;
}

Result<uint16_t> parse_port(std::string_view text) {
    auto port = parse_u64(text);
    if (!port || *port > 65535)
        return Error{"needs a port, 0 to 65535"};
    return static_cast<uint16_t>(*port);
}

// The address in its canonical form, or "" where it is none.
std::string canonical(int family, const std::string& host) {
    unsigned char bytes[sizeof(in6_addr)];
    char text[INET6_ADDRSTRLEN];
    if (inet_pton(family, host.c_str(), bytes) != 1)
        return "";
    return inet_ntop(family, bytes, text, sizeof text);
}

Result<Address> parse_unix(std::string_view text) {
    std::string_view path = text.substr(5);
    if (!path.starts_with('/'))
        return Error{"needs an absolute path, as in unix:/run/fanhorn/public.sock"};
    if (path.size() >= sizeof(sockaddr_un::sun_path))
        return Error{"is longer than a socket's path can be, " +
                     std::to_string(sizeof(sockaddr_un::sun_path) - 1) + " bytes"};
    return Address{Address::Kind::Unix, std::string(text), std::string(path), 0};
}

Result<Address> parse_descriptor(std::string_view text) {
    std::string_view name = text.substr(3);
    if (name.size() > kMaxHostBytes || !is_word(in_lower_case(name), "_.-"))
        return Error{"needs a descriptor's name, as in fd:public"};
    return Address{Address::Kind::Descriptor, std::string(text), std::string(name), 0};
}

// "host", "1.2.3.4" or "[::1]".
bool is_host(std::string_view host) {
    if (host.size() > kMaxHostBytes)
        return false;
    if (host.starts_with('[') && host.ends_with(']'))
        return !canonical(AF_INET6, std::string(host.substr(1, host.size() - 2))).empty();
    return is_word(host, "-._");
}

} // namespace

Result<Address> parse_address(std::string_view text) {
    if (text.starts_with("unix:"))
        return parse_unix(text);
    if (text.starts_with("fd:"))
        return parse_descriptor(text);
    size_t colon = text.rfind(':');
    if (colon == std::string_view::npos)
        return Error{parse_u64(text) ? "has no address; write *:" + std::string(text)
                                     : "has no port, as in 127.0.0.1:8080"};
    std::string host(text.substr(0, colon));
    auto port = parse_port(text.substr(colon + 1));
    if (!port)
        return Error{port.error()};
    bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
    std::string plain = host == "*" ? "0.0.0.0"
                        : bracketed ? canonical(AF_INET6, host.substr(1, host.size() - 2))
                                    : canonical(AF_INET, host);
    if (plain.empty())
        return Error{"is not an address; write 127.0.0.1:8080, [::1]:8080, *:8080, unix:/path or "
                     "fd:NAME"};
    return Address{Address::Kind::Inet, std::string(text), plain, *port};
}

std::string address_key(const Address& address) {
    if (address.kind != Address::Kind::Inet)
        return address.text;
    return address.port == 0 ? "" : address.host + " " + std::to_string(address.port);
}

Result<std::string> parse_origin(std::string_view text) {
    if (text == "*")
        return std::string(text);
    std::string origin = in_lower_case(text);
    size_t scheme = origin.find("://");
    if (scheme == std::string::npos || !is_word(origin.substr(0, scheme), "+.-"))
        return Error{"is not an origin, as in https://app.example.com, or *"};
    std::string host = origin.substr(scheme + 3);
    if (host.find('/') != std::string::npos)
        return Error{"is not an origin: an origin has no path; write " +
                     origin.substr(0, origin.find('/', scheme + 3))};
    size_t colon =
        host.find(':', host.starts_with('[') ? std::min(host.find(']'), host.size()) : 0);
    if (!is_host(host.substr(0, colon)))
        return Error{"is not an origin, as in https://app.example.com, or *"};
    if (colon == std::string::npos)
        return origin;
    auto port = parse_port(std::string_view(host).substr(colon + 1));
    if (!port)
        return Error{port.error()};
    if ((origin.starts_with("https://") && *port == 443) ||
        (origin.starts_with("http://") && *port == 80))
        return Error{"names the default port, which browsers leave out; write " +
                     origin.substr(0, origin.rfind(':'))};
    return origin;
}

Result<std::string> parse_host(std::string_view text) {
    std::string host = in_lower_case(text);
    if (!is_host(host))
        return Error{"is not a host, as in push.example.com; no port is written"};
    return host;
}

} // namespace fanhorn
