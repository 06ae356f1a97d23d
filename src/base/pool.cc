// SPDX-License-Identifier: Apache-2.0
#include "base/pool.h"

#include <algorithm>
#include <utility>

namespace fanhorn {

// At the front of its memory, which is aligned to its size: so a piece finds it.
struct Pool::Block {
    Pool* owner = nullptr;
    Block* previous = nullptr;
    Block* next = nullptr;
    Free* free = nullptr; // pieces that were given back
    uint32_t fresh = 0;   // pieces that were never taken begin with this one
    uint32_t taken = 0;

    char* piece(size_t index, size_t size) {
        return reinterpret_cast<char*>(this) + sizeof(Block) + index * size;
    }
};

Pool::Pool(size_t size)
    : size_(std::max(size, sizeof(Free))), per_block_((kBlockBytes - sizeof(Block)) / size_) {
    CHECK(size_ % alignof(void*) == 0);
    CHECK(per_block_ > 0);
}

Pool::~Pool() {
    if (spare_)
        unlink(*spare_);
    std::free(std::exchange(spare_, nullptr));
}

Pool::Block& Pool::block_of(void* piece) {
    return *reinterpret_cast<Block*>(reinterpret_cast<uintptr_t>(piece) & ~(kBlockBytes - 1));
}

void Pool::link(Block& block) {
    block.previous = nullptr;
    block.next = open_;
    if (open_)
        open_->previous = &block;
    open_ = &block;
}

void Pool::unlink(Block& block) {
    (block.previous ? block.previous->next : open_) = block.next;
    if (block.next)
        block.next->previous = block.previous;
}

Pool::Block* Pool::add_block() {
    void* memory = std::aligned_alloc(kBlockBytes, kBlockBytes);
    CHECK(memory);
    auto* block = new (memory) Block;
    block->owner = this;
    ASAN_POISON_MEMORY_REGION(block->piece(0, size_), per_block_ * size_);
    ++blocks_;
    link(*block);
    return block;
}

void* Pool::take() {
    Block& block = open_ ? *open_ : *add_block();
    if (&block == spare_)
        spare_ = nullptr;
    void* piece = block.free;
    if (piece) {
        ASAN_UNPOISON_MEMORY_REGION(piece, size_);
        block.free = block.free->next;
    } else {
        piece = block.piece(block.fresh++, size_);
        ASAN_UNPOISON_MEMORY_REGION(piece, size_);
    }
    if (++block.taken == per_block_)
        unlink(block);
    return piece;
}

void Pool::give(void* piece) {
    if (!piece)
        return;
    Block& block = block_of(piece);
    CHECK(block.owner == this);
    if (block.taken-- == per_block_)
        link(block);
    block.free = new (piece) Free{block.free};
    ASAN_POISON_MEMORY_REGION(piece, size_);
    if (block.taken > 0)
        return;
    if (!spare_) {
        spare_ = &block;
        return;
    }
    unlink(block);
    ASAN_UNPOISON_MEMORY_REGION(&block, kBlockBytes);
    std::free(&block);
    --blocks_;
}

} // namespace fanhorn
