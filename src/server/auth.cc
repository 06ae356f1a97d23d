// SPDX-License-Identifier: Apache-2.0
#include "server/auth.h"

#include "base/text.h"
#include "server/origin.h"

#include <algorithm>

namespace fanhorn {

namespace {

constexpr std::string_view kQueryName = "access_token"; // RFC 6750 section 2.3

// What stands behind `Bearer` (RFC 6750 section 2.1), or null for another scheme and for none.
std::optional<std::string_view> bearer_of(const http::Request& request) {
    constexpr std::string_view kScheme = "Bearer ";
    const std::string* header = request.header("Authorization");
    if (!header || !equal_ignoring_case(header->substr(0, kScheme.size()), kScheme))
        return std::nullopt;
    return trim_blanks(std::string_view(*header).substr(kScheme.size()));
}

// RFC 6265 section 5.4: pairs with "; " between them. The first of that name.
std::optional<std::string_view> cookie_of(const http::Request& request, std::string_view name) {
    for (const http::Header& header : request.headers) {
        if (!equal_ignoring_case(header.name, "Cookie"))
            continue;
        for (std::string_view pair : split(header.value, ';')) {
            pair = trim_blanks(pair);
            const std::string_view key = take_until(pair, '=');
            if (key == name)
                return pair;
        }
    }
    return std::nullopt;
}

// More than one, and which of them counts would be anybody's guess (RFC 6750 section 2).
bool is_ambiguous(const http::Request& request) {
    const auto in_query = static_cast<size_t>(
        std::count_if(request.parameters.begin(), request.parameters.end(),
                      [](const auto& each) { return each.name == kQueryName; }));
    const size_t in_header = request.header_count("Authorization");
    return in_query > 1 || in_header > 1 || (in_query == 1 && bearer_of(request));
}

TokenRefusal missing(const Authority& authority) {
    return {AuthRefusal::Missing, "this needs a token of [auth " + authority.name() +
                                      "]: Authorization: Bearer, or access_token in the query"};
}

} // namespace

void check_attempts(const Identity* identity, Attempts& attempts, Counters& counters) {
    if (!identity)
        return;
    for (Attempt& attempt : attempts) {
        if (attempt.problem)
            continue;
        attempt.problem = backend_refusal(*identity, attempt.channel);
        if (attempt.problem)
            counters.refuse(AuthRefusal::Forbidden);
    }
}

// ---- Rights

std::optional<http::Problem> Rights::require(const Authority& authority) {
    if (identities_.of(authority.name()))
        return std::nullopt;
    return refused(missing(authority));
}

http::Problem Rights::refused(const TokenRefusal& refusal) {
    counters_.refuse(refusal.why);
    if (refusal.why == AuthRefusal::Large)
        counters_.hit(Limit::TokenSize);
    return token_problem(refusal);
}

// A token that is good and not good enough.
std::optional<http::Problem> Rights::counted(std::optional<http::Problem> problem) {
    if (problem && problem->status == 403)
        counters_.refuse(AuthRefusal::Forbidden);
    return problem;
}

std::optional<http::Problem> Rights::may_subscribe(std::string_view channel,
                                                   const ChannelSettings& settings) {
    const Authority* authority = settings.subscribe.authority.get();
    if (!authority)
        return subscribe_refusal(nullptr, channel, settings, 0);
    if (auto problem = require(*authority))
        return problem;
    return counted(
        subscribe_refusal(identities_.of(authority->name()), channel, settings, wall_millis()));
}

std::optional<http::Problem> Rights::may_publish(std::string_view channel,
                                                 const ChannelSettings& settings) {
    const Authority* authority = settings.client_publish.authority.get();
    if (!authority)
        return publish_refusal(nullptr, channel, settings, 0);
    if (auto problem = require(*authority))
        return problem;
    return counted(
        publish_refusal(identities_.of(authority->name()), channel, settings, wall_millis()));
}

std::optional<http::Problem> Rights::accept(const Authority& authority, std::string_view token) {
    auto found = authority.identify(token, wall_millis());
    if (const auto* refusal = std::get_if<TokenRefusal>(&found))
        return refused(*refusal);
    IdentityRef& identity = std::get<IdentityRef>(found);
    if (!identities_.user().empty() && identity->user != identities_.user())
        return counted(http::problem("forbidden", "the token is of another user than the "
                                                  "connection"));
    identities_.take(std::move(identity));
    return std::nullopt;
}

std::optional<http::Problem>
Rights::must_be_user(const std::vector<std::shared_ptr<const Authority>>& authorities) {
    if (auto problem = introduce(authorities))
        return problem;
    if (identities_.empty())
        return refused({AuthRefusal::Missing, "this needs a token that names a user"});
    if (identities_.user().empty())
        return counted(http::problem("forbidden", "the token names no user"));
    return std::nullopt;
}

// ---- Caller

std::variant<Credential, TokenRefusal> Caller::credential(const Authority& authority) const {
    if (is_ambiguous(request_))
        return TokenRefusal{AuthRefusal::Malformed, "the token was given twice"};
    if (const auto token = bearer_of(request_))
        return Credential{std::string(*token)};
    if (const std::string* token = request_.parameter(kQueryName))
        return Credential{*token};
    if (authority.cookie().empty())
        return missing(authority);
    const auto token = cookie_of(request_, authority.cookie());
    if (!token)
        return missing(authority);
    if (!is_cookie_allowed(request_, listener_))
        return TokenRefusal{AuthRefusal::Missing,
                            "the cookie does not count in a page of this origin; list it under "
                            "'origins' if it should"};
    return Credential{std::string(*token), true};
}

std::variant<IdentityRef, TokenRefusal> Caller::identify(const Authority& authority) const {
    const auto found = credential(authority);
    if (const auto* refusal = std::get_if<TokenRefusal>(&found))
        return *refusal;
    return authority.identify(std::get<Credential>(found).token, wall_millis());
}

std::optional<Question>
Caller::question(const std::vector<std::shared_ptr<const Authority>>& authorities) const {
    for (const auto& authority : authorities) {
        if (!authority->inquiry())
            continue;
        const auto found = credential(*authority);
        const auto* credential = std::get_if<Credential>(&found);
        if (credential && !authority->knows(credential->token, wall_millis()))
            return Question{authority, *credential};
    }
    return std::nullopt;
}

std::optional<TokenRefusal> Caller::find(const Authority& authority) {
    if (identities_.of(authority.name()))
        return std::nullopt;
    auto found = identify(authority);
    if (auto* refusal = std::get_if<TokenRefusal>(&found))
        return std::move(*refusal);
    identities_.take(std::move(std::get<IdentityRef>(found)));
    return std::nullopt;
}

std::optional<http::Problem> Caller::require(const Authority& authority) {
    if (auto refusal = find(authority))
        return refused(*refusal);
    return std::nullopt;
}

bool Caller::can_publish(std::string_view channel, const ChannelSettings& settings) {
    const Authority* authority = settings.client_publish.authority.get();
    if (!authority)
        return settings.client_publish.is_public();
    if (auto refusal = find(*authority)) {
        if (refusal->why != AuthRefusal::Missing)
            counters_.refuse(refusal->why);
        return false;
    }
    return !publish_refusal(identities_.of(authority->name()), channel, settings, wall_millis());
}

std::optional<http::Problem> Caller::may_enter() {
    return listener_.authority ? require(*listener_.authority) : std::nullopt;
}

std::optional<http::Problem>
Caller::introduce(const std::vector<std::shared_ptr<const Authority>>& authorities) {
    std::optional<TokenRefusal> last;
    for (const auto& authority : authorities)
        if (auto refusal = find(*authority); refusal && refusal->why != AuthRefusal::Missing)
            last = std::move(refusal);
    if (!last || !identities_.empty())
        return std::nullopt;
    return refused(*last);
}

} // namespace fanhorn
