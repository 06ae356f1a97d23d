// SPDX-License-Identifier: Apache-2.0
#include "modules/jwk.h"

#include "base/secret.h"
#include "base/text.h"
#include "modules/json_object.h"

#include <algorithm>

namespace fanhorn {

namespace {

using Kind = VerificationKey::Kind;

// The bytes of a base64url member; "" when it is missing or is not that.
std::string bytes_of(const JsonObject& jwk, std::string_view name) {
    auto text = jwk.string(name);
    if (!text)
        return "";
    std::string bytes = base64url_decode(*text).value_or("");
    wipe(*text); // it may be a secret
    return bytes;
}

// RFC 7517 sections 4.2 and 4.3.
bool is_for_signatures(const JsonObject& jwk) {
    const auto use = jwk.string("use");
    if (use && *use != "sig")
        return false;
    const std::string_view operations = jwk.find("key_ops");
    if (operations.empty())
        return true;
    const auto names = json_strings(operations);
    return names && std::find(names->begin(), names->end(), "verify") != names->end();
}

// RFC 7518 section 6 and RFC 8037 section 2. Nothing for what is none of ours.
std::optional<Result<VerificationKey>> key_of(const JsonObject& jwk) {
    const std::string type = jwk.string("kty").value_or("");
    const std::string curve = jwk.string("crv").value_or("");
    if (type == "oct")
        return VerificationKey::secret(bytes_of(jwk, "k"));
    if (type == "RSA")
        return VerificationKey::rsa(bytes_of(jwk, "n"), bytes_of(jwk, "e"));
    if (type == "EC" && (curve == "P-256" || curve == "P-384"))
        return VerificationKey::ec(curve == "P-384" ? Kind::P384 : Kind::P256, bytes_of(jwk, "x"),
                                   bytes_of(jwk, "y"));
    if (type == "OKP" && curve == "Ed25519")
        return VerificationKey::ed25519(bytes_of(jwk, "x"));
    return std::nullopt;
}

Result<void> add_jwk(std::string_view text, TokenKeys& keys) {
    const auto jwk = JsonObject::read(text);
    if (!jwk)
        return Error{"is not an object, or has a name twice"};
    if (!jwk->find("d").empty())
        return Error{"is a private key; what checks tokens needs the public one only"};
    const auto named = jwk->string("alg");
    const auto algorithm = named ? algorithm_named(*named) : std::nullopt;
    auto key = key_of(*jwk);
    if (!key || !is_for_signatures(*jwk) || (named && !algorithm))
        return {};
    if (!*key)
        return Error{key->error()};
    if (algorithm && !(*key)->fits(*algorithm))
        return Error{"names an algorithm that it does not fit"};
    keys.push_back({std::move(**key), jwk->string("kid").value_or(""), algorithm});
    return {};
}

Result<TokenKeys> read_jwks(std::string_view text) {
    const auto set = JsonObject::read(text);
    if (!set)
        return Error{"is not JSON, or has a name twice"};
    std::vector<JsonPart> parts;
    if (set->find("kty").empty()) {
        const std::string_view list = set->find("keys");
        if (list.empty() || read_json(list, 32, &parts) != JsonKind::Array)
            return Error{"has no \"keys\", which is a list (RFC 7517 section 5)"};
    } else {
        parts.push_back({{}, text});
    }
    TokenKeys keys;
    for (size_t i = 0; i < parts.size(); ++i)
        if (auto added = add_jwk(parts[i].value, keys); !added)
            return Error{"key " + std::to_string(i + 1) + " " + added.error()};
    if (keys.empty())
        return Error{"has no key that checks signatures"};
    return keys;
}

} // namespace

Result<TokenKeys> read_keys(std::string_view text) {
    if (text.substr(0, text.find_first_not_of(" \t\r\n") + 1).ends_with('{'))
        return read_jwks(text);
    auto pem = read_pem_keys(text);
    if (!pem)
        return Error{pem.error()};
    TokenKeys keys;
    for (VerificationKey& key : *pem)
        keys.push_back({std::move(key), "", std::nullopt});
    return keys;
}

} // namespace fanhorn
