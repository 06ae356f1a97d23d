// SPDX-License-Identifier: Apache-2.0
#include "relay/mailbox.h"

namespace fanhorn {

static thread_local Mailbox* own_box = nullptr;

Mailbox* Mailbox::of_this_thread() {
    return own_box;
}

void Mailbox::serve_this_thread() {
    own_box = this;
}

// Whether something comes into an empty box.
bool Mailbox::begin() {
    if (since_micros_ != 0)
        return false;
    since_micros_ = monotonic_micros();
    return true;
}

bool Mailbox::push(const MessageRef& message) {
    const size_t bytes = message->bytes();
    std::lock_guard lock(mutex_);
    // Once one message was only marked, the later ones are too: order within the box is kept.
    if (!marks_.empty() || bytes_ + bytes > capacity_) {
        marks_[message->channel] = message->position.seq;
        return begin();
    }
    bytes_ += bytes;
    mail_.push_back({message, nullptr});
    return begin();
}

bool Mailbox::push(std::unique_ptr<Notice> notice) {
    std::lock_guard lock(mutex_);
    mail_.push_back({nullptr, std::move(notice)});
    return begin();
}

void Mailbox::post(std::function<void()> task) {
    auto notice = std::make_unique<Notice>();
    notice->task = std::move(task);
    if (push(std::move(notice)))
        wake();
}

void Mailbox::take(Batch& batch) {
    batch.mail.clear();
    batch.marks.clear();
    std::lock_guard lock(mutex_);
    batch.mail.swap(mail_);
    batch.marks.swap(marks_);
    batch.since_micros = since_micros_;
    since_micros_ = 0;
    bytes_ = 0;
}

void Mailbox::set_capacity(size_t bytes) {
    std::lock_guard lock(mutex_);
    capacity_ = bytes;
}

} // namespace fanhorn
