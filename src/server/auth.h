// SPDX-License-Identifier: Apache-2.0
// From tokens to what a client may do. Refusals are counted here.
#pragma once

#include "http/problem.h"
#include "http/request.h"
#include "relay/identity.h"
#include "server/config.h"
#include "server/publisher.h"

#include <optional>
#include <string_view>
#include <variant>
#include <vector>

namespace fanhorn {

// A token as it came, and in what.
struct Credential {
    std::string token;
    bool is_cookie = false;
};

// What must be asked before anything is looked at.
struct Question {
    std::shared_ptr<const Authority> authority;
    Credential credential;
};

// What one client may do, while a request or a command of it is being looked at. On its worker's
// thread; all that it is given outlives it.
class Rights {
  public:
    Rights(Identities& identities, Counters& counters)
        : identities_(identities), counters_(counters) {}
    virtual ~Rights() = default;
    Rights(const Rights&) = delete;
    Rights& operator=(const Rights&) = delete;

    // Why it may not, see identity.h.
    std::optional<http::Problem> may_subscribe(std::string_view channel,
                                               const ChannelSettings& settings);
    std::optional<http::Problem> may_publish(std::string_view channel,
                                             const ChannelSettings& settings);
    // Why there is no user whom a token names, when there is none.
    std::optional<http::Problem>
    must_be_user(const std::vector<std::shared_ptr<const Authority>>& authorities);
    // A further token, that came in a command. One of another user than the client's is refused.
    std::optional<http::Problem> accept(const Authority& authority, std::string_view token);

    const Identities& identities() const { return identities_; }

    // Whom the token gives in any of these, where one came with what is being looked at. A problem
    // when it was given and none takes it.
    virtual std::optional<http::Problem>
    introduce(const std::vector<std::shared_ptr<const Authority>>&) {
        return std::nullopt;
    }

  protected:
    // Whether there is an identity of that section; makes one where that is possible.
    virtual std::optional<http::Problem> require(const Authority& authority);
    http::Problem refused(const TokenRefusal& refusal);
    std::optional<http::Problem> counted(std::optional<http::Problem> problem);

    Identities& identities_;
    Counters& counters_;
};

// Those of a request, whose token is checked once for each [auth] section that asks for one.
class Caller final : public Rights {
  public:
    Caller(const http::Request& request, const ListenerSettings& listener, Identities& identities,
           Counters& counters)
        : Rights(identities, counters), request_(request), listener_(listener) {}

    // Whether its client may publish, which asks for no token.
    bool can_publish(std::string_view channel, const ChannelSettings& settings);
    // Whether it passes the listener's `auth`, when there is one.
    std::optional<http::Problem> may_enter();
    // Of these sections the first whose application must be asked about the token, and that token.
    std::optional<Question>
    question(const std::vector<std::shared_ptr<const Authority>>& authorities) const;
    // Keeps it for what will be asked later.
    std::optional<http::Problem>
    introduce(const std::vector<std::shared_ptr<const Authority>>& authorities) override;

  private:
    std::optional<http::Problem> require(const Authority& authority) override;
    std::variant<Credential, TokenRefusal> credential(const Authority& authority) const;
    std::variant<IdentityRef, TokenRefusal> identify(const Authority& authority) const;
    // What is wrong with the token, when it is; `identities_` has its identity otherwise.
    std::optional<TokenRefusal> find(const Authority& authority);

    const http::Request& request_;
    const ListenerSettings& listener_;
};

// Gives a problem to each that the identity (null: whoever) may not publish.
void check_attempts(const Identity* identity, Attempts& attempts, Counters& counters);

} // namespace fanhorn
