// SPDX-License-Identifier: Apache-2.0
// The rows of [hooks NAME].
#include "server/endpoint.h"
#include "server/hook_settings.h"
#include "server/options_rows.h"

namespace fanhorn {

namespace {

constexpr size_t kLeastSecretBytes = 32, kMostSecretBytes = 1024;

Result<std::string> check_secret(std::string_view text) {
    if (text.size() < kLeastSecretBytes || text.size() > kMostSecretBytes)
        return Error{"has less than 32 bytes, or more than 1024"};
    return std::string(text);
}

Result<std::string> check_pattern(std::string_view text) {
    if (auto pattern = Pattern::parse(text); !pattern)
        return Error{pattern.error()};
    return std::string(text);
}

constexpr Row kHooksRows[] = {
    {.name = "url",
     .type = Type::Text,
     .binding = kField<&HookSettings::url>,
     .max = kMaxTextBytes,
     .check = check_endpoint,
     .meta = "Ar http://host/path",
     .documentation =
         "Where the application is told by POST: http://HOST[:PORT]/PATH, the same with https, or "
         "http://unix:/SOCKET:/PATH.\n"
         "An answer of 200 to 299 says that it has the events; after anything else, and after "
         "none, they are sent again, after a pause of half a second that doubles up to half a "
         "minute, jittered.\n"
         "Names are resolved at start and reload."},
    {.name = "tls_ca",
     .type = Type::Text,
     .binding = kField<&HookSettings::tls_ca>,
     .preset = "",
     .max = kMaxTextBytes,
     .check = check_path,
     .meta = "Ar /path",
     .documentation =
         "A file with the certificates, in PEM, of which an https 'url' must have one: of the "
         "authorities that sign it, or its own; empty: those of the system's store."},
    {.name = "tls_certificate",
     .type = Type::Text,
     .binding = kField<&HookSettings::tls_certificate>,
     .preset = "",
     .max = kMaxTextBytes,
     .check = check_path,
     .meta = "Ar /path",
     .documentation = "A file with a certificate of ours in PEM, for an https 'url' that asks for "
                      "one; empty: none."},
    {.name = "tls_key",
     .type = Type::Text,
     .binding = kField<&HookSettings::tls_key>,
     .preset = "",
     .max = kMaxTextBytes,
     .check = check_path,
     .meta = "Ar /path",
     .documentation = "The file with its private key, in PEM without a password."},
    {.name = "secret",
     .type = Type::Texts,
     .binding = kField<&HookSettings::secrets>,
     .min = 1,
     .max = 2,
     .check = check_secret,
     .is_secret = true,
     .meta = "Ar text",
     .documentation =
         "What requests are signed with, 32 to 1024 bytes: the header Fanhorn-Signature is "
         "t=SECONDS,v1=HEX, where HEX is the HMAC-SHA256 with it over SECONDS, a dot and the body "
         "as it came.\n"
         "Two of them give two v1, while the application changes from one to the other.\n"
         "Better written as ${file:/path} or ${cred:NAME}, so that it is not in here."},
    {.name = "events",
     .type = Type::Flags,
     .binding = kField<&HookSettings::events>,
     .preset = "connected, disconnected, joined, left, occupied, vacated, offline",
     .min = 1,
     .choices = kHookEvents,
     .documentation =
         "What is told: a user's first subscribed connection and the end of his last (connected, "
         "disconnected), a user on a channel with presence (joined, left), a channel's first "
         "subscriber and the end of its last (occupied, vacated), and a message for a user, by "
         "POST /users/USER, that found none of his connections (offline).\n"
         "All of this daemon alone, and of clients that a token names where it is of a user."},
    {.name = "channels",
     .type = Type::Texts,
     .binding = kField<&HookSettings::channels>,
     .preset = "",
     .max = 1000,
     .check = check_pattern,
     .meta = "Ar pattern",
     .documentation =
         "Patterns of the channels of which joined, left, occupied and vacated are told; empty: "
         "all but reserved ones."},
    {.name = "grace",
     .type = Type::Duration,
     .binding = kField<&HookSettings::grace>,
     .preset = "5s",
     .max = kHour,
     .documentation =
         "Who is back within this time has not gone: neither disconnected, left or vacated nor "
         "its counterpart is told.\n"
         "Polls come and go all the time.\n"
         "Of several sections the longest holds for all."},
    {.name = "delay",
     .type = Type::Duration,
     .binding = kField<&HookSettings::delay>,
     .preset = "500ms",
     .max = 60 * kSecond,
     .documentation = "How long an event waits for others that go with it, good to 200 ms."},
    {.name = "batch_events",
     .type = Type::Count,
     .binding = kField<&HookSettings::batch_events>,
     .preset = "500",
     .min = 1,
     .max = 10'000,
     .documentation = "Events of one request."},
    {.name = "batch_bytes",
     .type = Type::Size,
     .binding = kField<&HookSettings::batch_bytes>,
     .preset = "256k",
     .min = kKilo,
     .max = 16 * kMega,
     .documentation = "Bytes of one request's events, of which one always goes."},
    {.name = "timeout",
     .type = Type::Duration,
     .binding = kField<&HookSettings::timeout>,
     .preset = "5s",
     .min = 100,
     .max = 60 * kSecond,
     .documentation = "How long the application may take for a request."},
    {.name = "queue_events",
     .type = Type::Count,
     .binding = kField<&HookSettings::queue_events>,
     .preset = "100k",
     .min = 1,
     .max = 10'000'000,
     .documentation =
         "Events that wait for the application; the oldest is dropped for one beyond.\n"
         "How many were dropped, here and by the two bounds below, is in the metrics and the log, "
         "and in the next request, as 'dropped'."},
    {.name = "queue_bytes",
     .type = Type::Size,
     .binding = kField<&HookSettings::queue_bytes>,
     .preset = "16m",
     .min = 64 * kKilo,
     .max = 4 * kGiga - 1,
     .documentation = "Their bytes, likewise."},
    {.name = "queue_age",
     .type = Type::Duration,
     .binding = kField<&HookSettings::queue_age>,
     .preset = "1h",
     .min = kSecond,
     .max = 7 * kDay,
     .documentation = "How long an event waits for the application at most."},
};

} // namespace

std::span<const Row> hooks_rows() {
    return kHooksRows;
}

} // namespace fanhorn
