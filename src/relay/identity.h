// SPDX-License-Identifier: Apache-2.0
// Who a client is and what it may do, and the seam of those who vouch for it ([auth] sections).
#pragma once

#include "base/clock.h"
#include "base/ref.h"
#include "http/problem.h"
#include "relay/counters.h"
#include "relay/pattern.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace fanhorn {

struct ChannelSettings;

// What a token says. Constant; any thread.
struct Identity final : AtomicCount {
    std::string authority; // the [auth] section that vouches for it
    std::string user;      // "" for none; else "$user:" + user is a channel name
    std::string info;      // a JSON value as the token has it, "" for none
    std::vector<Pattern> channels, publish;
    // Those that rules ask for; values as they are written.
    struct Claim {
        std::string name, value;
    };
    std::vector<Claim> claims;
    Millis expires = 0; // of wall_millis(), leeway included; 0: never

    bool owns(std::string_view channel) const;     // the user's own
    bool may_read(std::string_view channel) const; // or every one of a wildcard's
    bool may_write(std::string_view channel) const;
    bool may_write_all() const; // every channel of the application's
    bool is_expired(Millis now) const { return expires != 0 && now >= expires; }
};
using IdentityRef = Ref<const Identity>;

// Whom the tokens of one client gave: at most one of each [auth] section.
class Identities {
  public:
    // Of the section with that name; null when there is none.
    const Identity* of(std::string_view authority) const;
    // Instead of what that section gave before.
    void take(IdentityRef identity);
    const std::vector<IdentityRef>& all() const { return held_; }
    bool empty() const { return held_.empty(); }
    void clear() { held_.clear(); }
    // "" for nobody in particular.
    std::string_view user() const;
    // What others may know of the user, a JSON value; "" for nothing.
    std::string_view info() const;
    // When the first of them ends, of wall_millis(); 0: never.
    Millis expires() const;

  private:
    std::vector<IdentityRef> held_;
};

struct TokenRefusal {
    AuthRefusal why = AuthRefusal::Malformed;
    std::string detail; // for the problem; nothing secret is in it
    std::string_view code = "unauthorized";
};

// Where the application is asked about tokens, by HTTP.
struct Inquiry {
    std::string url;
    Millis timeout = 0; // of one question
};

// An [auth] section. Constant after loading; any thread.
class Authority {
  public:
    Authority(std::string name, std::string cookie)
        : name_(std::move(name)), cookie_(std::move(cookie)) {}
    virtual ~Authority() = default;
    Authority(const Authority&) = delete;
    Authority& operator=(const Authority&) = delete;

    // Whose token it is; `now` is wall_millis(). Asks nobody and reads no file.
    virtual std::variant<IdentityRef, TokenRefusal> identify(std::string_view token,
                                                             Millis now) const = 0;

    // Not null where a token's worth is the application's to say: what knows() not is asked for
    // first, and identify() then says what was learnt.
    virtual const Inquiry* inquiry() const { return nullptr; }
    virtual bool knows(std::string_view, Millis) const { return true; }
    // The application's answer, for a while. `status` 0: there was none, for the reason in `body`.
    // Whether another one that still held had to go for it.
    virtual bool learn(std::string_view, int, std::string_view, Millis) const { return false; }

    const std::string& name() const { return name_; }
    // The cookie that may bring a token, "" for none.
    const std::string& cookie() const { return cookie_; }

  private:
    const std::string name_, cookie_;
};

// An [auth] section as it was read, for the module of its type.
struct AuthSettings {
    std::string name;
    std::string type = "jwt";
    std::vector<std::string> algorithms; // empty: all that the keys fit
    std::string secret;
    std::vector<std::string> keys;      // paths
    std::vector<std::string> key_texts; // what those files hold, one each
    std::vector<std::string> audience;
    std::string issuer;
    Millis leeway = 5000;
    bool require_expiry = true;
    std::string user_claim = "sub", channels_claim = "channels", publish_claim = "publish",
                info_claim = "info";
    std::string cookie;
    size_t token_size = 8 << 10;
    std::vector<std::string> tokens;
    std::vector<std::string> kept_claims; // that rules of channels ask for
    std::string url;
    std::string tls_ca, tls_certificate, tls_key; // paths
    Millis timeout = 2000, cache = 10'000;
    uint32_t cache_answers = 100'000;

    AuthSettings() = default;
    AuthSettings(const AuthSettings&) = default;
    AuthSettings(AuthSettings&&) = default;
    AuthSettings& operator=(const AuthSettings&) = default;
    AuthSettings& operator=(AuthSettings&&) = default;
    ~AuthSettings() { wipe_secrets(); }
    // `secret`, `key_texts` and `tokens`, from memory too.
    void wipe_secrets();
};

// What is wrong with one of them: `key` says which, `item` which of a list. The text goes on behind
// "key: " and quotes no secret.
struct AuthFault {
    std::string_view key;
    size_t item = 0;
    std::string text;
};

struct AuthModule {
    std::string_view type; // as in `type`
    std::string_view keys; // that are its own, by blanks
    std::variant<std::shared_ptr<const Authority>, AuthFault> (*create)(AuthSettings settings);
};

// Its code, with that detail.
http::Problem token_problem(const TokenRefusal& refusal);

// Why whoever has that identity (null: none) may not do it under the channel's settings; nothing
// when it may. 401 where another token could help, 403 where this one is not enough. An expired
// identity is none.
std::optional<http::Problem> subscribe_refusal(const Identity* identity, std::string_view channel,
                                               const ChannelSettings& settings, Millis now);
std::optional<http::Problem> publish_refusal(const Identity* identity, std::string_view channel,
                                             const ChannelSettings& settings, Millis now);
// The same for what goes on behind a listener's `auth`, of which it is an identity.
std::optional<http::Problem> backend_refusal(const Identity& identity, std::string_view channel);

} // namespace fanhorn
