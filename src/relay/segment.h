// SPDX-License-Identifier: Apache-2.0
// Ready bytes that many connections send from.
#pragma once

#include "base/ref.h"

#include <cstddef>
#include <string>

namespace fanhorn {

// Stays on its worker. Grows only at its end; what is in it never changes.
struct Segment final : LocalCount {
    // A segment takes no further frame once it is this large: what a stopped reader pins.
    static constexpr size_t kFullBytes = 8 << 10;
    std::string bytes;
};

using SegmentRef = Ref<Segment>;

} // namespace fanhorn
