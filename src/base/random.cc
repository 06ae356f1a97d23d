// SPDX-License-Identifier: Apache-2.0
#include "base/random.h"

#include "base/check.h"

#include <bit>
#include <cerrno>
#include <sys/random.h>

namespace fanhorn {
namespace {

// xoshiro128++ 1.0 by Blackman and Vigna (public domain).
class Xoshiro {
  public:
    Xoshiro() {
        random_bytes(state_, sizeof state_);
        state_[0] |= 1; // all zeros is the one state it never leaves
    }

    uint32_t next() {
        const uint32_t result = std::rotl(state_[0] + state_[3], 7) + state_[0];
        const uint32_t shifted = state_[1] << 9;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= shifted;
        state_[3] = std::rotl(state_[3], 11);
        return result;
    }

  private:
    uint32_t state_[4];
};

} // namespace

void random_bytes(void* out, size_t size) {
    auto* at = static_cast<char*>(out);
    while (size > 0) {
        const ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        CHECK(got > 0); // without randomness there are no keys, and nothing is safe
        at += got;
        size -= static_cast<size_t>(got);
    }
}

uint64_t random_u64() {
    uint64_t number;
    random_bytes(&number, sizeof number);
    return number;
}

uint32_t random_below(uint32_t bound) {
    CHECK(bound > 0);
    thread_local Xoshiro generator;
    // Lemire's multiplication: the bias of at most bound / 2^32 does not matter to jitter.
    const uint64_t product = generator.next() * uint64_t{bound};
    return static_cast<uint32_t>(product >> 32);
}

} // namespace fanhorn
