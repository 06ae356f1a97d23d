// SPDX-License-Identifier: Apache-2.0
// What changed between two JSON texts, as a JSON Patch (RFC 6902).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace fanhorn {

// Beyond these a text has no patch: it is sent whole.
inline constexpr size_t kMaxPatchDepth = 64;
inline constexpr uint32_t kMaxPatchNodes = 1 << 20; // values in one text; 56 bytes each for a while

// Appends to `out` the patch that makes of `from` what `to` says. False, with `out` as it was, when
// that takes more than `max_bytes`, or one of them is no JSON text, is too deep or too large, or
// has an object with the same name twice.
//
// What comes from `to` is in the patch byte for byte: numbers stay as they were written. Scalars
// that are written alike are the same, objects with the same members in any order too; values are
// compared by keyed hashes of 64 bits. Operations are add, remove and replace. Linear in the two
// sizes, times the depth where much has changed. Any thread.
bool make_patch(std::string& out, std::string_view from, std::string_view to, size_t max_bytes);

} // namespace fanhorn
