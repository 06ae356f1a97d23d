// SPDX-License-Identifier: Apache-2.0
#include "modules/redis_url.h"

#include "base/text.h"
#include "http/url.h"

namespace fanhorn {

namespace {

constexpr std::string_view kPlain = "redis://", kSecure = "rediss://", kUnix = "unix:";

bool is_database(std::string_view text) {
    return text.empty() || (text.size() <= 5 && parse_u64(text));
}

bool take_credentials(std::string_view text, RedisUrl& url) {
    const size_t colon = text.find(':');
    if (colon == text.npos)
        return false;
    const auto user = percent_decode(text.substr(0, colon));
    const auto password = percent_decode(text.substr(colon + 1));
    if (user && password) {
        url.user = *user;
        url.password = *password;
    }
    return user && password;
}

bool take_hosts(std::string_view text, std::string_view port, RedisUrl& url) {
    while (!text.empty()) {
        const std::string one(take_until(text, ','));
        const auto server = http::parse_url("http://" + one);
        if (!server)
            return false;
        url.hosts.push_back(
            {server->host, one.ends_with(':' + server->port) ? server->port : std::string(port)});
    }
    return !url.hosts.empty();
}

// Behind the scheme, before the database.
bool take_authority(std::string_view text, std::string_view port, RedisUrl& url) {
    const size_t at = text.rfind('@');
    if (at != text.npos && !take_credentials(text.substr(0, at), url))
        return false;
    return take_hosts(at == text.npos ? text : text.substr(at + 1), port, url);
}

bool parse_rest(std::string_view text, RedisUrl& url) {
    const size_t at = text.rfind('@');
    const size_t slash = text.find('/', at == text.npos ? 0 : at);
    const std::string_view database = slash == text.npos ? "" : text.substr(slash + 1);
    url.database = database == "0" ? "" : database;
    return is_database(database) && take_authority(text.substr(0, slash), "6379", url);
}

} // namespace

Result<RedisUrl> parse_redis_url(std::string_view text) {
    RedisUrl url;
    url.is_secure = text.starts_with(kSecure);
    const std::string_view scheme = url.is_secure ? kSecure : kPlain;
    if (text.starts_with(kUnix))
        url.path = text.substr(kUnix.size());
    const bool is_good = text.starts_with(kUnix) ? url.path.size() > 1 && url.path[0] == '/'
                                                 : text.starts_with(scheme) &&
                                                       parse_rest(text.substr(scheme.size()), url);
    if (is_good)
        return url;
    return Error{"a Redis URL is redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE], the same with "
                 "rediss:// for TLS, or unix:/PATH"};
}

Result<RedisUrl> parse_sentinel(std::string_view text) {
    RedisUrl url;
    if (take_authority(text, "26379", url) && url.hosts.size() == 1)
        return url;
    return Error{"a sentinel is [[USER]:PASSWORD@]HOST[:PORT]"};
}

Result<std::string> check_redis_url(std::string_view url) {
    if (auto parsed = parse_redis_url(url); !parsed)
        return Error{parsed.error()};
    return std::string(url);
}

Result<std::string> check_sentinel(std::string_view text) {
    if (auto parsed = parse_sentinel(text); !parsed)
        return Error{parsed.error()};
    return std::string(text);
}

std::optional<RedisHost> moved_to(std::string_view error) {
    const std::string_view kind = take_until(error, ' ');
    if (kind != "MOVED" && kind != "ASK")
        return std::nullopt;
    take_until(error, ' ');                // the slot
    const size_t colon = error.rfind(':'); // addresses of IPv6 stand without brackets
    if (colon == error.npos || !parse_u64(error.substr(colon + 1)))
        return std::nullopt;
    RedisHost host{std::string(error.substr(0, colon)), std::string(error.substr(colon + 1))};
    if (host.name.empty() || host.name == "?")
        return std::nullopt;
    return host;
}

} // namespace fanhorn
