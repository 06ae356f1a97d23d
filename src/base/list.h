// SPDX-License-Identifier: Apache-2.0
// An intrusive doubly linked list. A state that is "which list am I on" costs two pointers and
// nothing else; a hook unlinks itself when its owner dies.
#pragma once

#include "base/check.h"

#include <cstddef>

namespace fanhorn {

class Hook {
  public:
    Hook() = default;
    Hook(const Hook&) = delete;
    Hook& operator=(const Hook&) = delete;
    ~Hook() { unlink(); }

    bool is_linked() const { return next_ != nullptr; }
    void unlink() {
        if (!next_)
            return;
        previous_->next_ = next_;
        next_->previous_ = previous_;
        previous_ = next_ = nullptr;
    }

  private:
    template <typename T, Hook T::*member> friend class List;
    Hook* previous_ = nullptr;
    Hook* next_ = nullptr;
};

// A list of T through its member hook. It borrows its elements: destroying the list unlinks them.
template <typename T, Hook T::*member> class List {
  public:
    List() { head_.previous_ = head_.next_ = &head_; }
    ~List() { clear(); }
    List(const List&) = delete;
    List& operator=(const List&) = delete;

    bool empty() const { return head_.next_ == &head_; }
    T* front() const { return empty() ? nullptr : owner(head_.next_); }
    T* back() const { return empty() ? nullptr : owner(head_.previous_); }
    // The element behind `element`, or null at the end.
    T* next(T& element) const {
        Hook* hook = (element.*member).next_;
        return hook == &head_ ? nullptr : owner(hook);
    }

    // CHECKs that the element is on no list.
    void push_back(T& element) { insert(element, *head_.previous_, head_); }

    T* pop_front() {
        T* element = front();
        if (element)
            (element->*member).unlink();
        return element;
    }

    // Moves all of `other` to the end of this list in constant time.
    void splice_back(List& other) {
        if (other.empty())
            return;
        Hook* first = other.head_.next_;
        Hook* last = other.head_.previous_;
        other.head_.previous_ = other.head_.next_ = &other.head_;
        first->previous_ = head_.previous_;
        head_.previous_->next_ = first;
        last->next_ = &head_;
        head_.previous_ = last;
    }

    void clear() {
        while (pop_front()) {
        }
    }

  private:
    static T* owner(Hook* hook) {
        // The hook is a member of T; its offset is the same in every T.
        const auto offset =
            reinterpret_cast<size_t>(&(reinterpret_cast<T*>(kProbe)->*member)) - kProbe;
        return reinterpret_cast<T*>(reinterpret_cast<char*>(hook) - offset);
    }
    static void insert(T& element, Hook& before, Hook& after) {
        Hook& hook = element.*member;
        CHECK(!hook.is_linked());
        hook.previous_ = &before;
        hook.next_ = &after;
        before.next_ = &hook;
        after.previous_ = &hook;
    }

    static constexpr size_t kProbe = 4096; // any aligned address: nothing is read there
    Hook head_;
};

} // namespace fanhorn
