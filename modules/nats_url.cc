// SPDX-License-Identifier: Apache-2.0
#include "modules/nats_url.h"

#include "base/text.h"
#include "http/url.h"

#include <algorithm>

namespace fanhorn {

namespace {

bool take_credentials(std::string_view text, NatsUrl& url) {
    const size_t colon = text.find(':');
    const auto first = percent_decode(text.substr(0, colon));
    if (!first || first->empty() || text.find('@') != text.npos) // one for all hosts
        return false;
    if (colon == text.npos) {
        url.token = *first;
        return true;
    }
    const auto password = percent_decode(text.substr(colon + 1));
    if (password) {
        url.user = *first;
        url.password = *password;
    }
    return password.has_value();
}

bool take_hosts(std::string_view text, NatsUrl& url) {
    const std::string_view scheme = url.is_secure ? "tls://" : "nats://";
    while (!text.empty()) {
        std::string_view one = take_until(text, ',');
        if (one.starts_with(scheme)) // as its own tools write a list
            one.remove_prefix(scheme.size());
        const auto server = http::parse_url("http://" + std::string(one));
        if (!server)
            return false;
        const bool has_port = one.ends_with(':' + server->port);
        url.hosts.push_back(std::string(one) + (has_port ? "" : ":4222"));
    }
    return !url.hosts.empty();
}

} // namespace

Result<NatsUrl> parse_nats_url(std::string_view text) {
    NatsUrl url;
    url.is_secure = text.starts_with("tls://");
    if (is_nats_url(text)) {
        text.remove_prefix(text.find("//") + 2);
        const size_t at = text.rfind('@');
        const bool is_known = at == text.npos || take_credentials(text.substr(0, at), url);
        if (is_known && take_hosts(at == text.npos ? text : text.substr(at + 1), url))
            return url;
    }
    return Error{"a NATS URL is nats://[USER:PASSWORD@|TOKEN@]HOST[:PORT][,HOST[:PORT]], the same "
                 "with tls:// for TLS"};
}

bool is_nats_name(std::string_view prefix) {
    return !prefix.empty() && std::all_of(prefix.begin(), prefix.end(), [](char c) {
        return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z') || c == '-' || c == '_';
    });
}

} // namespace fanhorn
