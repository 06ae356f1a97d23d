// SPDX-License-Identifier: Apache-2.0
// A histogram of times in plain memory, so that processes can share it.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace fanhorn::ctl::load {

// Log-linear: 64 buckets for each power of two, so a value is told to within 1.6 %. All values
// fit. One writer; read when that is done. A value-initialised one is empty.
class Histogram {
  public:
    void add(uint64_t value) {
        ++counts_[bucket(value)];
        ++total_;
        max_ = std::max(max_, value);
    }
    void merge(const Histogram& other) {
        for (size_t i = 0; i < kBuckets; ++i)
            counts_[i] += other.counts_[i];
        total_ += other.total_;
        max_ = std::max(max_, other.max_);
    }

    uint64_t total() const { return total_; }
    uint64_t max() const { return max_; } // exact
    // The upper bound of the bucket below which `share` of the values lie; 0 without values.
    uint64_t quantile(double share) const {
        const auto wanted = static_cast<uint64_t>(share * static_cast<double>(total_));
        uint64_t seen = 0;
        for (size_t i = 0; i < kBuckets; ++i)
            if ((seen += counts_[i]) > wanted)
                return std::min(last_value(i), max_);
        return max_;
    }

  private:
    static constexpr unsigned kBits = 6;
    static constexpr size_t kEach = size_t{1} << kBits;
    static constexpr size_t kBuckets = kEach * (64 - kBits + 1);

    static size_t bucket(uint64_t value) {
        if (value < kEach)
            return value;
        const auto shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kBits;
        return (shift + 1) * kEach + (value >> shift) - kEach;
    }
    static uint64_t last_value(size_t index) {
        if (index < kEach)
            return index;
        const auto shift = static_cast<unsigned>(index / kEach - 1);
        return ((kEach + index % kEach + 1) << shift) - 1;
    }

    std::array<uint64_t, kBuckets> counts_{};
    uint64_t total_ = 0, max_ = 0;
};

} // namespace fanhorn::ctl::load
