// SPDX-License-Identifier: Apache-2.0
// [auth] sections of `type = jwt`: tokens that an application signs.
#pragma once

#include "modules/jwk.h"
#include "modules/jwt.h"
#include "relay/identity.h"

namespace fanhorn {

class JwtAuthority final : public Authority {
  public:
    static std::variant<std::shared_ptr<const Authority>, AuthFault> create(AuthSettings settings);

    std::variant<IdentityRef, TokenRefusal> identify(std::string_view token,
                                                     Millis now) const override;

  private:
    JwtAuthority(AuthSettings settings, TokenKeys keys, std::vector<SignatureAlgorithm> algorithms);

    std::optional<TokenRefusal> check_signature(const Jwt& jwt) const;
    std::optional<TokenRefusal> check_times(const JsonObject& claims, Millis now,
                                            Identity& identity) const;
    std::optional<TokenRefusal> check_parties(const JsonObject& claims) const;

    const AuthSettings settings_;
    const TokenKeys keys_;
    const std::vector<SignatureAlgorithm> algorithms_;
};

} // namespace fanhorn
