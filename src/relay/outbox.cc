// SPDX-License-Identifier: Apache-2.0
#include "relay/outbox.h"

#include <algorithm>

namespace fanhorn {

void Outbox::set_rest(Rest rest) {
    CHECK(empty());
    CHECK(rest.size() > 0);
    waiting_ = std::make_unique<Waiting>();
    waiting_->rest = std::move(rest);
}

std::string& Outbox::own() {
    if (!waiting_)
        waiting_ = std::make_unique<Waiting>();
    return waiting_->own;
}

void Outbox::Waiting::advance(size_t written) {
    const size_t of_rest = std::min(written, rest.size());
    rest.begin += static_cast<uint32_t>(of_rest);
    if (rest.size() == 0)
        rest.segment = nullptr;
    own_sent += written - of_rest;
}

void Outbox::append_to(std::string& out) const {
    if (!waiting_)
        return;
    if (const Rest& rest = waiting_->rest; rest.size() > 0)
        out.append(rest.segment->bytes, rest.begin, rest.size());
    out.append(waiting_->own, waiting_->own_sent);
}

Outbox::Written Outbox::write(Sink& sink) {
    Written result;
    while (waiting_ && !waiting_->empty()) {
        Rest& rest = waiting_->rest;
        const bool has_rest = rest.size() > 0;
        iovec pieces[2];
        int count = 0;
        if (has_rest)
            pieces[count++] = {rest.segment->bytes.data() + rest.begin, rest.size()};
        if (own_bytes() > 0)
            pieces[count++] = {waiting_->own.data() + waiting_->own_sent, own_bytes()};
        size_t wanted = 0;
        for (int i = 0; i < count; ++i)
            wanted += pieces[i].iov_len;
        const ssize_t written = sink.write(pieces, count);
        if (written < 0)
            return {.is_broken = true};
        waiting_->advance(static_cast<size_t>(written));
        if (has_rest && rest.size() == 0)
            result.seq = rest.seq;
        if (static_cast<size_t>(written) < wanted)
            return result;
    }
    waiting_ = nullptr;
    return result;
}

} // namespace fanhorn
