// SPDX-License-Identifier: Apache-2.0
// The options of a publish, as query parameters and headers.
#include "base/text.h"
#include "base/utf8.h"
#include "server/publisher.h"

#include <algorithm>
#include <array>

namespace fanhorn {

namespace {

constexpr size_t kMaxEventBytes = 255;
constexpr size_t kMaxTagsBytes = 1024;
constexpr size_t kMaxKeyBytes = 255;
constexpr Millis kMaxTtl = 366 * 86'400'000LL;

bool is_plain(std::string_view text) {
    return is_utf8(text) && !has_control(text);
}

constexpr std::string_view kPrefix = "Fanhorn-";

// The header of that name, or the query parameter that is called like it without the prefix.
const std::string* option(const http::Request& request, std::string_view header) {
    if (const std::string* value = request.parameter(header.substr(kPrefix.size())))
        return value;
    return request.header(header);
}

std::optional<http::Problem> bad(const char* detail) {
    return http::problem("bad_option", detail);
}

std::optional<http::Problem> set_ttl(std::string_view text, Draft& draft) {
    const auto ttl = parse_ttl(text);
    if (!ttl)
        return bad("'ttl' is seconds, or a duration like 500ms, 10s, 5m, 2h, 7d");
    draft.ttl = *ttl;
    return std::nullopt;
}

std::optional<http::Problem> set_store(std::string_view text, Draft& draft) {
    if (text != "0" && text != "1")
        return bad("'store' is 0 or 1");
    draft.store = text == "1";
    return std::nullopt;
}

std::optional<http::Problem> set_key(std::string_view key, Draft& draft) {
    if (key.empty() || key.size() > kMaxKeyBytes || !is_plain(key))
        return bad("an idempotency key is 1 to 255 bytes without control characters");
    draft.idempotency_key = key;
    return std::nullopt;
}

} // namespace

std::optional<Millis> parse_ttl(std::string_view text) {
    struct Unit {
        std::string_view name;
        Millis millis;
    };
    static constexpr std::array<Unit, 6> kUnits = {
        {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}, {"", 1000}}};
    const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    const auto number = parse_u64(text.substr(0, digits));
    if (!number || *number == 0)
        return std::nullopt;
    for (const Unit& unit : kUnits)
        if (text.substr(digits) == unit.name &&
            *number <= static_cast<uint64_t>(kMaxTtl / unit.millis))
            return static_cast<Millis>(*number) * unit.millis;
    return std::nullopt;
}

std::optional<http::Problem> set_event(std::string_view event, Draft& draft) {
    static constexpr std::array<std::string_view, 5> kOurs = {"gap", "end", "error", "position",
                                                              "binary"};
    if (event.size() > kMaxEventBytes || !is_plain(event))
        return bad("'event' is at most 255 bytes of UTF-8 without control characters");
    if (std::find(kOurs.begin(), kOurs.end(), event) != kOurs.end())
        return bad("the events gap, end, error, position and binary are Fanhorn's own");
    draft.event = event;
    return std::nullopt;
}

std::optional<http::Problem> set_tags(std::string_view tags, Draft& draft) {
    if (tags.size() > kMaxTagsBytes || !is_plain(tags))
        return bad("'tags' are at most 1024 bytes of UTF-8 without control characters");
    std::string_view rest = tags;
    while (!rest.empty()) {
        const std::string_view tag = take_until(rest, ',');
        const size_t equals = tag.find('=');
        if (equals == tag.npos || equals == 0)
            return bad("'tags' are name=value pairs with commas between them");
    }
    draft.tags = tags;
    return std::nullopt;
}

std::optional<ConnectionId> parse_connection(std::string_view text) {
    ConnectionId id{};
    if (text.size() != 2 * id.size())
        return std::nullopt;
    for (size_t i = 0; i < id.size(); ++i) {
        const int high = hex_value(text[2 * i]);
        const int low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return std::nullopt;
        id[i] = static_cast<uint8_t>(high * 16 + low);
    }
    return id;
}

std::optional<http::Problem> set_exclude(std::string_view id, Draft& draft) {
    const auto connection = parse_connection(id);
    if (!connection)
        return bad("'exclude' is a connection's id: 32 hex digits");
    draft.exclude = *connection;
    return std::nullopt;
}

std::optional<http::Problem> read_options(const http::Request& request, Draft& draft) {
    using Set = std::optional<http::Problem> (*)(std::string_view, Draft&);
    static constexpr std::pair<std::string_view, Set> kOptions[] = {
        {"Fanhorn-event", set_event},
        {"Fanhorn-ttl", set_ttl},
        {"Fanhorn-tags", set_tags},
        {"Fanhorn-exclude", set_exclude},
        {"Fanhorn-store", set_store}};
    for (const auto& [name, set] : kOptions)
        if (const std::string* value = option(request, name))
            if (auto problem = set(*value, draft))
                return problem;
    const std::string* key = request.header("Idempotency-Key");
    if (!key)
        key = request.parameter("idempotency_key");
    return key ? set_key(*key, draft) : std::nullopt;
}

} // namespace fanhorn
