// SPDX-License-Identifier: Apache-2.0
// Headers of the segments and groups of LogStore, as bytes and back. All numbers are little-endian.
#pragma once

#include "base/hash.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fanhorn {

inline constexpr size_t kSaltBytes = 16, kBootBytes = 16;
inline constexpr size_t kSegmentHeaderBytes =
    16 + kSaltBytes + kBootBytes + 9 * sizeof(uint64_t) + 4;
inline constexpr size_t kGroupHeaderBytes =
    kSaltBytes + 4 * sizeof(uint64_t) + 3 * sizeof(uint32_t);

struct SegmentHeader {
    std::string salt; // begins each group: nobody can publish what looks like one
    std::string boot; // boot_digest()
    uint64_t number = 0, epoch = 0, ceiling = 0;
    uint64_t previous_end = 0, previous_synced = 0; // of the segment before
    uint64_t head = 0;                              // no seq above is in one before
    SipKey key;
    bool is_lazy = false; // LogSync::EverySecond
};

struct LogGroup {
    uint32_t kind = 0;
    uint64_t value = 0;   // of that kind, see LogStore
    uint64_t synced = 0;  // so much of the segment was on the disk
    uint64_t ceiling = 0; // of seqs
    std::string_view entries;
    size_t end = 0; // behind it
};

std::string boot_digest(std::string_view boot);
std::string segment_header(const SegmentHeader& header);
// Nothing where it is damaged.
std::optional<SegmentHeader> read_segment_header(std::string_view bytes);

void append_group(std::string& out, std::string_view salt, const LogGroup& group);
// Nothing where there is none, or not all of it, or it is damaged.
std::optional<LogGroup> read_group(std::string_view bytes, size_t at, std::string_view salt);
// Without a look at its entries.
std::optional<LogGroup> read_group_header(std::string_view bytes, size_t at, std::string_view salt);

} // namespace fanhorn
