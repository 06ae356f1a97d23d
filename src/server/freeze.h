// SPDX-License-Identifier: Apache-2.0
// All workers hold still, while what they have is taken down for the process that takes this one's
// place.
#pragma once

#include "base/clock.h"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace fanhorn {

class Connection;

// A connection that may go: its socket, which stays ours until the other process has it, and what
// server/handed.h has packed of it.
struct Packed {
    Connection* connection = nullptr;
    int socket = -1;
    size_t worker = 0;
    std::string record;
};

// Workers, each on its thread, call settle() until it is false, then hold(); the main thread
// decides. Every call ends when the main thread has given up.
class Freeze {
  public:
    enum class Verdict : uint8_t {
        Open,
        GoOn, // nothing has happened
        Gone, // what was packed is another process's
    };

    // `listeners`: the keys of those that the other process has; connections of others stay.
    Freeze(size_t workers, std::set<std::string> listeners)
        : workers_(workers), listeners_(std::move(listeners)) {}

    // Rounds of settle(), should they never come to rest.
    static constexpr size_t kMostRounds = 50;
    // Waits until all have called it. True: one of them `has_moved` something since the last time,
    // perhaps for others; none does so any more when it is false.
    bool settle(bool has_moved);
    bool takes(const std::string& listener) const { return listeners_.contains(listener); }
    // Gives what it has, and waits for what comes of it.
    Verdict hold(std::vector<Packed> packed);

    // What all have given; none where they do not hold still in time.
    std::optional<std::vector<Packed>> wait(Millis within);
    void decide(Verdict verdict);

  private:
    const size_t workers_;
    const std::set<std::string> listeners_;
    std::mutex mutex_;
    std::condition_variable changed_;
    size_t arrived_ = 0, round_ = 0, held_ = 0;
    bool has_moved_ = false, moved_last_ = false;
    std::vector<Packed> packed_;
    Verdict verdict_ = Verdict::Open;
};

} // namespace fanhorn
