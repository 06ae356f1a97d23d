// SPDX-License-Identifier: Apache-2.0
#include "http/target.h"

#include "base/text.h"
#include "http/grammar.h"

#include <algorithm>

namespace fanhorn::http {
namespace {

// RFC 3986 allows fewer, but browsers send quotes and bars as they are; none of them can end the
// target or hide in a log.
bool is_target_text(std::string_view text) {
    return std::all_of(text.begin(), text.end(),
                       [](char byte) { return byte > ' ' && byte < 0x7f && byte != '#'; });
}

bool has_good_escapes(std::string_view text) {
    for (size_t at = 0; (at = text.find('%', at)) != text.npos; at += 3) {
        if (text.size() - at < 3 || hex_value(text[at + 1]) < 0 || hex_value(text[at + 2]) < 0)
            return false;
    }
    return true;
}

std::optional<std::string> decode_parameter(std::string_view text) {
    if (std::none_of(text.begin(), text.end(), [](char c) { return c == '%' || c == '+'; }))
        return std::string(text);
    if (text.find('+') == text.npos)
        return percent_decode(text);
    std::string plain(text);
    std::replace(plain.begin(), plain.end(), '+', ' ');
    return percent_decode(plain);
}

// Takes `http://authority` off the front. False: it is not of this kind.
bool take_authority(std::string_view& target, std::string& authority) {
    const size_t scheme = target.find("://");
    if (scheme == target.npos)
        return false;
    const std::string_view name = target.substr(0, scheme);
    if (!equal_ignoring_case(name, "http") && !equal_ignoring_case(name, "https"))
        return false;
    target.remove_prefix(scheme + 3);
    authority = target.substr(0, target.find_first_of("/?"));
    target.remove_prefix(authority.size());
    return true;
}

} // namespace

bool parse_query(std::string_view query, std::vector<QueryParameter>& parameters) {
    while (!query.empty()) {
        std::string_view value = take_until(query, '&');
        if (value.empty())
            continue;
        auto name = decode_parameter(take_until(value, '='));
        auto text = decode_parameter(value);
        if (!name || !text || parameters.size() == kMaxParameters)
            return false;
        parameters.push_back({std::move(*name), std::move(*text)});
    }
    return true;
}

std::string_view parse_target(std::string_view target, Request& request) {
    if (!is_target_text(target) || !has_good_escapes(target))
        return "the request target has a character or a percent-escape that may not be there";
    if (request.method == Method::Connect)
        return "CONNECT is for proxies";
    if (target == "*") {
        request.path = target;
        return request.method == Method::Options ? "" : "the target '*' is for OPTIONS only";
    }
    if (!target.starts_with('/')) {
        if (!take_authority(target, request.authority))
            return "the request target is neither a path nor an http URI";
        if (!is_authority(request.authority))
            return "the authority of the request target is malformed";
    }
    request.path = target.substr(0, target.find('?'));
    if (request.path.size() < target.size())
        request.query = target.substr(request.path.size() + 1);
    if (request.path.empty())
        request.path = "/"; // RFC 9110 section 4.2.3
    return parse_query(request.query, request.parameters)
               ? ""
               : "the query has more than 100 parameters";
}

} // namespace fanhorn::http
