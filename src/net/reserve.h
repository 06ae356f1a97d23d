// SPDX-License-Identifier: Apache-2.0
// Descriptors kept for when there are no others: one is given up, and what must be opened takes its
// place.
#pragma once

#include "net/socket.h"

#include <array>
#include <atomic>
#include <cstdint>

namespace fanhorn {

// One a worker, on its thread.
class DescriptorReserve {
  public:
    static constexpr size_t kSize = 4;

    // `missing` counts what all reserves of one table of descriptors lack at the moment, and
    // outlives them; null: there is no other in the table.
    explicit DescriptorReserve(std::atomic<uint32_t>* missing = nullptr);
    ~DescriptorReserve();

    // Gives one up. False: none is left.
    [[nodiscard]] bool lend();
    // Opens anew what was given up, as far as there are descriptors.
    void refill();
    // Whether no reserve of the table lacks any. Until then what becomes free is theirs.
    bool is_whole() const { return missing_.load(std::memory_order_relaxed) == 0; }

  private:
    void open_missing();

    std::array<Descriptor, kSize> kept_;
    size_t count_ = 0; // the first ones are there
    std::atomic<uint32_t> own_missing_{0};
    std::atomic<uint32_t>& missing_;
};

} // namespace fanhorn
