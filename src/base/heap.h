// SPDX-License-Identifier: Apache-2.0
// Memory in huge pages, where the kernel has them: a fault for each 4 KiB, and what the TLB misses
// of them, is dearer than all that is done with a million small objects.
#pragma once

#include <cstddef>

namespace fanhorn {

// What malloc() has no room for while this lives comes by `bytes` at a time, the first of them in
// huge pages. To be made and ended on the main thread, whose heap it is; where the kernel gives no
// such room, nothing changes.
class HeapGrowth {
  public:
    explicit HeapGrowth(size_t bytes);
    ~HeapGrowth();
    HeapGrowth(const HeapGrowth&) = delete;
    HeapGrowth& operator=(const HeapGrowth&) = delete;
};

// Memory that is there and not yet written to.
void use_huge_pages(void* begin, size_t bytes);

} // namespace fanhorn
