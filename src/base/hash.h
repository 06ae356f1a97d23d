// SPDX-License-Identifier: Apache-2.0
// SipHash-1-3 under a key of this process: for every table whose names come from outside.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fanhorn {

struct SipKey {
    uint64_t low = 0, high = 0;
};

// The bare function, the same on every machine.
uint64_t siphash13(SipKey key, std::string_view bytes);

// Under a key drawn once in the life of the process: never write it down or send it. Any thread.
uint64_t keyed_hash(std::string_view bytes);

// For std::unordered_map<std::string, T, KeyedHash, std::equal_to<>>: find() takes a string_view.
struct KeyedHash {
    using is_transparent = void;
    size_t operator()(std::string_view bytes) const { return keyed_hash(bytes); }
};

} // namespace fanhorn
