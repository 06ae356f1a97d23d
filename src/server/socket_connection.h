// SPDX-License-Identifier: Apache-2.0
// A connection that is an accepted socket, with TLS or without.
#pragma once

#include "base/pool.h"
#include "net/loop.h"
#include "server/connection.h"
#include "server/handshakes.h"

namespace fanhorn {

class Multiplexer;

class SocketConnection final : public Connection,
                               public EdgeWatch,
                               public Pooled<SocketConnection> {
  public:
    SocketConnection(Ref<ListenerEnd> end, int fd);
    ~SocketConnection() override;

    [[nodiscard]] bool begin();
    // Goes on with its handshake, see Handshakes.
    void shake_hands();

    void on_deadline() override;
    void go_away(uint32_t retry_ms) override;
    int plain_socket() const override { return tls_ ? -1 : socket_.get(); }
    std::string carrier_name() const override { return socket_name(socket_.get()); }
    ssize_t write(const iovec* pieces, int count) override;
    void finish() override;

    // For begin(), and for a connection that another process had.
    [[nodiscard]] bool watch_socket();

  private:
    friend class Handover;
    friend class Multiplexer;
    friend class StreamConnection;

    void on_ready(uint8_t what) override;
    void on_socket_writable();
    Received receive_some(std::span<char> buffer) override;
    void on_end() override;
    bool is_cut() const override { return is_broken(socket_.get()); }
    bool has_unsent() const override { return tls_ && tls_->stream.has_unsent(); }
    void on_closed() override;
    NetAddress own_peer() const override { return peer_of(socket_.get()); }

    bool read_preface();
    bool read_proxy_header();
    bool take_client(const NetAddress& client);
    bool read_http2_preface();
    void refuse_preface(std::string_view why);
    void multiplex();
    Multiplexer* multiplexer() const;

    // socket_connection_tls.cc
    void start_tls();
    void end_tls();
    bool is_shaking() const { return tls_ && tls_->stream.is_shaking(); }
    void await_handshake(uint8_t what);
    void count_handshake(HandshakeEnd end);
    Received receive_secured(std::span<char> buffer);
    void on_broken() override;
    bool flush_record();
    bool say_end();

    Descriptor socket_;
    bool is_proxy_due_;            // its header is
    bool is_multiplexed_ = false;  // inbound() is a Multiplexer
    bool is_end_due_ = false;      // the peer has shut down, and its last bytes may not be read yet
    std::unique_ptr<Secured> tls_; // null: none
};

} // namespace fanhorn
