// SPDX-License-Identifier: Apache-2.0
// Any text is a token or is refused, and without our signature it is refused. Up to a line end the
// input is also a header, and what follows are claims, which are signed here: what they give is
// what another JSON parser reads. And the whole is a key file.
#include "modules/auth_jwt.h"
#include "tests/unit/token_maker.h"

#include <cstdlib>
#include <nlohmann/json.hpp>

using namespace fanhorn;

constexpr Millis kNow = 1'800'000'000'000;

static void require(bool is_true) {
    if (!is_true)
        std::abort();
}

static const std::string& secret() {
    static const std::string kSecret = "known to nobody but this process";
    return kSecret;
}

static const Authority& authority() {
    static const auto kAuthority = [] {
        AuthSettings settings;
        settings.name = "users";
        settings.secret = secret();
        return std::get<std::shared_ptr<const Authority>>(JwtAuthority::create(settings));
    }();
    return *kAuthority;
}

// Numbers that no double holds are JSON to us and not to it.
static void expect_agreement(std::string_view claims, const Identity& identity) {
    const auto json = nlohmann::json::parse(claims, nullptr, false);
    if (json.is_discarded())
        return;
    require(json.is_object());
    require(json.value("sub", "") == identity.user);
    require(json.contains("info") != identity.info.empty());
    const size_t patterns = identity.channels.size();
    if (json.contains("channels"))
        require(patterns == (json["channels"].is_string() ? 1 : json["channels"].size()));
    else
        require(patterns == 0);
}

static void expect_identity(std::string_view claims, const Identity& identity) {
    require(identity.authority == "users");
    require(identity.user.empty() || is_channel_name("$user:" + identity.user));
    require(identity.expires > kNow && !identity.is_expired(kNow));
    require(claims.find(identity.info) != claims.npos);
    for (const Pattern& pattern : identity.channels)
        require(Pattern::parse(pattern.text()).ok());
    expect_agreement(claims, identity);
}

static void expect_refusal(const std::variant<IdentityRef, TokenRefusal>& found) {
    const auto* refusal = std::get_if<TokenRefusal>(&found);
    require(refusal && !refusal->detail.empty());
    require(refusal->detail.find(secret()) == std::string::npos);
}

static void expect_signed(std::string_view header, std::string_view claims) {
    const auto found =
        authority().identify(secret_token(secret(), claims, std::string(header)), kNow);
    if (const auto* identity = std::get_if<IdentityRef>(&found))
        return expect_identity(claims, **identity);
    expect_refusal(found);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    std::string_view text(reinterpret_cast<const char*>(data), size);
    expect_refusal(authority().identify(text, kNow));
    if (auto keys = read_keys(text))
        require(!keys->empty());
    else
        require(!keys.error().empty());
    const std::string_view header = take_until(text, '\n');
    expect_refusal(authority().identify(signed_part(header, text) + ".", kNow));
    expect_signed(header, text);
    expect_signed(R"({"alg":"HS256"})", text);
    return 0;
}
