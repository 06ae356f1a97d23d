// SPDX-License-Identifier: Apache-2.0
#include "http/forwarded.h"

#include "base/text.h"
#include "http/grammar.h"

#include <algorithm>
#include <string>

namespace fanhorn::http {

namespace {

// Behind an odd number of backslashes.
bool is_escaped(std::string_view text, size_t at) {
    size_t slashes = 0;
    while (slashes < at && text[at - slashes - 1] == '\\')
        ++slashes;
    return slashes % 2 == 1;
}

// Takes the last element off a list of them; commas in quoted strings part nothing.
std::string_view take_last(std::string_view& list, bool has_quotes) {
    bool is_quoted = false;
    size_t from = list.size();
    for (; from > 0; --from) {
        const char byte = list[from - 1];
        if (has_quotes && byte == '"' && !is_escaped(list, from - 1))
            is_quoted = !is_quoted;
        else if (byte == ',' && !is_quoted)
            break;
    }
    const std::string_view last = list.substr(from);
    list = list.substr(0, from == 0 ? 0 : from - 1);
    return trim_blanks(last);
}

// RFC 7239 section 6.2; one that is not a number says nothing.
std::optional<uint16_t> parse_port(std::string_view text) {
    const auto is_hidden = [](char byte) {
        return is_digit(byte) || (lower(byte) >= 'a' && lower(byte) <= 'z') || byte == '.' ||
               byte == '_' || byte == '-';
    };
    if (text.size() > 1 && text.front() == '_' && std::all_of(text.begin(), text.end(), is_hidden))
        return uint16_t{0};
    const auto port = text.size() <= 5 ? parse_u64(text) : std::nullopt;
    if (!port || *port > 65535)
        return std::nullopt;
    return static_cast<uint16_t>(*port);
}

// "192.0.2.1", "192.0.2.1:80", "[2001:db8::1]" or "[2001:db8::1]:80".
std::optional<NetAddress> parse_node(std::string_view node) {
    const bool is_v6 = node.starts_with('[');
    const size_t end = std::min(node.find(is_v6 ? ']' : ':'), node.size());
    auto address = is_v6 ? parse_ipv6(node.substr(1, end - 1)) : parse_ipv4(node.substr(0, end));
    if (is_v6 && end == node.size())
        return std::nullopt;
    const std::string_view rest = node.substr(end + (is_v6 ? 1 : 0));
    if (!address || rest.empty())
        return address;
    const auto port = rest.front() == ':' ? parse_port(rest.substr(1)) : std::nullopt;
    if (!port)
        return std::nullopt;
    address->port = *port;
    return address;
}

// As well an IPv6 address without brackets, which has no port then.
std::optional<NetAddress> parse_loose_node(std::string_view node) {
    const auto bare = parse_ipv6(node);
    return bare ? bare : parse_node(node);
}

// RFC 9110 section 5.6.4: takes a quoted string off the front, without quotes and backslashes.
std::optional<std::string> take_quoted(std::string_view& rest) {
    std::string value;
    for (size_t i = 1; i < rest.size(); ++i) {
        if (rest[i] == '"') {
            rest.remove_prefix(i + 1);
            return value;
        }
        if (rest[i] == '\\' && ++i == rest.size())
            break;
        value += rest[i];
    }
    return std::nullopt;
}

std::optional<std::string> take_value(std::string_view& rest) {
    if (rest.starts_with('"'))
        return take_quoted(rest);
    const size_t size = std::min(rest.find_first_of("; \t"), rest.size());
    const std::string_view value = rest.substr(0, size);
    rest.remove_prefix(size);
    return is_token(value) ? std::optional<std::string>(value) : std::nullopt;
}

// Takes a parameter off the front, and blanks around it. False where it is none; `node` is set by
// the first "for", and another one is a fault.
bool take_pair(std::string_view& rest, std::optional<std::string>& node) {
    const size_t equals = rest.find('=');
    const std::string_view name = rest.substr(0, equals);
    if (equals == rest.npos || !is_token(name))
        return false;
    rest.remove_prefix(equals + 1);
    auto value = take_value(rest);
    rest = trim_blanks(rest);
    const bool is_node = equal_ignoring_case(name, "for");
    if (!value || (is_node && node) || (!rest.empty() && rest.front() != ';'))
        return false;
    if (is_node)
        node = std::move(value);
    return true;
}

// RFC 7239 section 4: parameters, of which "for" is what is asked.
std::optional<NetAddress> parse_element(std::string_view rest) {
    std::optional<std::string> node;
    for (;;) {
        rest = trim_blanks(rest);
        if (!rest.empty() && rest.front() != ';' && !take_pair(rest, node))
            return std::nullopt;
        if (rest.empty())
            break;
        rest.remove_prefix(1);
    }
    return node ? parse_node(*node) : std::nullopt;
}

} // namespace

ForwardedHops::ForwardedHops(const Request& request)
    : request_(request), is_forwarded_(request.header_count("Forwarded") > 0),
      fields_(request.headers.size()) {}

// The last one of them that was not looked at; several are one list.
bool ForwardedHops::find_field() {
    const std::string_view name = is_forwarded_ ? "Forwarded" : "X-Forwarded-For";
    while (fields_ > 0) {
        const Header& field = request_.headers[--fields_];
        if (!equal_ignoring_case(field.name, name))
            continue;
        rest_ = field.value;
        return true;
    }
    return false;
}

std::optional<NetAddress> ForwardedHops::next() {
    for (;;) {
        if (rest_.empty() && !find_field())
            return std::nullopt;
        const std::string_view element = take_last(rest_, is_forwarded_);
        if (!element.empty()) // RFC 9110 section 5.6.1.2
            return is_forwarded_ ? parse_element(element) : parse_loose_node(element);
    }
}

} // namespace fanhorn::http
