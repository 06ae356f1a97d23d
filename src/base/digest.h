// SPDX-License-Identifier: Apache-2.0
// SHA-1 (for RFC 6455's handshake only), SHA-256, and comparison of secrets. Any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace fanhorn {

std::array<uint8_t, 20> sha1(std::string_view bytes);
std::array<uint8_t, 32> sha256(std::string_view bytes);
std::array<uint8_t, 32> hmac_sha256(std::string_view key, std::string_view bytes); // RFC 2104

// The first digest has the library read its configuration and load what it needs, 130 KiB: before a
// loop runs, on which nothing may block.
void load_digests();

// Takes the same time wherever two texts of one length differ; the length is no secret.
bool equal_in_constant_time(std::string_view left, std::string_view right);

// The library below, for -V.
std::string_view crypto_library_version();

} // namespace fanhorn
