// SPDX-License-Identifier: Apache-2.0
#include "modules/jwt.h"

#include "base/text.h"

#include <array>
#include <cstdlib>

namespace fanhorn {

namespace {

constexpr double kMaxDateS = 1e11; // the year 5138

Result<void> read_header(std::string_view text, Jwt& jwt) {
    const auto header = JsonObject::read(text);
    if (!header)
        return Error{"the token's header is not a JSON object, or has a name twice"};
    // We understand no extension, so none may be critical (RFC 7515 section 4.1.11).
    if (!header->find("crit").empty())
        return Error{"the token's header has 'crit', and nothing that it can name is known here"};
    const auto algorithm = header->string("alg");
    if (!algorithm)
        return Error{"the token's header has no 'alg'"};
    jwt.algorithm = *algorithm;
    jwt.key_id = header->string("kid");
    if (!jwt.key_id && !header->find("kid").empty())
        return Error{"the token's 'kid' is not a string"};
    return {};
}

} // namespace

Result<Jwt> parse_jwt(std::string_view token) {
    const auto parts = split(token, '.');
    if (parts.size() == 5)
        return Error{"the token is encrypted (RFC 7516); signed ones are taken here"};
    if (parts.size() != 3)
        return Error{"a token is three parts with '.' between them"};
    std::array<std::string, 3> decoded;
    for (size_t i = 0; i < 3; ++i) {
        auto bytes = base64url_decode(parts[i]);
        if (!bytes)
            return Error{"part " + std::to_string(i + 1) + " of the token is not base64url"};
        decoded[i] = std::move(*bytes);
    }
    Jwt jwt;
    jwt.signed_text = token.substr(0, parts[0].size() + 1 + parts[1].size());
    jwt.payload = std::move(decoded[1]);
    jwt.signature = std::move(decoded[2]);
    if (auto header = read_header(decoded[0], jwt); !header)
        return Error{header.error()};
    return jwt;
}

std::optional<Millis> numeric_date(std::string_view value) {
    if (value.empty() || json_kind(value) != JsonKind::Number)
        return std::nullopt;
    const double seconds = std::strtod(std::string(value).c_str(), nullptr);
    if (!(seconds >= 0 && seconds < kMaxDateS))
        return std::nullopt;
    return static_cast<Millis>(seconds * 1000);
}

} // namespace fanhorn
