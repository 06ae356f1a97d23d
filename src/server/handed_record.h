// SPDX-License-Identifier: Apache-2.0
// A connection on its way to another process, as a record: what it is, without its socket.
#pragma once

#include "base/clock.h"
#include "base/net_address.h"
#include "http/body.h"
#include "relay/handover.h"
#include "relay/identity.h"
#include "relay/message.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

struct Handed {
    enum class Kind : uint8_t {
        Preface, // it is not known yet what it speaks
        Http,    // between requests, or in one that is coming
        Poll,    // that waits
        Stream,
        Session, // of fanhorn.v1
    };
    // What came with a subscription's tokens, or its client may say.
    struct Standing {
        std::vector<IdentityRef> identities;
        std::string publishes_to;
        Millis since = 0; // of the user, on the monotonic clock
    };

    Kind kind = Kind::Http;
    std::string listener;      // its key
    bool is_fresh = true;      // no request has come yet
    bool is_proxy_due = false; // a PROXY header is
    bool has_client = false;   // a proxy stands between, and says:
    NetAddress peer, client;
    Millis goes_at = 0; // for its age; 0: it need not
    Millis due_at = 0;  // when its deadline comes; 0: it has none
    std::string input;  // what was read and is not whole; of a request's body nothing
    std::string output; // of answers, that waits
    std::string stash;  // what was read behind that

    // Of a request whose body is coming:
    bool has_body = false;
    http::BodyReader::Place place;
    std::string body;       // its content so far, or of lines the one that is incomplete
    bool has_begun = false; // its answer has, line by line

    // Of a subscriber:
    std::string transport;
    std::string query, lines; // what a request for its encoding says, see Transport::manner_of
    ConnectionId connection{};
    Millis heartbeat = 0;
    HandedSubscriber subscriber;
    bool has_standing = false;
    Standing standing;
    // Of a poll:
    std::string headers;
    bool keep_alive = true;
    uint64_t max_messages = 0;
};

std::string pack_handed(const Handed& handed);
// None: not understood.
std::optional<Handed> unpack_handed(std::string_view record);

} // namespace fanhorn
