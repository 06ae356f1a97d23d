// SPDX-License-Identifier: Apache-2.0
// The HTTP side of a connection while a request is being read or answered. An idle or subscribed
// connection has none.
#pragma once

#include "base/list.h"
#include "http/body.h"
#include "http/parser.h"
#include "http/request.h"
#include "relay/identity.h"
#include "relay/transport.h"
#include "server/line_publisher.h"
#include "server/routes.h"

#include <memory>
#include <string>
#include <vector>

namespace fanhorn {

class Connection;

struct Exchange {
    // Output that waits for the socket before further requests are looked at.
    static constexpr size_t kMaxOut = 256 << 10;

    Exchange() : parser(limits), request(parser.head().request) {}
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;

    http::ParserLimits limits;
    http::RequestParser parser;
    http::Request& request; // the parser's
    http::BodyReader reader;
    Route route;
    std::vector<std::string> channels; // of the path, decoded
    std::string body;
    std::string head_bytes;               // of a request that is coming, where it came in pieces
    std::unique_ptr<LinePublisher> lines; // a streamed NDJSON body
    std::string stash;                    // bytes behind the request that is being answered
    std::string out;                      // answers
    size_t out_sent = 0;
    Hook unread;                      // on the worker's list of those whose rest waits
    Connection* connection = nullptr; // then: who has not taken it
    bool is_head = false;             // HEAD: no body is sent
    bool is_whole = false;            // the request has been read to its end
    bool has_body = false;
    bool has_begun = false;         // the head of a streamed answer is in `out`
    Transport* transport = nullptr; // that a subscription negotiated
    Identities identities;          // that its token gave
    bool may_publish = false;       // a subscription's client, to its only channel
    std::string cors;               // lines for every answer to this request
    // Replies that come after the connection has gone find null.
    std::shared_ptr<Connection*> owner;

    // Whether nothing of a request or an answer is in it.
    bool is_unused() const { return parser.is_new() && out.empty() && stash.empty(); }
    size_t out_pending() const { return out.size() - out_sent; }

    // What the token of a request before gave.
    void forget_caller();
    // As new, but for what memory the next request will need.
    void clear();
};

// Each thread keeps one for whoever needs one next: a request on a kept-alive connection then
// allocates nothing for being read, and the connection still has no memory for HTTP while idle.
std::unique_ptr<Exchange> take_exchange(const http::ParserLimits& limits);
void give_back(std::unique_ptr<Exchange> exchange);

} // namespace fanhorn
