// SPDX-License-Identifier: Apache-2.0
// The seam of the transports: how a request becomes a subscription, and what its client may say.
#pragma once

#include "http/problem.h"
#include "http/request.h"
#include "relay/encoding.h"
#include "relay/poll_subscriber.h"
#include "relay/settings.h"
#include "relay/sink.h"

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace fanhorn {

// The subprotocol of commands.
inline constexpr std::string_view kSessionProtocol = "fanhorn.v1";

// What an Inbound may do to its connection. A Sink too: two bases would cost an idle connection a
// word more.
class Client : public Sink {
  public:
    // A frame between messages.
    virtual void send_control(std::string_view frame) = 0;
    // `frame` is the last thing sent.
    virtual void close_with(std::string_view frame) = 0;
    // Whether its channel (there is one) lets clients publish.
    virtual bool may_publish() const = 0;
    // False: over the channel's `publish_rate`, and not published.
    virtual bool publish(std::string payload, bool is_binary) = 0;
    // Whether what it sends are commands (fanhorn.v1), of at most so many bytes each; and one.
    virtual bool takes_commands() const = 0;
    virtual void command(std::string_view text) = 0;
    virtual Counters& counters() const = 0;
};

// What the client of one connection sends after the handshake. Owned by the connection.
class Inbound {
  public:
    virtual ~Inbound() = default;
    // The bytes may be changed in place.
    virtual void receive(std::span<char> bytes, Client& client) = 0;
    // A heartbeat is due. False: the peer has not answered the last ones and is taken for dead.
    virtual bool on_heartbeat() = 0;
    // Appends bytes that would bring a new one to where this one is.
    virtual void append_partial(std::string& /*out*/) const {}
};

// A subscription request that the server has checked: channels exist, may be read and share a
// broker. A session may begin without channels.
struct Asked {
    const http::Request& request;
    const std::vector<std::string>& channels;
    const std::vector<const ChannelSettings*>& settings;
    Since since;
    const Filter* filter = nullptr; // null: everything
    bool is_envelope = false;       // envelope=1, or several channels
    const ConnectionId& connection;
    const std::string& headers; // lines that every answer has (CORS), each with its CRLF
    size_t message_size;        // of what the client may send
    uint32_t fragments;         // of one of its messages
    bool compress = false;
    bool is_private = false; // answers are for this client only
    bool is_resumed = false; // its client has had its answer's head: none is made
};

// How the connection goes on.
struct Opening {
    Encoding* encoding = nullptr;
    Encoding* patching = nullptr; // a session's, for those of its channels that are sent patches
    // A stream: the head of its answer, see StreamSubscriber.
    std::string head;
    std::unique_ptr<Inbound> inbound; // null: nothing the client sends matters
    bool is_session = false;          // its client sends commands
    // A poll:
    bool is_poll = false;
    PollWish poll;
    Millis wait = 0; // how long it may be held
};

// One object a worker.
class Transport {
  public:
    enum class Asks : uint8_t { No, Fallback, Yes };

    virtual ~Transport() = default;
    // As in `transports` and `transport=`.
    virtual std::string_view name() const = 0;
    // Whether the request asks for this transport. The first Yes in the list of modules wins, then
    // the first Fallback.
    virtual Asks asks(const http::Request& request) const = 0;
    // Whether it asks for a session of commands in this transport.
    virtual bool asks_session(const http::Request&) const { return false; }
    // Whether all that it sends is in envelopes.
    virtual bool has_envelopes() const { return false; }
    // What a request says to be given that encoding, one of those that open() gives: query
    // parameters, and header lines with their CRLFs.
    struct Manner {
        std::string query, lines;
    };
    virtual Manner manner_of(const Encoding& /*encoding*/, bool /*is_session*/) const { return {}; }
    // Checks what is the transport's own in the request and says how to go on.
    virtual std::variant<Opening, http::Problem> open(const Asked& asked) = 0;
    // A refusal in a form of its own, for a transient problem that the usual one would make
    // permanent; "" for the usual one. `headers` as in Asked.
    virtual std::string refusal(const http::Problem& problem, const std::string& headers,
                                uint32_t retry_ms) const;
    virtual std::string_view content_type() const = 0;
};

struct TransportModule {
    std::string_view name;
    std::unique_ptr<Transport> (*create)();
};

} // namespace fanhorn
