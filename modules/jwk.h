// SPDX-License-Identifier: Apache-2.0
// The keys of an [auth] section, from a secret, from PEM or from JSON Web Keys (RFC 7517).
#pragma once

#include "base/signature.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

struct TokenKey {
    VerificationKey key;
    std::string id;                              // `kid`, "" for none
    std::optional<SignatureAlgorithm> algorithm; // the only one, where the key says so

    bool fits(SignatureAlgorithm wanted) const {
        return (!algorithm || *algorithm == wanted) && key.fits(wanted);
    }
};
using TokenKeys = std::vector<TokenKey>;

// What a key file holds: PUBLIC KEY blocks in PEM, a JWK set, or one JWK. Keys of kinds that we do
// not have, or that are not for signatures, are passed over (RFC 7517 section 5); at least one must
// be left. The error goes on behind the file's name.
Result<TokenKeys> read_keys(std::string_view text);

} // namespace fanhorn
