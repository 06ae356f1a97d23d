// SPDX-License-Identifier: Apache-2.0
// [auth] sections of `type = callback`: the application says whose a token is, and what it may do.
// What it said is kept for `cache`, for all workers, by digests of the tokens.
#include "base/digest.h"
#include "base/hash.h"
#include "base/text.h"
#include "modules/claims.h"
#include "modules/jwt.h"

#include <algorithm>
#include <deque>
#include <mutex>
#include <unordered_map>

namespace fanhorn {

namespace {

// How long it is believed that the application is away.
constexpr Millis kAwayFor = 1000;

using Verdict = std::variant<IdentityRef, TokenRefusal>;

TokenRefusal away(std::string detail) {
    return {AuthRefusal::Unavailable, std::move(detail), "overloaded"};
}

// What may stand in a header field without meaning anything else there.
bool is_sendable(std::string_view token) {
    return !token.empty() && std::all_of(token.begin(), token.end(),
                                         [](char byte) { return byte > 0x20 && byte < 0x7f; });
}

class CallbackAuthority final : public Authority {
  public:
    explicit CallbackAuthority(AuthSettings settings)
        : Authority(settings.name, settings.cookie),
          settings_(std::move(settings)), inquiry_{settings_.url, settings_.timeout} {}

    static std::variant<std::shared_ptr<const Authority>, AuthFault> create(AuthSettings settings) {
        if (settings.url.empty())
            return AuthFault{"type", 0, "callback needs 'url'"};
        return std::make_shared<const CallbackAuthority>(std::move(settings));
    }

    const Inquiry* inquiry() const override { return &inquiry_; }

    // What cannot be asked about needs no question.
    bool knows(std::string_view token, Millis now) const override {
        return refused_unseen(token) || find(token, now);
    }

    Verdict identify(std::string_view token, Millis now) const override {
        if (auto refused = refused_unseen(token))
            return *refused;
        const auto found = find(token, now);
        if (!found)
            return away("the application has not been asked about this token");
        const auto* identity = std::get_if<IdentityRef>(&*found);
        if (identity && (*identity)->is_expired(now))
            return TokenRefusal{AuthRefusal::Expired, "what the application allowed has expired"};
        return *found;
    }

    bool learn(std::string_view token, int status, std::string_view body,
               Millis now) const override {
        Verdict verdict = judge(status, body);
        const auto* refusal = std::get_if<TokenRefusal>(&verdict);
        const bool is_away = refusal && refusal->why == AuthRefusal::Unavailable;
        const Millis until =
            now + (is_away ? std::min(kAwayFor, settings_.cache) : settings_.cache);
        const std::string key = key_of(token);
        std::lock_guard lock(mutex_);
        answers_.insert_or_assign(key, Answer{std::move(verdict), until});
        order_.emplace_back(until, key);
        return forget_some(now);
    }

  private:
    struct Answer {
        Verdict verdict;
        Millis until;
    };

    static std::string key_of(std::string_view token) {
        const auto digest = sha256(token);
        return {digest.begin(), digest.end()};
    }

    std::optional<TokenRefusal> refused_unseen(std::string_view token) const {
        if (token.size() > settings_.token_size)
            return TokenRefusal{AuthRefusal::Large, "the token is longer than 'token_size'"};
        if (!is_sendable(token))
            return TokenRefusal{AuthRefusal::Malformed,
                                "the token has blanks, control characters or none at all"};
        return std::nullopt;
    }

    std::optional<Verdict> find(std::string_view token, Millis now) const {
        const std::string key = key_of(token);
        std::lock_guard lock(mutex_);
        const auto found = answers_.find(key);
        if (found == answers_.end() || now >= found->second.until)
            return std::nullopt;
        return found->second.verdict;
    }

    // In the order of learning, not quite that of `until`: what lasts short may stay a little.
    // Whether one goes that still held.
    bool forget_some(Millis now) const {
        bool is_early = false;
        while (!order_.empty() &&
               (order_.front().first <= now || order_.size() > settings_.cache_answers)) {
            const auto& [until, key] = order_.front();
            const auto found = answers_.find(key);
            if (found != answers_.end() && found->second.until == until) {
                is_early |= until > now;
                answers_.erase(found);
            }
            order_.pop_front();
        }
        return is_early;
    }

    Verdict judge(int status, std::string_view body) const {
        const std::string app = "the application that [auth " + name() + "] asks ";
        if (status == 0)
            return away(app + std::string(body));
        if (status == 401)
            return TokenRefusal{AuthRefusal::Denied, app + "does not know this token"};
        if (status == 403)
            return TokenRefusal{AuthRefusal::Denied, app + "refuses", "forbidden"};
        if (status < 200 || status > 299)
            return away(app + "answered " + std::to_string(status));
        return read_answer(body.empty() ? "{}" : body, app);
    }

    Verdict read_answer(std::string_view body, const std::string& app) const {
        const auto claims = JsonObject::read(body);
        if (!claims)
            return away(app + "answered what is no JSON object");
        auto identity = make_ref<Identity>();
        identity->authority = name();
        if (auto refused = read_claims(*claims, settings_, "the application's", *identity))
            return away(refused->detail);
        const std::string_view expiry = claims->find("exp");
        const auto expires = numeric_date(expiry);
        if (!expires && !expiry.empty())
            return away("the application's 'exp' is not a date");
        identity->expires = expires ? std::max<Millis>(*expires, 1) : 0;
        return IdentityRef(identity.get());
    }

    const AuthSettings settings_;
    const Inquiry inquiry_;
    mutable std::mutex mutex_;
    mutable std::unordered_map<std::string, Answer, KeyedHash, std::equal_to<>> answers_;
    mutable std::deque<std::pair<Millis, std::string>> order_;
};

} // namespace

extern const AuthModule auth_callback;
const AuthModule auth_callback = {"callback",
                                  "url tls_ca tls_certificate tls_key timeout cache cache_answers "
                                  "user_claim channels_claim publish_claim info_claim cookie "
                                  "token_size",
                                  &CallbackAuthority::create};

} // namespace fanhorn
