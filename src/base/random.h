// SPDX-License-Identifier: Apache-2.0
// Randomness: the kernel's for secrets and names, a cheap one for jitter. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fanhorn {

// From the kernel's generator; fit for secrets.
void random_bytes(void* out, size_t size);
uint64_t random_u64();

// 0 .. bound-1 (bound > 0), from a generator of the thread's own: for jitter, never for secrets.
uint32_t random_below(uint32_t bound);

} // namespace fanhorn
