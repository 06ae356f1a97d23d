// SPDX-License-Identifier: Apache-2.0
// What the process that ends and the one that takes its place write to each other: a letter is a
// word and its fields (modules/packed_fields.h).
#pragma once

#include "modules/packed_fields.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

// The name of the environment variable that has the number of the socket between them.
inline constexpr const char* kUpgradeVariable = "FANHORN_UPGRADE_FD";

// Of all but Hello, Welcome and Sockets: the letters, the state and the records. To be raised when
// any of them changes; processes whose formats differ share listeners and nothing else.
inline constexpr uint64_t kUpgradeFormat = 1;

//   new                                           old
//   Hello format                          ->
//                                         <-      Welcome format pid, count of Sockets letters
//                                         <-      Sockets (key worker)*, with them: listeners
//   Ready key*                            ->
//                                         <-      State, with it: a file in memory
//                                         <-      Sockets, with them: at most 252 connections
//   Got                                   ->
//                                         <-      Complete count
//   Adopted                               ->
//                                         <-      Commit
//   Taken                                 ->
//
// Sockets and Got as often as it takes. Up to Taken the new one has touched nothing, and the old
// one can go on. Failed, with a reason, may come in place of any of the new one's.
enum class Word : uint8_t {
    Hello = 1,
    Welcome,
    Sockets,
    Ready,
    State,
    Got,
    Complete,
    Adopted,
    Commit,
    Taken,
    Failed,
};

inline std::string letter(Word word) {
    return std::string(1, static_cast<char>(word));
}

// How upgrades have ended, as the metric has them.
enum class UpgradeEnd : uint8_t { Done, Failed, Refused };
inline constexpr size_t kUpgradeEnds = 3;
std::string_view upgrade_end_name(UpgradeEnd end);

// What the State's file has; the connections' sockets follow in their order.
struct HandedState {
    struct Named {
        std::string_view name, state;
    };
    struct Record {
        uint64_t worker = 0;
        std::string_view record;
    };
    int64_t frozen_at_micros = 0; // on the machine's clock
    int64_t absent_until = 0;     // when who has not come by then has gone
    std::array<uint64_t, kUpgradeEnds> upgrades{};
    std::vector<uint64_t> totals; // of Counters
    std::string_view hooks;
    std::vector<Named> brokers;
    std::vector<Record> records;
};

std::string pack_state(const HandedState& state);
// Views of `bytes`. None: not understood.
std::optional<HandedState> unpack_state(std::string_view bytes);

} // namespace fanhorn
