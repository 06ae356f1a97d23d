// SPDX-License-Identifier: Apache-2.0
#include "base/heap.h"

#include <array>
#include <cstdint>
#include <cstdlib>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

namespace fanhorn {

namespace {

// glibc's own, M_TOP_PAD of mallopt(3).
constexpr int kUsualGrowth = 128 << 10;
// Less is not worth it; mallopt() takes an int.
constexpr size_t kLeast = 4 << 20, kMost = 1 << 30;

void grow_by([[maybe_unused]] size_t bytes) {
#ifdef __GLIBC__
    mallopt(M_TOP_PAD, static_cast<int>(bytes));
#endif
}

} // namespace

// Pieces are taken until the heap's end moves, and given back. Where it does not, the next piece
// comes from elsewhere, or there is none: then all is as it was.
HeapGrowth::HeapGrowth(size_t bytes) {
    if (bytes < kLeast)
        return;
    grow_by(bytes < kMost ? bytes : kMost);
    constexpr size_t kPiece = 8 << 10; // small enough for the heap itself
    std::array<void*, 128> pieces{};
    char* const before = static_cast<char*>(sbrk(0));
    for (void*& piece : pieces) {
        piece = std::malloc(kPiece);
        if (!piece || sbrk(0) != before)
            break;
    }
    if (char* const end = static_cast<char*>(sbrk(0)); end > before)
        use_huge_pages(before, static_cast<size_t>(end - before));
    else
        grow_by(kUsualGrowth);
    for (void* piece : pieces)
        std::free(piece);
}

HeapGrowth::~HeapGrowth() {
    grow_by(kUsualGrowth);
}

void use_huge_pages(void* begin, size_t bytes) {
    const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    const uintptr_t from = (reinterpret_cast<uintptr_t>(begin) + page - 1) / page * page;
    const uintptr_t to = (reinterpret_cast<uintptr_t>(begin) + bytes) / page * page;
    if (from < to)
        (void)madvise(reinterpret_cast<void*>(from), to - from, MADV_HUGEPAGE); // or not
}

} // namespace fanhorn
