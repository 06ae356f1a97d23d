// SPDX-License-Identifier: Apache-2.0
#include "modules/auth_jwt.h"

#include "base/check.h"
#include "base/text.h"
#include "modules/claims.h"

#include <algorithm>

namespace fanhorn {

namespace {

// Keys of one section: a token without `kid` is tried with each that fits.
constexpr size_t kMaxKeys = 32;

TokenRefusal refusal(AuthRefusal why, std::string detail) {
    return {why, std::move(detail)};
}

// "12 s", "5 min", "3 h", "2 d".
std::string duration_text(Millis duration) {
    struct Unit {
        Millis size;
        const char* name;
    };
    constexpr Unit kUnits[] = {{86'400'000, " d"}, {3'600'000, " h"}, {60'000, " min"}};
    for (const Unit& unit : kUnits)
        if (duration >= 2 * unit.size)
            return std::to_string(duration / unit.size) + unit.name;
    return std::to_string(duration / 1000) + " s";
}

AuthFault fault(std::string_view key, size_t item, std::string text) {
    return {key, item, std::move(text)};
}

// The section's keys, or what is wrong with them.
std::optional<AuthFault> collect_keys(const AuthSettings& settings, TokenKeys& keys) {
    if (settings.secret.empty() == settings.keys.empty())
        return fault("type", 0, "jwt needs 'secret' or 'keys', and not both");
    if (!settings.secret.empty()) {
        auto secret = VerificationKey::secret(settings.secret);
        if (!secret)
            return fault("secret", 0, "the secret " + secret.error());
        keys.push_back({std::move(*secret), "", std::nullopt});
    }
    for (size_t i = 0; i < settings.keys.size(); ++i) {
        auto more = read_keys(settings.key_texts[i]);
        if (!more)
            return fault("keys", i, "'" + settings.keys[i] + "' " + more.error());
        std::move(more->begin(), more->end(), std::back_inserter(keys));
        if (keys.size() > kMaxKeys)
            return fault("keys", i, "there are more than " + std::to_string(kMaxKeys) + " keys");
    }
    return std::nullopt;
}

bool fits_any(SignatureAlgorithm algorithm, const TokenKeys& keys) {
    return std::any_of(keys.begin(), keys.end(),
                       [&](const TokenKey& key) { return key.fits(algorithm); });
}

std::optional<AuthFault> choose_algorithms(const AuthSettings& settings, const TokenKeys& keys,
                                           std::vector<SignatureAlgorithm>& chosen) {
    for (size_t i = 0; i < settings.algorithms.size(); ++i) {
        const auto algorithm = algorithm_named(settings.algorithms[i]);
        CHECK(algorithm); // the row's words are ours
        if (!fits_any(*algorithm, keys))
            return fault("algorithms", i,
                         settings.algorithms[i] + " fits none of the section's keys");
        chosen.push_back(*algorithm);
    }
    for (size_t i = 0; settings.algorithms.empty() && i < kSignatureAlgorithms; ++i)
        if (fits_any(static_cast<SignatureAlgorithm>(i), keys))
            chosen.push_back(static_cast<SignatureAlgorithm>(i));
    return std::nullopt;
}

} // namespace

std::variant<std::shared_ptr<const Authority>, AuthFault>
JwtAuthority::create(AuthSettings settings) {
    TokenKeys keys;
    if (auto fault = collect_keys(settings, keys))
        return *fault;
    std::vector<SignatureAlgorithm> algorithms;
    if (auto fault = choose_algorithms(settings, keys, algorithms))
        return *fault;
    settings.wipe_secrets();
    return std::shared_ptr<const Authority>(
        new JwtAuthority(std::move(settings), std::move(keys), std::move(algorithms)));
}

JwtAuthority::JwtAuthority(AuthSettings settings, TokenKeys keys,
                           std::vector<SignatureAlgorithm> algorithms)
    : Authority(settings.name, settings.cookie), settings_(std::move(settings)),
      keys_(std::move(keys)), algorithms_(std::move(algorithms)) {}

std::variant<IdentityRef, TokenRefusal> JwtAuthority::identify(std::string_view token,
                                                               Millis now) const {
    if (token.size() > settings_.token_size)
        return refusal(AuthRefusal::Large, "the token is longer than 'token_size'");
    auto jwt = parse_jwt(token);
    if (!jwt)
        return refusal(AuthRefusal::Malformed, jwt.error());
    if (auto refused = check_signature(*jwt))
        return *refused;
    const auto claims = JsonObject::read(jwt->payload);
    if (!claims)
        return refusal(AuthRefusal::Malformed,
                       "the token's claims are not a JSON object, or have a name twice");
    auto identity = make_ref<Identity>();
    identity->authority = name();
    if (auto refused = check_times(*claims, now, *identity))
        return *refused;
    if (auto refused = check_parties(*claims))
        return *refused;
    if (auto refused = read_claims(*claims, settings_, "the token's", *identity))
        return *refused;
    return IdentityRef(identity.get());
}

// The algorithm is one of ours before a key is looked for, and the key is of that algorithm before
// it is used (RFC 8725 sections 3.1 and 3.2).
std::optional<TokenRefusal> JwtAuthority::check_signature(const Jwt& jwt) const {
    const auto algorithm = algorithm_named(jwt.algorithm);
    if (!algorithm ||
        std::find(algorithms_.begin(), algorithms_.end(), *algorithm) == algorithms_.end())
        return refusal(AuthRefusal::Key, "the token's algorithm is not one of 'algorithms'");
    bool is_any = false;
    for (const TokenKey& key : keys_) {
        // A key without an id is meant for every token.
        const bool is_meant = !jwt.key_id || key.id.empty() || key.id == *jwt.key_id;
        if (!is_meant || !key.fits(*algorithm))
            continue;
        is_any = true;
        if (key.key.verifies(*algorithm, jwt.signed_text, jwt.signature))
            return std::nullopt;
    }
    if (!is_any)
        return refusal(AuthRefusal::Key, "no key has the token's 'kid' and algorithm");
    return refusal(AuthRefusal::Signature, "the token's signature is wrong");
}

std::optional<TokenRefusal> JwtAuthority::check_times(const JsonObject& claims, Millis now,
                                                      Identity& identity) const {
    const std::string_view expiry = claims.find("exp");
    const std::string_view beginning = claims.find("nbf");
    const auto expires = numeric_date(expiry);
    const auto begins = numeric_date(beginning);
    if ((!expires && !expiry.empty()) || (!begins && !beginning.empty()))
        return refusal(AuthRefusal::Claims, "the token's 'exp' or 'nbf' is not a date");
    if (!expires && settings_.require_expiry)
        return refusal(AuthRefusal::Claims, "the token has no 'exp', so that it would never end");
    if (expires && now >= *expires + settings_.leeway)
        return refusal(AuthRefusal::Expired,
                       "the token expired " + duration_text(now - *expires) + " ago");
    if (begins && now < *begins - settings_.leeway)
        return refusal(AuthRefusal::Early,
                       "the token is not valid for another " + duration_text(*begins - now));
    identity.expires = expires ? std::max<Millis>(*expires + settings_.leeway, 1) : 0;
    return std::nullopt;
}

std::optional<TokenRefusal> JwtAuthority::check_parties(const JsonObject& claims) const {
    if (!settings_.issuer.empty() && claims.string("iss") != settings_.issuer)
        return refusal(AuthRefusal::Claims, "the token's 'iss' is not 'issuer'");
    const std::string_view audience = claims.find("aud");
    if (audience.empty() && settings_.audience.empty())
        return std::nullopt;
    const auto names = audience.empty() ? std::nullopt : json_strings(audience);
    // RFC 7519 section 4.1.3: a token for others is refused by who has no name of its own, too.
    const auto is_ours = [this](const std::string& name) {
        const auto& ours = settings_.audience;
        return std::find(ours.begin(), ours.end(), name) != ours.end();
    };
    if (names && std::any_of(names->begin(), names->end(), is_ours))
        return std::nullopt;
    return refusal(AuthRefusal::Claims, "the token's 'aud' names none of 'audience'");
}

extern const AuthModule auth_jwt;
const AuthModule auth_jwt = {"jwt",
                             "algorithms secret keys audience issuer leeway require_expiry "
                             "user_claim channels_claim publish_claim info_claim cookie token_size",
                             &JwtAuthority::create};

} // namespace fanhorn
