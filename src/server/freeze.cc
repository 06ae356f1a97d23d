// SPDX-License-Identifier: Apache-2.0
#include "server/freeze.h"

#include <chrono>
#include <iterator>
#include <utility>

namespace fanhorn {

bool Freeze::settle(bool has_moved) {
    std::unique_lock lock(mutex_);
    has_moved_ |= has_moved;
    const size_t round = round_;
    if (++arrived_ == workers_) {
        arrived_ = 0;
        moved_last_ = std::exchange(has_moved_, false) && round_ < kMostRounds;
        ++round_;
        changed_.notify_all();
    }
    changed_.wait(lock, [&] { return round_ != round || verdict_ != Verdict::Open; });
    return verdict_ == Verdict::Open && moved_last_;
}

Freeze::Verdict Freeze::hold(std::vector<Packed> packed) {
    std::unique_lock lock(mutex_);
    std::move(packed.begin(), packed.end(), std::back_inserter(packed_));
    ++held_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return verdict_ != Verdict::Open; });
    return verdict_;
}

std::optional<std::vector<Packed>> Freeze::wait(Millis within) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::milliseconds(within),
                           [&] { return held_ == workers_; }))
        return std::nullopt;
    return std::move(packed_);
}

void Freeze::decide(Verdict verdict) {
    const std::lock_guard lock(mutex_);
    verdict_ = verdict;
    changed_.notify_all();
}

} // namespace fanhorn
