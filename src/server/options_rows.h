// SPDX-License-Identifier: Apache-2.0
// What the files of rows share; for options.cc and those beside it.
#pragma once

#include "server/options.h"

#include <cstdint>
#include <span>

namespace fanhorn {

inline constexpr uint64_t kKilo = 1 << 10, kMega = 1 << 20, kGiga = 1 << 30;         // bytes
inline constexpr uint64_t kSecond = 1000, kHour = 3600 * kSecond, kDay = 24 * kHour; // milliseconds
inline constexpr uint64_t kMaxTextBytes = 150; // keeps a line of -T within what can be read again

// Of a value that is a path.
inline Result<std::string> check_path(std::string_view text) {
    if (!text.starts_with('/'))
        return Error{"is not an absolute path"};
    return std::string(text);
}

std::span<const Row> auth_rows();
std::span<const Row> broker_rows();
std::span<const Row> channel_rows();
std::span<const Row> hooks_rows();
std::span<const Row> limits_rows();
std::span<const Row> tls_rows();

} // namespace fanhorn
