// SPDX-License-Identifier: Apache-2.0
// Memory for objects of one size that live long and come in great numbers. They lie side by side in
// blocks of their own, without the allocator's header, and what lives for a request only leaves no
// holes between them.
#pragma once

#include "base/check.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#define FANHORN_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FANHORN_ASAN 1
#endif
#endif

#ifdef FANHORN_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) static_cast<void>(0)
#define ASAN_UNPOISON_MEMORY_REGION(address, size) static_cast<void>(0)
#endif

namespace fanhorn {

// Pieces of `size` bytes. A block goes back to the system when its last piece does, but for one
// that is kept. Not thread-safe.
class Pool {
  public:
    static constexpr size_t kBlockBytes = 256 << 10;

    explicit Pool(size_t size);
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    void* take();
    void give(void* piece);
    size_t blocks() const { return blocks_; }

  private:
    struct Block;
    struct Free {
        Free* next;
    };
    Block* add_block();
    void link(Block& block);
    void unlink(Block& block);
    static Block& block_of(void* piece);

    const size_t size_;
    const size_t per_block_;
    Block* open_ = nullptr;  // blocks that have a free piece, doubly linked
    Block* spare_ = nullptr; // one of them, without any piece taken
    size_t blocks_ = 0;
};

// Derive T from Pooled<T>: new and delete use a pool of the thread, which must be the same one for
// both.
template <typename T> class Pooled {
  public:
    static void* operator new(size_t size) {
        CHECK(size == sizeof(T));
        return pool().take();
    }
    static void operator delete(void* piece) { pool().give(piece); }

  protected:
    Pooled() = default;
    ~Pooled() = default;

  private:
    static Pool& pool() {
        static thread_local Pool pool(sizeof(T));
        return pool;
    }
};

} // namespace fanhorn
