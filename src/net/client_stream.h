// SPDX-License-Identifier: Apache-2.0
// A connection of ours to another server: bytes both ways, over TLS or not, nothing that waits.
#pragma once

#include "net/dial.h"
#include "net/loop.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct ssl_st;

namespace fanhorn {

class ClientTls;

// Where a server is, and how it is spoken to.
struct Destination {
    std::vector<PeerAddress> peers;       // at least one; the next when one cannot be reached
    std::shared_ptr<const ClientTls> tls; // null: without
    std::string host;                     // whose certificate it must have, see ClientTls::open()
};

// On its loop's thread. Opened again and again, one connection at a time. SIGPIPE must be ignored.
class ClientStream final : private EdgeWatch {
  public:
    enum class End : uint8_t {
        Unreachable, // no address was
        TimedOut,    // the last address that was tried did not answer, or shake hands, in time
        Handshake,   // it speaks no TLS, or its certificate is not trusted
        Closed,      // by the peer, in order
        Broken,
    };

    // Who has it. All are called by the loop, none from within a call of the owner's; each may call
    // all below, but the stream must outlive the turn.
    class User {
      public:
        // send() from here on.
        virtual void on_open() = 0;
        // Valid for the call. Comes again until all is read or the stream is closed.
        virtual void on_bytes(std::string_view bytes) = 0;
        // What had to wait has gone to the kernel.
        virtual void on_sent() {}
        // It is closed. `reason` is for people, and may be empty.
        virtual void on_end(End end, const std::string& reason) = 0;

      protected:
        ~User() = default;
    };

    ClientStream(Loop& loop, User& user);
    // Not within a callback of the same loop.
    ~ClientStream() override;

    // Closed before it. Tries each address once, from that of number `first` on: each has its share
    // of what is left of `timeout`, handshake included. `destination` outlives the connection.
    void open(const Destination& destination, size_t first, Millis timeout);
    // The number of the address that is tried, or open.
    size_t peer() const { return peer_; }
    bool is_open() const { return state_ == State::Open; }
    bool is_closed() const { return state_ == State::Closed; }
    // Once it is open. What the kernel does not take is kept; how much is for the owner to bound.
    void send(std::string_view bytes);
    size_t unsent() const { return unsent_.size() - sent_; }
    // What is unsent is forgotten; no callback follows.
    void close();

  private:
    enum class State : uint8_t { Closed, Connecting, Shaking, Open };

    void on_ready(uint8_t what) override;
    void on_time();
    void connect();
    void note(End why, std::string reason);
    void on_connected();
    void shake();
    void on_opened();
    void flush();
    size_t write_some(std::string_view bytes);
    ssize_t write_plain(std::string_view bytes);
    ssize_t write_tls(std::string_view bytes);
    void break_off();
    void receive_some();
    Received receive_tls(std::span<char> buffer);
    void end(End why, const std::string& reason);
    void disconnect();

    Loop& loop_;
    User& user_;
    Timer timer_;
    const Destination* destination_ = nullptr;
    Descriptor socket_;
    ssl_st* ssl_ = nullptr;
    State state_ = State::Closed;
    bool is_broken_ = false;     // for sending
    uint32_t closed_ = 0;        // how often: tells whether a connection is still the same
    size_t peer_ = 0, left_ = 0; // addresses
    Millis until_ = 0;
    End why_ = End::Unreachable; // the address before was given up
    std::string reason_;
    std::string unsent_;
    size_t sent_ = 0; // of that
};

} // namespace fanhorn
