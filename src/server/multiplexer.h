// SPDX-License-Identifier: Apache-2.0
// HTTP/2 on a connection's socket: each of its streams is a connection of its own.
#pragma once

#include "http/http2.h"
#include "server/connection.h"

namespace fanhorn {

class SocketConnection;

class Multiplexer final : public Inbound, private http::Http2Session::Handler {
  public:
    explicit Multiplexer(SocketConnection& carrier);
    ~Multiplexer() override;

    // Inbound
    void receive(std::span<char> bytes, Client& client) override;
    bool on_heartbeat() override { return true; }

    // Sends what its streams have written, as far as the socket takes it. At the end of a turn,
    // and when the socket is writable.
    void flush();
    void on_deadline();
    // The client is told to use another connection; it goes when its last stream has.
    void go_away();
    // The socket is gone.
    void close();

    Hook due; // on the worker's list of those that have something to send

  private:
    http::Http2User* accept(http::Http2Stream& stream) override;
    void on_output() override;
    // What its deadline is about.
    enum class Due : uint8_t { Nothing, Idle, Head, Blocked };
    void note_excess();
    void arm();
    bool is_overdue(Due due_for, Millis now);

    SocketConnection& carrier_;
    http::Http2Session session_;
    Millis idle_since_;
    const Millis goes_at_;     // for its age, and its streams with it; 0: never
    Millis blocked_since_ = 0; // when the socket last took bytes but not all; 0: it does
    Due due_for_ = Due::Nothing;
    bool has_streams_ = false; // at the last flush
    bool has_settled_ = false; // its first request has come
    uint8_t farewells_ = 0;    // steps of its end that were told
};

// One of its streams.
class StreamConnection final : public Connection, private http::Http2User {
  public:
    StreamConnection(SocketConnection& carrier, http::Http2Stream& stream);

    http::Http2User& user() { return *this; }
    int plain_socket() const override { return -1; }
    std::string carrier_name() const override;
    ssize_t write(const iovec* pieces, int count) override;
    void finish() override;

  private:
    // Http2User
    void on_input() override { read_some(); }
    void on_room() override;
    void on_gone() override;
    // Connection
    std::span<char> read_buffer() const override;
    Received receive_some(std::span<char> buffer) override;
    bool is_cut() const override { return false; } // on_gone() tells
    bool has_unsent() const override { return false; }
    void on_closed() override;
    NetAddress own_peer() const override;

    SocketConnection& carrier_;
    http::Http2Stream* stream_; // null when it has gone
};

} // namespace fanhorn
