// SPDX-License-Identifier: Apache-2.0
#include "ctl/bench_counters.h"

#include "base/check.h"

#include <sys/mman.h>

#include <new>

namespace fanhorn::ctl::load {

Shared& make_shared_counters(unsigned processes) {
    static_assert(sizeof(Shared) <= alignof(Tally));
    const size_t bytes = alignof(Tally) + processes * sizeof(Tally);
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    auto* tallies = reinterpret_cast<Tally*>(static_cast<char*>(memory) + alignof(Tally));
    for (unsigned i = 0; i < processes; ++i)
        new (tallies + i) Tally();
    auto* shared = new (memory) Shared();
    shared->tallies = {tallies, processes};
    return *shared;
}

} // namespace fanhorn::ctl::load
