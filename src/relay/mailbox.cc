// SPDX-License-Identifier: Apache-2.0
#include "relay/mailbox.h"

namespace fanhorn {

void Mailbox::add(Mail mail, std::unique_lock<std::mutex>& lock) {
    const bool first = since_micros_ == 0;
    if (first)
        since_micros_ = monotonic_micros();
    if (mail.message || mail.notice)
        mail_.push_back(std::move(mail));
    lock.unlock();
    if (first)
        wake_();
}

void Mailbox::push(const MessageRef& message) {
    std::unique_lock lock(mutex_);
    const size_t bytes = message->bytes();
    // Once one message was only marked, the later ones are too: order within the box is kept.
    if (!marks_.empty() || bytes_ + bytes > capacity_) {
        marks_[message->channel] = message->position.seq;
        return add({}, lock);
    }
    bytes_ += bytes;
    add({message, nullptr}, lock);
}

void Mailbox::push(std::unique_ptr<Notice> notice) {
    std::unique_lock lock(mutex_);
    add({nullptr, std::move(notice)}, lock);
}

void Mailbox::post(std::function<void()> task) {
    auto notice = std::make_unique<Notice>();
    notice->task = std::move(task);
    push(std::move(notice));
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
