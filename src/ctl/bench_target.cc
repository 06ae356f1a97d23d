// SPDX-License-Identifier: Apache-2.0
#include "ctl/bench_target.h"

#include "base/text.h"

#include <cstring>
#include <memory>
#include <netdb.h>

namespace fanhorn::ctl::load {

namespace {

constexpr std::string_view kPlace = "{channel}";

Result<void> resolve(Target& target) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (const int failed =
            getaddrinfo(target.url.host.c_str(), target.url.port.c_str(), &hints, &found))
        return Error{"cannot find " + target.url.host + ": " + gai_strerror(failed)};
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> all(found, freeaddrinfo);
    std::memcpy(&target.address, found->ai_addr, found->ai_addrlen);
    target.address_size = found->ai_addrlen;
    return {};
}

} // namespace

uint16_t Target::port() const {
    sockaddr_in in{}; // sockaddr_in6 has it at the same place
    std::memcpy(&in, &address, sizeof in);
    return ntohs(in.sin_port);
}

bool Target::is_loopback() const {
    if (address.ss_family != AF_INET)
        return false;
    sockaddr_in in{};
    std::memcpy(&in, &address, sizeof in);
    return ntohl(in.sin_addr.s_addr) >> 24 == 127;
}

void Target::append_path(std::string& out, std::string_view prefix, uint64_t channel) const {
    out += before;
    if (!names_channel)
        return;
    out += prefix;
    append_number(out, channel);
    out += after;
}

Result<Target> read_target(std::string_view text) {
    std::string http(text);
    if (http.starts_with("ws://"))
        http.replace(0, 2, "http");
    const size_t scheme = http.find("://");
    const size_t slash = scheme == http.npos ? http.npos : http.find('/', scheme + 3);
    Target target;
    target.before = slash == http.npos ? "/" : http.substr(slash);
    if (const size_t place = target.before.find(kPlace); place != http.npos) {
        target.names_channel = true;
        target.after = target.before.substr(place + kPlace.size());
        target.before.resize(place);
    }
    const auto url = http::parse_url(http.substr(0, slash));
    if (!url)
        return Error{url.error()};
    if (url->host.empty() || url->is_secure)
        return Error{"a benchmark needs http://HOST:PORT/PATH"};
    target.url = *url;
    if (const auto resolved = resolve(target); !resolved)
        return Error{resolved.error()};
    return target;
}

} // namespace fanhorn::ctl::load
