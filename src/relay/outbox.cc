// SPDX-License-Identifier: Apache-2.0
#include "relay/outbox.h"

#include <algorithm>

namespace fanhorn {

void Outbox::set_rest(SegmentRef segment, uint32_t begin, uint32_t end) {
    CHECK(empty());
    CHECK(begin < end);
    rest_ = std::move(segment);
    rest_begin_ = begin;
    rest_end_ = end;
}

std::string& Outbox::own() {
    if (!own_) {
        own_ = make_ref<Segment>();
        own_begin_ = 0;
    }
    return own_->bytes;
}

bool Outbox::write(Sink& sink) {
    if (own_ && own_bytes() == 0)
        own_ = nullptr;
    while (!empty()) {
        iovec pieces[2];
        int count = 0;
        if (rest_)
            pieces[count++] = {rest_->bytes.data() + rest_begin_, rest_end_ - rest_begin_};
        if (own_)
            pieces[count++] = {own_->bytes.data() + own_begin_, own_bytes()};
        const ssize_t written = sink.write(pieces, count);
        if (written < 0)
            return false;
        size_t left = static_cast<size_t>(written);
        if (rest_) {
            const size_t of_rest = std::min<size_t>(left, rest_end_ - rest_begin_);
            rest_begin_ += static_cast<uint32_t>(of_rest);
            left -= of_rest;
            if (rest_begin_ < rest_end_)
                return true;
            rest_ = nullptr;
        }
        if (own_) {
            own_begin_ += static_cast<uint32_t>(left);
            if (own_bytes() != 0)
                return true;
            own_ = nullptr;
        }
    }
    return true;
}

} // namespace fanhorn
