// SPDX-License-Identifier: Apache-2.0
// [auth] sections of `type = bearer`: secrets that the operator hands to programs of its own. Who
// has one may do all that the section is asked about.
#include "base/digest.h"
#include "relay/identity.h"

#include <algorithm>

namespace fanhorn {

namespace {

constexpr size_t kMinTokenBytes = 16;

// RFC 6750 section 2.1: what can stand behind `Bearer`.
bool is_b64token(std::string_view text) {
    const size_t end = text.find_last_not_of('=') + 1;
    constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                         "0123456789-._~+/";
    return end > 0 && text.substr(0, end).find_first_not_of(kDigits) == text.npos;
}

class BearerAuthority final : public Authority {
  public:
    explicit BearerAuthority(const AuthSettings& settings) : Authority(settings.name, "") {
        for (const std::string& token : settings.tokens)
            digests_.push_back(sha256(token));
        auto identity = make_ref<Identity>();
        identity->authority = settings.name;
        identity->channels = {*Pattern::parse("**")};
        identity->publish = identity->channels;
        identity_ = IdentityRef(identity.get());
    }

    static std::variant<std::shared_ptr<const Authority>, AuthFault> create(AuthSettings settings) {
        if (settings.tokens.empty())
            return AuthFault{"type", 0, "bearer needs 'tokens'"};
        for (size_t i = 0; i < settings.tokens.size(); ++i)
            if (settings.tokens[i].size() < kMinTokenBytes || !is_b64token(settings.tokens[i]))
                return AuthFault{"tokens", i,
                                 "a token has at least 16 of the letters, digits and -._~+/ "
                                 "(RFC 6750 section 2.1)"};
        return std::make_shared<const BearerAuthority>(settings);
    }

    // Digests of one length, all of them looked at: the time it takes tells nothing.
    std::variant<IdentityRef, TokenRefusal> identify(std::string_view token,
                                                     Millis) const override {
        const auto digest = sha256(token);
        const auto text_of = [](const Digest& bytes) {
            return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        };
        bool is_known = false;
        for (const Digest& each : digests_)
            is_known |= equal_in_constant_time(text_of(each), text_of(digest));
        if (is_known)
            return identity_;
        return TokenRefusal{AuthRefusal::Signature, "the token is none of 'tokens'"};
    }

  private:
    using Digest = std::array<uint8_t, 32>;
    std::vector<Digest> digests_;
    IdentityRef identity_;
};

} // namespace

extern const AuthModule auth_bearer;
const AuthModule auth_bearer = {"bearer", "tokens", &BearerAuthority::create};

} // namespace fanhorn
