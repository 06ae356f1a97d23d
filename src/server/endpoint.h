// SPDX-License-Identifier: Apache-2.0
// Where a URL of the configuration leads.
#pragma once

#include "net/dial.h"

#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

class Surroundings;

struct Endpoint {
    std::vector<PeerAddress> peers; // at least one; the next one when one cannot be reached
    std::string authority;          // the Host field
    std::string target;             // path and query
};

// Whether it is http://HOST[:PORT]/PATH or http://unix:/SOCKET:/PATH; the URL as it is then.
Result<std::string> check_endpoint(std::string_view url);
// One that has been checked; the error says that its host is not known.
Result<Endpoint> find_endpoint(const std::string& url, const Surroundings& world);

} // namespace fanhorn
