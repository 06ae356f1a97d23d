// SPDX-License-Identifier: Apache-2.0
#include "modules/claims.h"

namespace fanhorn {

namespace {

TokenRefusal refusal(std::string_view whose, std::string_view claim, std::string_view what) {
    return {AuthRefusal::Claims,
            std::string(whose).append(" '").append(claim).append("'").append(what)};
}

std::optional<TokenRefusal> read_user(const JsonObject& claims, const std::string& claim,
                                      std::string_view whose, Identity& identity) {
    if (claims.find(claim).empty())
        return std::nullopt;
    const auto user = claims.string(claim);
    if (!user || user->empty() || !is_channel_name("$user:" + *user))
        return refusal(whose, claim,
                       " is no name for a user: text without control characters, ',' and '*', "
                       "of at most 249 bytes");
    identity.user = *user;
    return std::nullopt;
}

std::optional<TokenRefusal> read_patterns(const JsonObject& claims, const std::string& claim,
                                          std::string_view whose, std::vector<Pattern>& patterns) {
    const std::string_view value = claims.find(claim);
    if (value.empty())
        return std::nullopt;
    const auto texts = json_strings(value);
    if (!texts || texts->size() > kMaxPatterns)
        return refusal(whose, claim,
                       " is not a list of at most " + std::to_string(kMaxPatterns) + " patterns");
    patterns.reserve(texts->size());
    for (const std::string& text : *texts) {
        auto pattern = Pattern::parse(text);
        if (!pattern)
            return refusal(whose, claim, " has a pattern that is none: " + pattern.error());
        patterns.push_back(std::move(*pattern));
    }
    return std::nullopt;
}

} // namespace

std::optional<TokenRefusal> read_claims(const JsonObject& claims, const AuthSettings& settings,
                                        std::string_view whose, Identity& identity) {
    if (auto refused = read_user(claims, settings.user_claim, whose, identity))
        return refused;
    if (auto refused = read_patterns(claims, settings.channels_claim, whose, identity.channels))
        return refused;
    if (auto refused = read_patterns(claims, settings.publish_claim, whose, identity.publish))
        return refused;
    identity.info = claims.find(settings.info_claim);
    for (const std::string& name : settings.kept_claims)
        if (const std::string_view value = claims.find(name); !value.empty())
            identity.claims.push_back({name, std::string(value)});
    return std::nullopt;
}

} // namespace fanhorn
