// SPDX-License-Identifier: Apache-2.0
// The rows of [auth NAME].
#include "server/config.h"
#include "server/endpoint.h"
#include "server/options_rows.h"

namespace fanhorn {

namespace {

constexpr uint64_t kMaxSecretBytes = 1024;

// RFC 6265 section 4.1.1.
Result<std::string> check_cookie(std::string_view text) {
    if (text.find_first_of(" \t()<>@,;:\\\"/[]?={}") != text.npos)
        return Error{"is not the name of a cookie"};
    return std::string(text);
}

constexpr Row kAuthRows[] = {
    {.name = "type",
     .type = Type::Choice,
     .binding = kField<&AuthSettings::type>,
     .choices = "jwt bearer callback",
     .documentation =
         "What a token is: jwt is signed by your application and says what its bearer may do, "
         "bearer is one of 'tokens' and may do all that it is asked for, and with callback the "
         "application is asked what it is and says what its bearer may do.\n"
         "jwt needs secret or keys, bearer needs tokens, and callback needs url; the keys of one "
         "are refused in the others."},
    {.name = "algorithms",
     .type = Type::Choices,
     .binding = kField<&AuthSettings::algorithms>,
     .preset = "",
     .choices = "HS256 HS384 HS512 RS256 PS256 ES256 ES384 EdDSA",
     .documentation = "How tokens may be signed; empty: in each way that the keys fit.\n"
                      "What a token says about itself never adds to it, and none is never taken."},
    {.name = "secret",
     .type = Type::Text,
     .binding = kField<&AuthSettings::secret>,
     .preset = "",
     .max = kMaxSecretBytes,
     .is_secret = true,
     .meta = "Ar text",
     .documentation = "What the application signs with, for the HS algorithms: at least as many "
                      "bytes as the digest has, 32, 48 or 64.\n"
                      "Better written as ${file:/path} or ${cred:NAME}, so that it is not in "
                      "here."},
    {.name = "keys",
     .type = Type::Texts,
     .binding = kField<&AuthSettings::keys>,
     .preset = "",
     .max = 16,
     .check = check_path,
     .meta = "Ar /path",
     .documentation =
         "Files with the keys that check signatures: PUBLIC KEY blocks in PEM, or a set of JSON "
         "Web Keys (oct, RSA, EC on P-256 and P-384, OKP with Ed25519).\n"
         "A token that names a kid is checked with the keys of that name and those without "
         "one.\n"
         "A reload reads them again."},
    {.name = "audience",
     .type = Type::Texts,
     .binding = kField<&AuthSettings::audience>,
     .preset = "",
     .max = 16,
     .meta = "Ar text",
     .documentation = "A token's aud must name one of these.\n"
                      "Empty: it must have no aud."},
    {.name = "issuer",
     .type = Type::Text,
     .binding = kField<&AuthSettings::issuer>,
     .preset = "",
     .max = kMaxTextBytes,
     .meta = "Ar text",
     .documentation = "A token's iss must be this; empty: anything."},
    {.name = "leeway",
     .type = Type::Duration,
     .binding = kField<&AuthSettings::leeway>,
     .preset = "5s",
     .max = kHour,
     .documentation = "How far the clocks of this machine and of the application may differ, for "
                      "a token's exp and nbf.\n"
                      "An open connection has that much longer to bring a new token."},
    {.name = "require_expiry",
     .type = Type::Switch,
     .binding = kField<&AuthSettings::require_expiry>,
     .preset = "on",
     .documentation = "Whether a token without exp is refused: it would be valid for ever."},
    {.name = "user_claim",
     .type = Type::Text,
     .binding = kField<&AuthSettings::user_claim>,
     .preset = "sub",
     .min = 1,
     .max = kMaxTextBytes,
     .meta = "Ar name",
     .documentation = "The claim that names the user; a token need not have it."},
    {.name = "channels_claim",
     .type = Type::Text,
     .binding = kField<&AuthSettings::channels_claim>,
     .preset = "channels",
     .min = 1,
     .max = kMaxTextBytes,
     .meta = "Ar name",
     .documentation = "The claim with the patterns of the channels that may be subscribed to: a "
                      "list of at most 256, or one text.\n"
                      "Without it, none may."},
    {.name = "publish_claim",
     .type = Type::Text,
     .binding = kField<&AuthSettings::publish_claim>,
     .preset = "publish",
     .min = 1,
     .max = kMaxTextBytes,
     .meta = "Ar name",
     .documentation = "The same for the channels that may be published to."},
    {.name = "info_claim",
     .type = Type::Text,
     .binding = kField<&AuthSettings::info_claim>,
     .preset = "info",
     .min = 1,
     .max = kMaxTextBytes,
     .meta = "Ar name",
     .documentation = "The claim with what others may know of the user, any JSON value."},
    {.name = "cookie",
     .type = Type::Text,
     .binding = kField<&AuthSettings::cookie>,
     .preset = "",
     .max = 64,
     .check = check_cookie,
     .meta = "Ar name",
     .documentation =
         "The cookie that may bring the token, for pages of the listener's own origin and of "
         "those that 'origins' lists by name; empty: none."},
    {.name = "token_size",
     .type = Type::Size,
     .binding = kField<&AuthSettings::token_size>,
     .preset = "8k",
     .min = 64,
     .max = 64 * kKilo,
     .documentation = "Bytes of a token; answered with 401 beyond."},
    {.name = "tokens",
     .type = Type::Texts,
     .binding = kField<&AuthSettings::tokens>,
     .preset = "",
     .max = 100,
     .is_secret = true,
     .meta = "Ar text",
     .documentation = "The tokens of type bearer, each of at least 16 letters and digits.\n"
                      "Better written as ${file:/path} or ${cred:NAME}, one each."},
    {.name = "url",
     .type = Type::Text,
     .binding = kField<&AuthSettings::url>,
     .preset = "",
     .max = kMaxTextBytes,
     .check = check_endpoint,
     .meta = "Ar http://host/path",
     .documentation =
         "Where the application of type callback is asked, by GET with the client's Authorization: "
         "Bearer or its 'cookie': http://HOST[:PORT]/PATH, the same with https, or "
         "http://unix:/SOCKET:/PATH.\n"
         "It answers 200 with a JSON object of claims as a token has them (all optional: sub, "
         "channels, publish, info, exp), 401 to a token that is not valid and 403 to one that is "
         "refused.\n"
         "Anything else, and no answer, is 503 for the client; after five of these in a row the "
         "application is left alone for a second, and longer each time, up to half a minute.\n"
         "Names are resolved at start and reload."},
    {.name = "tls_ca",
     .type = Type::Text,
     .binding = kField<&AuthSettings::tls_ca>,
     .preset = "",
     .max = kMaxTextBytes,
     .check = check_path,
     .meta = "Ar /path",
     .documentation =
         "A file with the certificates, in PEM, of which an https 'url' must have one: of the "
         "authorities that sign it, or its own; empty: those of the system's store.\n"
         "In each case it must be for the host that the url names, and TLS 1.2 or later be "
         "spoken; else that is told in the log, and is no answer."},
    {.name = "tls_certificate",
     .type = Type::Text,
     .binding = kField<&AuthSettings::tls_certificate>,
     .preset = "",
     .max = kMaxTextBytes,
     .check = check_path,
     .meta = "Ar /path",
     .documentation = "A file with a certificate of ours in PEM, for an https 'url' that asks for "
                      "one; empty: none."},
    {.name = "tls_key",
     .type = Type::Text,
     .binding = kField<&AuthSettings::tls_key>,
     .preset = "",
     .max = kMaxTextBytes,
     .check = check_path,
     .meta = "Ar /path",
     .documentation = "The file with its private key, in PEM without a password.\n"
                      "A reload reads these files again."},
    {.name = "timeout",
     .type = Type::Duration,
     .binding = kField<&AuthSettings::timeout>,
     .preset = "2s",
     .min = 100,
     .max = 60 * kSecond,
     .documentation = "How long the application may take."},
    {.name = "cache",
     .type = Type::Duration,
     .binding = kField<&AuthSettings::cache>,
     .preset = "10s",
     .min = kSecond,
     .max = kHour,
     .documentation = "How long its answer holds for the same token, a refusal as well.\n"
                      "A connection that is open stays open; exp and DELETE /users/USER end it."},
    {.name = "cache_answers",
     .type = Type::Count,
     .binding = kField<&AuthSettings::cache_answers>,
     .preset = "100k",
     .min = 1,
     .max = 10'000'000,
     .documentation = "Answers that are kept at once, of all workers; beyond, the oldest goes, and "
                      "its token is asked about again."},
};

} // namespace

std::span<const Row> auth_rows() {
    return kAuthRows;
}

} // namespace fanhorn
