// SPDX-License-Identifier: Apache-2.0
#include "relay/conflation.h"

#include "base/hash.h"
#include "base/text.h"

#include <algorithm>
#include <optional>
#include <string>

namespace fanhorn {

namespace {

std::optional<uint64_t> find_key(const Message& message, std::string_view tag) {
    std::string_view rest = message.tags;
    while (!tag.empty() && !rest.empty()) {
        const std::string_view each = take_until(rest, ',');
        const size_t equals = each.find('=');
        if (equals != each.npos && each.substr(0, equals) == tag)
            return keyed_hash(message.channel + '\n' + std::string(each.substr(equals + 1)));
    }
    return std::nullopt;
}

} // namespace

const Stretch& Conflation::scan(const Stretch& rest) {
    if (!is_scanning()) {
        state_ = State::Scanning;
        newest_.clear();
        left_ = kMaxMessages;
        stretch_ = rest;
    }
    return stretch_;
}

void Conflation::note(const Message& message, std::string_view tag) {
    if (const auto key = find_key(message, tag))
        newest_[*key] = message.position.seq;
}

void Conflation::end_page(Page&& page) {
    left_ -= std::min(left_, page.messages.size());
    stretch_ = std::move(page.rest);
    if (!page.is_end && left_ > 0)
        return;
    until_ = stretch_.after;
    stretch_ = {};
    state_ = State::Ready;
}

bool Conflation::is_superseded(const Message& message, std::string_view tag) const {
    const auto key = find_key(message, tag);
    if (!key)
        return false;
    const auto found = newest_.find(*key);
    return found != newest_.end() && found->second > message.position.seq;
}

} // namespace fanhorn
