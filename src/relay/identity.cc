// SPDX-License-Identifier: Apache-2.0
#include "relay/identity.h"

#include "base/secret.h"
#include "relay/claim_rule.h"
#include "relay/settings.h"

#include <algorithm>

namespace fanhorn {

namespace {

// Reserved names are never opened by a wildcard that was meant for the application's own.
bool any_matches(const std::vector<Pattern>& patterns, std::string_view channel) {
    return std::any_of(patterns.begin(), patterns.end(), [&](const Pattern& pattern) {
        return pattern.matches(channel) &&
               (!is_reserved(channel) || pattern.text().starts_with('$'));
    });
}

// All that a wildcard matches is matched by one of them.
bool any_contains(const std::vector<Pattern>& patterns, const Pattern& wildcard) {
    return std::any_of(patterns.begin(), patterns.end(),
                       [&](const Pattern& pattern) { return pattern.contains(wildcard); });
}

std::string quoted(std::string_view name) {
    return "'" + std::string(name) + "'";
}

// Null where it is an identity that the access asks for.
std::optional<http::Problem> stranger(const Identity* identity, const Access& access,
                                      std::string_view what, Millis now) {
    if (!identity)
        return http::problem("unauthorized", std::string(what) + " needs a token");
    if (identity->is_expired(now))
        return http::problem("unauthorized", "the token has expired");
    if (!access.authority || identity->authority != access.authority->name())
        return http::problem("unauthorized", std::string(what) + " needs another token than this");
    return std::nullopt;
}

std::optional<http::Problem> rule_refusal(const Identity& identity, const ClaimRule& rule,
                                          std::string_view channel) {
    if (rule.holds(identity, channel))
        return std::nullopt;
    return http::problem("forbidden",
                         "the token's '" + rule.claim + "' does not fit " + quoted(channel));
}

} // namespace

void AuthSettings::wipe_secrets() {
    wipe(secret);
    for (auto* texts : {&key_texts, &tokens}) {
        for (std::string& text : *texts)
            wipe(text);
        texts->clear();
    }
}

bool Identity::owns(std::string_view channel) const {
    constexpr std::string_view kOwn = "$user:";
    return !user.empty() && channel.starts_with(kOwn) && channel.substr(kOwn.size()) == user;
}

bool Identity::may_read(std::string_view channel) const {
    if (owns(channel))
        return true;
    if (!is_wildcard(channel))
        return any_matches(channels, channel);
    const auto wildcard = Pattern::parse(channel);
    return wildcard && any_contains(channels, *wildcard);
}

bool Identity::may_write(std::string_view channel) const {
    return any_matches(publish, channel);
}

bool Identity::may_write_all() const {
    return std::any_of(publish.begin(), publish.end(),
                       [](const Pattern& pattern) { return pattern.text() == "**"; });
}

const Identity* Identities::of(std::string_view authority) const {
    for (const IdentityRef& each : held_)
        if (each->authority == authority)
            return each.get();
    return nullptr;
}

void Identities::take(IdentityRef identity) {
    for (IdentityRef& each : held_)
        if (each->authority == identity->authority) {
            each = std::move(identity);
            return;
        }
    held_.push_back(std::move(identity));
}

std::string_view Identities::user() const {
    for (const IdentityRef& each : held_)
        if (!each->user.empty())
            return each->user;
    return {};
}

std::string_view Identities::info() const {
    for (const IdentityRef& each : held_)
        if (!each->user.empty())
            return each->info;
    return {};
}

Millis Identities::expires() const {
    Millis earliest = 0;
    for (const IdentityRef& each : held_)
        if (each->expires != 0 && (earliest == 0 || each->expires < earliest))
            earliest = each->expires;
    return earliest;
}

http::Problem token_problem(const TokenRefusal& refusal) {
    return http::problem(refusal.code, refusal.detail);
}

std::optional<http::Problem> subscribe_refusal(const Identity* identity, std::string_view channel,
                                               const ChannelSettings& settings, Millis now) {
    const Access& access = settings.subscribe;
    if (access.is_public())
        return std::nullopt;
    if (access.is_denied())
        return http::problem("forbidden", "subscribing to " + quoted(channel) + " is denied");
    if (auto problem = stranger(identity, access, "subscribing to " + quoted(channel), now))
        return problem;
    if (access.rule && !identity->owns(channel))
        return rule_refusal(*identity, *access.rule, channel);
    if (identity->may_read(channel))
        return std::nullopt;
    return http::problem("forbidden", "the token's channels do not include " + quoted(channel));
}

std::optional<http::Problem> publish_refusal(const Identity* identity, std::string_view channel,
                                             const ChannelSettings& settings, Millis now) {
    const Access& access = settings.client_publish;
    if (access.is_public())
        return std::nullopt;
    if (access.is_denied())
        return http::problem("forbidden", "'client_publish' is off for " + quoted(channel));
    if (auto problem = stranger(identity, access, "publishing to " + quoted(channel), now))
        return problem;
    if (access.rule)
        return rule_refusal(*identity, *access.rule, channel);
    return backend_refusal(*identity, channel);
}

std::optional<http::Problem> backend_refusal(const Identity& identity, std::string_view channel) {
    if (identity.may_write(channel))
        return std::nullopt;
    return http::problem("forbidden", "the token may not publish to " + quoted(channel));
}

} // namespace fanhorn
