// SPDX-License-Identifier: Apache-2.0
// Connections of ours, to servers on the loopback: OpenSSL's own where it is TLS.
#include "certificate_maker.h"
#include "net/client_stream.h"
#include "net/client_tls.h"
#include "net/socket.h"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include "test.h"

using namespace fanhorn;

using End = ClientStream::End;

constexpr Millis kLong = 30'000; // nothing here takes that long unless it is broken

static const Certified& authority() {
    static const Certified kMade = Certified::make("authority", "");
    return kMade;
}

static const Certified& server_pair() {
    static const Certified kMade =
        Certified::make("server", "DNS:one.example,IP:127.0.0.1", &authority());
    return kMade;
}

static Descriptor listen_somewhere() {
    return std::move(*listen_inet("127.0.0.1", 0, 16));
}

static PeerAddress address_of(const Descriptor& listening) {
    return resolve_host("127.0.0.1", std::to_string(local_port(listening.get())))->front();
}

static Descriptor accept_from(const Descriptor& listening) {
    pollfd wait = {listening.get(), POLLIN, 0};
    poll(&wait, 1, -1);
    return Descriptor(accept(listening.get(), nullptr, nullptr));
}

// One side of a connection, which blocks, in the server's thread.
class Peer {
  public:
    explicit Peer(Descriptor fd) : fd_(std::move(fd)) {}
    ~Peer() { SSL_free(ssl_); }

    // Whether it shook hands.
    bool secure(SSL_CTX* context) {
        ssl_ = SSL_new(context);
        SSL_set_fd(ssl_, fd_.get());
        return SSL_accept(ssl_) == 1;
    }
    // What comes, until `size` bytes are there or it ends.
    std::string read(size_t size = SIZE_MAX) {
        std::string all;
        char bytes[4096];
        while (all.size() < size) {
            const ssize_t got = ssl_ ? SSL_read(ssl_, bytes, sizeof bytes)
                                     : recv(fd_.get(), bytes, sizeof bytes, 0);
            if (got <= 0)
                break;
            all.append(bytes, static_cast<size_t>(got));
        }
        return all;
    }
    void write(std::string_view bytes) {
        while (!bytes.empty()) {
            const ssize_t sent = ssl_
                                     ? SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                                     : send(fd_.get(), bytes.data(), bytes.size(), 0);
            if (sent <= 0)
                return;
            bytes.remove_prefix(static_cast<size_t>(sent));
        }
    }
    // Says so, where that is TLS.
    void end() { SSL_shutdown(ssl_); }
    std::string host() const {
        const char* name = SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name);
        return name ? name : "";
    }
    int fd() const { return fd_.get(); }

  private:
    Descriptor fd_;
    SSL* ssl_ = nullptr;
};

// Serves connections one after the other, each by `serve`.
class Server {
  public:
    explicit Server(std::function<void(Peer&)> serve, int count = 1)
        : thread_([this, count, serve = std::move(serve)] {
              for (int i = 0; i < count; ++i) {
                  Peer peer(accept_from(listening_));
                  serve(peer);
              }
          }) {}
    ~Server() { thread_.join(); }

    PeerAddress address() const { return address_of(listening_); }

  private:
    const Descriptor listening_ = listen_somewhere();
    std::thread thread_;
};

// OpenSSL's settings of a server.
class ServerTls {
  public:
    explicit ServerTls(const Certified& pair, int version = 0) {
        SSL_CTX_set_max_proto_version(context, version);
        X509* own = Certified::read_certificate(pair.certificate);
        EVP_PKEY* key = Certified::read_key(pair.key);
        CHECK(SSL_CTX_use_certificate(context, own) == 1);
        CHECK(SSL_CTX_use_PrivateKey(context, key) == 1);
        X509_free(own);
        EVP_PKEY_free(key);
    }
    ~ServerTls() { SSL_CTX_free(context); }
    void ask_for_certificate(const Certified& of) {
        X509* authority = Certified::read_certificate(of.certificate);
        X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority);
        X509_free(authority);
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    }
    SSL_CTX* const context = SSL_CTX_new(TLS_server_method());
};

static std::shared_ptr<const ClientTls> client_tls(const ClientTlsSettings& settings = {
                                                       .authorities = authority().certificate}) {
    auto made = ClientTls::make(settings);
    assert_true(made.index() == 0);
    return std::get<std::shared_ptr<const ClientTls>>(made);
}

// A stream, and what became of it.
class Client final : public ClientStream::User {
  public:
    void on_open() override {
        ++opened;
        if (!greeting.empty())
            stream.send(greeting);
        if (then_open)
            then_open();
    }
    void on_bytes(std::string_view bytes) override {
        heard += bytes;
        if (then_heard)
            then_heard();
    }
    void on_sent() override { ++sent; }
    void on_end(End how, const std::string& why) override {
        assert_true(stream.is_closed());
        ++ended;
        end = how;
        reason = why;
        if (then_ended)
            then_ended();
    }

    template <typename Fact> void wait(Fact fact) {
        const int64_t until = monotonic_micros() + kLong * 1000;
        while (!fact() && monotonic_micros() < until)
            loop.turn(Loop::Wait::ForEvents);
        assert_true(fact());
    }
    // Opened, and what the end was.
    void run(Destination to, Millis timeout = kLong) {
        destination = std::move(to);
        stream.open(destination, 0, timeout);
        wait([&] { return ended > 0; });
    }

    Loop loop;
    Ticker awake{loop, 50, [] {}}; // wait() looks at its clock
    std::string greeting, heard, reason;
    int opened = 0, sent = 0, ended = 0;
    End end = End::Closed;
    std::function<void()> then_open, then_heard, then_ended;
    Destination destination;
    ClientStream stream{loop, *this};
};

static Destination to(const Server& server, std::shared_ptr<const ClientTls> tls = nullptr,
                      const std::string& host = "one.example") {
    return {{server.address()}, std::move(tls), host};
}

static PeerAddress closed_port() {
    return address_of(listen_somewhere());
}

static std::string pattern(size_t size) {
    std::string text(size, ' ');
    for (size_t i = 0; i < size; ++i)
        text[i] = static_cast<char>('a' + (i + i / 251) % 26);
    return text;
}

static void bytes_go_both_ways(void**) {
    for (const int version : {0, TLS1_2_VERSION, TLS1_3_VERSION}) {
        const ServerTls tls(server_pair(), version);
        std::string asked, host;
        const Server server([&](Peer& peer) {
            if (version && !peer.secure(tls.context))
                return;
            host = version ? peer.host() : "";
            asked = peer.read(5);
            peer.write("answer");
            if (version)
                peer.end();
        });
        Client client;
        client.greeting = "hello";
        client.run(to(server, version ? client_tls() : nullptr));
        assert_text(client.heard, "answer");
        assert_int_equal(client.opened, 1);
        assert_true(client.end == End::Closed);
        assert_text(asked, "hello");
        assert_text(host, version ? "one.example" : "");
    }
}

// Far more than the kernel takes: what is left is kept, in order.
static void what_has_to_wait_is_kept(void**) {
    for (const bool is_tls : {false, true}) {
        const ServerTls tls(server_pair());
        const std::string all = pattern(8 << 20);
        std::atomic<bool> may_read = false;
        bool is_same = false;
        const Server server([&](Peer& peer) {
            if (is_tls && !peer.secure(tls.context))
                return;
            while (!may_read)
                usleep(1000);
            is_same = peer.read(all.size()) == all;
            peer.write(all);
            if (is_tls)
                peer.end();
        });
        Client client;
        client.then_open = [&] {
            for (size_t at = 0; at < all.size(); at += 100'000)
                client.stream.send(std::string_view(all).substr(at, 100'000));
            assert_true(client.stream.unsent() > 0);
            may_read = true;
        };
        client.run(to(server, is_tls ? client_tls() : nullptr));
        assert_true(is_same);
        assert_int_equal(client.sent, 1);
        assert_true(client.heard == all);
        assert_true(client.end == End::Closed);
    }
}

static void check_handshake(const Certified& pair, std::shared_ptr<const ClientTls> trusting,
                            const std::string& host, const char* reason) {
    const ServerTls tls(pair);
    const Server server([&](Peer& peer) {
        if (peer.secure(tls.context))
            peer.end();
    });
    Client client;
    client.run(to(server, std::move(trusting), host));
    assert_int_equal(client.opened, *reason ? 0 : 1);
    assert_true(client.end == (*reason ? End::Handshake : End::Closed));
    assert_text(client.reason,
                *reason ? std::string("its certificate is not trusted: ") + reason : std::string());
}

// One that has far more to say than is read in a turn.
static void others_have_their_turn(void**) {
    const std::string all = pattern(16 << 20);
    const Server server([&](Peer& peer) { peer.write(all); });
    Client client;
    size_t turns = 0, before = 0, most = 0;
    client.then_heard = [&] { most = std::max(most, client.heard.size() - before); };
    client.destination = to(server);
    client.stream.open(client.destination, 0, kLong);
    while (client.ended == 0) {
        before = client.heard.size();
        client.loop.turn(Loop::Wait::ForEvents);
        ++turns;
    }
    assert_true(client.heard == all);
    assert_true(most <= 1 << 20);
    assert_true(turns > 16);
}

static void certificates_are_checked(void**) {
    const Certified stranger = Certified::make("stranger", "DNS:one.example");
    const Certified old = Certified::make("old", "DNS:one.example", &authority(), "EC", -30);
    const Certified wild = Certified::make("wild", "DNS:*.one.example", &authority());
    const Certified partial = Certified::make("partial", "DNS:o*.example", &authority());
    const Certified nameless = Certified::make("one.example", "IP:127.0.0.2", &authority());
    check_handshake(server_pair(), client_tls(), "one.example", "");
    check_handshake(server_pair(), client_tls(), "ONE.example", "");
    check_handshake(server_pair(), client_tls(), "two.example", "hostname mismatch");
    check_handshake(server_pair(), client_tls(), "127.0.0.1", "");
    check_handshake(server_pair(), client_tls(), "127.0.0.2", "IP address mismatch");
    check_handshake(server_pair(), client_tls(), "::1", "IP address mismatch");
    check_handshake(wild, client_tls(), "a.one.example", "");
    check_handshake(wild, client_tls(), "a.b.one.example", "hostname mismatch");
    check_handshake(partial, client_tls(), "one.example", "hostname mismatch");
    check_handshake(nameless, client_tls(), "127.0.0.2", "");
    check_handshake(old, client_tls(), "one.example", "certificate has expired");
    check_handshake(stranger, client_tls(), "one.example", "self-signed certificate");
    check_handshake(stranger, client_tls({.authorities = stranger.certificate}), "one.example", "");
    check_handshake(server_pair(), client_tls({.authorities = server_pair().certificate}),
                    "one.example", "");
}

// The system's store is where OpenSSL is told that it is.
static void the_systems_authorities(void**) {
    check_handshake(server_pair(), client_tls({}), "one.example",
                    "unable to get local issuer certificate");
    char path[] = "/tmp/fanhorn-ca-XXXXXX";
    const Descriptor file(mkstemp(path));
    std::ofstream(path) << authority().certificate;
    setenv("SSL_CERT_FILE", path, 1);
    check_handshake(server_pair(), client_tls({}), "one.example", "");
    unsetenv("SSL_CERT_FILE");
    unlink(path);
}

static void a_certificate_of_ours(void**) {
    const Certified own = Certified::make("fanhorn", "", &authority());
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        for (const bool has_one : {true, false}) {
            ServerTls tls(server_pair(), version);
            tls.ask_for_certificate(authority());
            const Server server([&](Peer& peer) {
                if (!peer.secure(tls.context))
                    return;
                peer.write("welcome");
                peer.end();
            });
            Client client;
            client.run(to(server, client_tls({.authorities = authority().certificate,
                                              .certificate = has_one ? own.certificate : "",
                                              .key = has_one ? own.key : ""})));
            assert_text(client.heard, has_one ? "welcome" : "");
            // With TLS 1.3 we have shaken hands before the server has looked at it.
            assert_true(client.end == (has_one                     ? End::Closed
                                       : version == TLS1_3_VERSION ? End::Broken
                                                                   : End::Handshake));
            assert_true(has_one || client.reason.find("alert") != std::string::npos);
        }
    }
}

static void servers_without_tls(void**) {
    const Server server([](Peer& peer) { peer.write("HTTP/1.1 400 Bad Request\r\n\r\n"); });
    Client client;
    client.run(to(server, client_tls()));
    assert_true(client.end == End::Handshake);
    assert_text(client.reason, "no TLS: wrong version number");

    const Server silent([](Peer& peer) { peer.read(1); });
    Client cut;
    cut.run(to(silent, client_tls()));
    assert_true(cut.end == End::Handshake);
    assert_int_equal(cut.opened, 0);
}

static void a_handshake_that_stalls(void**) {
    const Server stalled([](Peer& peer) { peer.read(); }, 2);
    Client client;
    client.run(to(stalled, client_tls()), 100);
    assert_true(client.end == End::TimedOut);
    assert_text(client.reason, "no handshake in time");
    assert_int_equal(client.opened, 0);

    const ServerTls tls(server_pair());
    const Server good([&](Peer& peer) {
        if (peer.secure(tls.context))
            peer.end();
    });
    Client other;
    Destination both = to(stalled, client_tls());
    both.peers.push_back(good.address());
    other.run(both, 10'000); // half of it for each
    assert_true(other.end == End::Closed);
    assert_int_equal(other.stream.peer(), 1);
}

static void it_is_cut_in_the_middle(void**) {
    for (const bool says_so : {true, false}) {
        const ServerTls tls(server_pair());
        const Server server([&](Peer& peer) {
            if (!peer.secure(tls.context))
                return;
            peer.write("half an ans");
            if (says_so)
                peer.end();
        });
        Client client;
        client.run(to(server, client_tls()));
        assert_text(client.heard, "half an ans");
        assert_true(client.end == (says_so ? End::Closed : End::Broken));
    }
}

// Sending into a connection that the peer has reset is an end, told by the loop.
static void sending_fails(void**) {
    for (const bool is_tls : {false, true}) {
        const ServerTls tls(server_pair());
        const Server server([&](Peer& peer) {
            if (is_tls && !peer.secure(tls.context))
                return;
            peer.read(1); // then it is open on our side, too
            const linger at_once = {1, 0};
            setsockopt(peer.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        });
        Client client;
        client.greeting = "hello";
        client.destination = to(server, is_tls ? client_tls() : nullptr);
        client.stream.open(client.destination, 0, kLong);
        client.wait([&] { return client.opened > 0; });
        const int64_t until = monotonic_micros() + kLong * 1000;
        while (client.ended == 0 && monotonic_micros() < until) {
            client.stream.send(pattern(10'000));
            client.loop.turn(Loop::Wait::No);
        }
        assert_int_equal(client.ended, 1);
        assert_true(client.end == End::Broken);
    }
}

static void the_next_address(void**) {
    const Server server([](Peer& peer) { peer.write("here"); });
    Client client;
    Destination all = to(server);
    all.peers = {closed_port(), closed_port(), server.address()};
    client.run(all);
    assert_text(client.heard, "here");
    assert_int_equal(client.stream.peer(), 2);
}

static void no_address(void**) {
    Client client;
    client.destination = {{closed_port(), *unix_peer("/nowhere/fanhorn.sock")}, nullptr, ""};
    for (const size_t first : {0, 1, 2, 3}) {
        client.ended = 0;
        client.stream.open(client.destination, first, kLong);
        assert_int_equal(client.ended, 0);
        client.wait([&] { return client.ended > 0; });
        assert_true(client.end == End::Unreachable);
        assert_text(client.reason, first % 2 ? "Connection refused" : "No such file or directory");
    }
    client.stream.open(client.destination, 1, kLong);
    client.stream.close(); // then nothing is told
    for (int i = 0; i < 5; ++i)
        client.loop.turn(Loop::Wait::ForEvents);
    assert_int_equal(client.ended, 1);
}

// Each callback may close, and open another.
static void opened_again_within_callbacks(void**) {
    const ServerTls tls(server_pair());
    const Server server(
        [&](Peer& peer) {
            if (!peer.secure(tls.context))
                return;
            peer.write("x");
            peer.read(1); // until it goes
        },
        4);
    Client client;
    client.destination = to(server, client_tls());
    const auto again = [&] { client.stream.open(client.destination, 0, kLong); };
    client.then_open = [&] {
        if (client.opened != 2)
            return;
        client.stream.close();
        again();
    };
    client.then_heard = [&] {
        client.stream.close();
        if (client.heard.size() < 3)
            again();
    };
    again();
    client.wait([&] { return client.heard.size() == 3; });
    assert_int_equal(client.opened, 4);
    assert_int_equal(client.ended, 0);
    client.destination.peers = {closed_port()};
    client.then_ended = [&] {
        if (client.ended < 3)
            again();
    };
    again();
    client.wait([&] { return client.ended == 3; });
}

static void a_unix_socket(void**) {
    char folder[] = "/tmp/fanhorn-XXXXXX";
    assert_non_null(mkdtemp(folder));
    const std::string path = std::string(folder) + "/s";
    const Descriptor listening = std::move(*listen_unix(path, 4));
    std::thread server([&] {
        Peer peer(accept_from(listening));
        peer.write(peer.read(4));
    });
    Client client;
    client.greeting = "echo";
    client.run({{*unix_peer(path)}, nullptr, ""});
    server.join();
    assert_text(client.heard, "echo");
    unlink(path.c_str());
    rmdir(folder);
}

static void settings_that_are_wrong(void**) {
    const Certified own = Certified::make("fanhorn", ""), other = Certified::make("other", "");
    const struct {
        ClientTlsSettings settings;
        const char *key, *text;
    } kRows[] = {
        {{.authorities = "x"}, "tls_ca", "has no BEGIN CERTIFICATE; it must be in PEM"},
        {{.certificate = "x", .key = own.key},
         "tls_certificate",
         "has no BEGIN CERTIFICATE; it must be in PEM"},
        {{.certificate = own.certificate, .key = "x"},
         "tls_key",
         "has no BEGIN PRIVATE KEY; it must be in PEM"},
        {{.certificate = own.certificate, .key = other.key},
         "tls_key",
         "does not go with 'tls_certificate': "},
    };
    for (const auto& row : kRows) {
        const auto made = ClientTls::make(row.settings);
        const auto* fault = std::get_if<TlsFault>(&made);
        assert_non_null(fault);
        assert_text(fault->key, row.key);
        assert_row(fault->text, fault->text.starts_with(row.text));
    }
}

int main() {
    std::signal(SIGPIPE, SIG_IGN);
    const CMUnitTest tests[] = {
        cmocka_unit_test(bytes_go_both_ways),
        cmocka_unit_test(what_has_to_wait_is_kept),
        cmocka_unit_test(others_have_their_turn),
        cmocka_unit_test(certificates_are_checked),
        cmocka_unit_test(the_systems_authorities),
        cmocka_unit_test(a_certificate_of_ours),
        cmocka_unit_test(servers_without_tls),
        cmocka_unit_test(a_handshake_that_stalls),
        cmocka_unit_test(it_is_cut_in_the_middle),
        cmocka_unit_test(sending_fails),
        cmocka_unit_test(the_next_address),
        cmocka_unit_test(no_address),
        cmocka_unit_test(opened_again_within_callbacks),
        cmocka_unit_test(a_unix_socket),
        cmocka_unit_test(settings_that_are_wrong),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
