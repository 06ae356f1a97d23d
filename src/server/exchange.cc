// SPDX-License-Identifier: Apache-2.0
#include "server/exchange.h"

#include <utility>

namespace fanhorn {

namespace {

constexpr size_t kMaxKept = 64 << 10; // of a buffer

std::unique_ptr<Exchange>& spare() {
    static thread_local std::unique_ptr<Exchange> spare;
    return spare;
}

} // namespace

void Exchange::clear() {
    parser.restart();
    reader = {};
    route = {};
    channels.clear();
    body = {}; // a payload is moved out of it: with a larger one's capacity it would stay so large
    lines = nullptr;
    for (std::string* each : {&head_bytes, &stash, &out}) {
        each->clear();
        if (each->capacity() > kMaxKept)
            *each = {};
    }
    out_sent = 0;
    is_head = is_whole = has_body = has_begun = false;
    transport = nullptr;
    forget_caller();
    cors.clear();
    if (owner)
        *owner = nullptr;
    if (owner.use_count() > 1) // a reply that is still to come must not find another connection
        owner = nullptr;
}

void Exchange::forget_caller() {
    identities.clear();
    may_publish = false;
}

std::unique_ptr<Exchange> take_exchange(const http::ParserLimits& limits) {
    auto exchange = std::move(spare());
    if (!exchange)
        exchange = std::make_unique<Exchange>();
    exchange->limits = limits;
    return exchange;
}

void give_back(std::unique_ptr<Exchange> exchange) {
    exchange->clear();
    spare() = std::move(exchange);
}

} // namespace fanhorn
