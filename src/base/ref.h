// SPDX-License-Identifier: Apache-2.0
// Ref<T>: an owning pointer to an object that counts its owners itself.
// AtomicCount for what crosses threads, LocalCount for what stays on one worker: an atomic count
// shared by two workers costs ten times a plain one.
#pragma once

#include "base/check.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace fanhorn {

// Base of an object whose Refs may live on any thread.
class AtomicCount {
  public:
    AtomicCount(const AtomicCount&) = delete;
    AtomicCount& operator=(const AtomicCount&) = delete;
    void retain() const { count_.fetch_add(1, std::memory_order_relaxed); }
    bool release() const { return count_.fetch_sub(1, std::memory_order_acq_rel) == 1; }

  protected:
    AtomicCount() = default;
    ~AtomicCount() = default;

  private:
    mutable std::atomic<uint32_t> count_{0};
};

// Base of an object whose Refs all live on one thread.
class LocalCount {
  public:
    LocalCount(const LocalCount&) = delete;
    LocalCount& operator=(const LocalCount&) = delete;
    void retain() const { ++count_; }
    bool release() const { return --count_ == 0; }
    bool is_shared() const { return count_ > 1; }

  protected:
    LocalCount() = default;
    ~LocalCount() = default;

  private:
    mutable uint32_t count_ = 0;
};

template <typename T> class Ref {
  public:
    Ref() = default;
    Ref(std::nullptr_t) {}
    explicit Ref(T* object) : object_(object) {
        if (object_)
            object_->retain();
    }
    Ref(const Ref& other) : Ref(other.object_) {}
    Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
    Ref& operator=(Ref other) noexcept {
        std::swap(object_, other.object_);
        return *this;
    }
    ~Ref() {
        // NOLINTNEXTLINE(clang-analyzer-cplusplus.NewDelete): it does not follow our counts
        if (object_ && object_->release())
            delete object_;
    }

    T* get() const { return object_; }
    T* operator->() const {
        CHECK(object_);
        return object_; // NOLINT(clang-analyzer-cplusplus.NewDelete): as above
    }
    T& operator*() const {
        CHECK(object_);
        return *object_;
    }
    explicit operator bool() const { return object_ != nullptr; }
    bool operator==(const Ref& other) const { return object_ == other.object_; }

  private:
    T* object_ = nullptr;
};

template <typename T, typename... Args> Ref<T> make_ref(Args&&... args) {
    return Ref<T>(new T(std::forward<Args>(args)...));
}

} // namespace fanhorn
