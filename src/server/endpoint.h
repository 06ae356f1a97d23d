// SPDX-License-Identifier: Apache-2.0
// Where a URL of the configuration leads.
#pragma once

#include "net/client_stream.h"

#include <string>
#include <string_view>

namespace fanhorn {

class Surroundings;

struct Endpoint {
    Destination destination;
    std::string authority; // the Host field
    std::string target;    // path and query
};

// Whether it is http://HOST[:PORT]/PATH, the same with https, or http://unix:/SOCKET:/PATH; the URL
// as it is then.
Result<std::string> check_endpoint(std::string_view url);
bool is_secure_endpoint(std::string_view url);
// One that has been checked, without its TLS; the error says that its host is not known.
Result<Endpoint> find_endpoint(const std::string& url, const Surroundings& world);

} // namespace fanhorn
