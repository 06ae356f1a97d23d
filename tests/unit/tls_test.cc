// SPDX-License-Identifier: Apache-2.0
// The TLS stream against OpenSSL's own client, which writes into memory: each byte between the two
// passes through the test's hands.
#include "certificate_maker.h"
#include "net/tls.h"

#include <cerrno>
#include <csignal>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test.h"

using namespace fanhorn;

using State = Received::State;

static const Certified& server_pair() {
    static const Certified kPair = Certified::make("server", "DNS:one.example,DNS:*.one.example");
    return kPair;
}

static TlsSettings plain_settings() {
    return {.name = "main", .pairs = {{server_pair().certificate, server_pair().key}}};
}

static std::shared_ptr<const TlsContext> context_of(const TlsSettings& settings) {
    auto made = TlsContext::make(settings);
    if (const auto* fault = std::get_if<TlsFault>(&made))
        std::printf("%s %zu: %s\n", fault->key, fault->item, fault->text.c_str());
    assert_true(made.index() == 0);
    return std::get<std::shared_ptr<const TlsContext>>(made);
}

// A client in memory, the stream on a socket pair, and the wire between them.
class Link {
  public:
    explicit Link(std::shared_ptr<const TlsContext> context, int version = 0,
                  SSL_SESSION* session = nullptr, bool has_http2 = false)
        : context_(SSL_CTX_new(TLS_client_method())) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds_), 0);
        stream = std::make_unique<TlsStream>(std::move(context), fds_[0], has_http2);
        if (version) {
            SSL_CTX_set_min_proto_version(context_, version);
            SSL_CTX_set_max_proto_version(context_, version);
        }
        SSL_CTX_set_session_cache_mode(context_,
                                       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(context_, [](SSL* ssl, SSL_SESSION* given) {
            auto* link = static_cast<Link*>(SSL_get_app_data(ssl));
            SSL_SESSION_free(link->ticket);
            link->ticket = given;
            return 1;
        });
        client = SSL_new(context_);
        SSL_set_app_data(client, this);
        SSL_set_bio(client, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
        SSL_set_connect_state(client);
        if (session)
            SSL_set_session(client, session);
    }
    ~Link() {
        SSL_free(client);
        SSL_CTX_free(context_);
        SSL_SESSION_free(ticket);
        stream = nullptr;
        close(fds_[0]);
        cut();
    }

    // From the client to the socket, at most `limit` bytes. How many.
    size_t carry_up(size_t limit = SIZE_MAX) {
        size_t carried = 0;
        char bytes[16384];
        while (carried < limit) {
            const int got = BIO_read(SSL_get_wbio(client), bytes,
                                     static_cast<int>(std::min(limit - carried, sizeof bytes)));
            if (got <= 0)
                break;
            assert_int_equal(send(fds_[1], bytes, static_cast<size_t>(got), MSG_NOSIGNAL), got);
            carried += static_cast<size_t>(got);
        }
        return carried;
    }
    // From the socket to the client; what went is kept in `wire`.
    size_t carry_down(size_t limit = SIZE_MAX) {
        size_t carried = 0;
        char bytes[16384];
        while (carried < limit) {
            const ssize_t got = recv(fds_[1], bytes, std::min(limit - carried, sizeof bytes), 0);
            if (got <= 0)
                break;
            BIO_write(SSL_get_rbio(client), bytes, static_cast<int>(got));
            wire.append(bytes, static_cast<size_t>(got));
            carried += static_cast<size_t>(got);
        }
        return carried;
    }

    // What the server has heard by then; `state` is what its last call said.
    std::string hear() {
        std::string heard;
        char bytes[65536];
        Received got = stream->receive(bytes);
        for (; got.state == State::Bytes; got = stream->receive(bytes))
            heard.append(bytes, got.size);
        state = got.state;
        return heard;
    }
    // What the client has.
    std::string read() {
        carry_down();
        std::string all;
        char bytes[16384];
        size_t got = 0;
        ERR_clear_error();
        while (SSL_read_ex(client, bytes, sizeof bytes, &got) == 1)
            all.append(bytes, got);
        client_error = SSL_get_error(client, 0);
        return all;
    }
    void say(std::string_view text) {
        size_t written = 0;
        assert_int_equal(SSL_write_ex(client, text.data(), text.size(), &written), 1);
    }

    // Both sides by turns, `step` bytes at a time. Whether the client is content.
    bool shake(size_t step = SIZE_MAX) {
        for (int i = 0; i < 100'000; ++i) {
            ERR_clear_error();
            const int result = SSL_do_handshake(client);
            const size_t up = carry_up(step);
            hear();
            const size_t down = carry_down(step);
            if (up + down == 0)
                return result == 1;
        }
        return false;
    }
    // The types of the records that came down, behind `from`.
    std::string records(size_t from) const {
        std::string types;
        for (size_t at = from; at + 5 <= wire.size();) {
            types += std::to_string(wire[at]) + ' ';
            at +=
                5 + (static_cast<uint8_t>(wire[at + 3]) << 8 | static_cast<uint8_t>(wire[at + 4]));
        }
        return types;
    }
    void fill_small() {
        const int small = 4096;
        setsockopt(fds_[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    }
    void end_sending() { shutdown(fds_[1], SHUT_WR); }
    void cut() { ::close(std::exchange(fds_[1], -1)); }
    void throw_in(std::string_view bytes) {
        send(fds_[1], bytes.data(), bytes.size(), MSG_NOSIGNAL);
    }

    std::unique_ptr<TlsStream> stream;
    SSL* client;
    SSL_SESSION* ticket = nullptr;
    std::string wire;
    State state = State::WouldBlock;
    int client_error = 0;

  private:
    int fds_[2];
    SSL_CTX* context_;
};

static ssize_t send_text(TlsStream& stream, std::string_view text) {
    const iovec piece = {const_cast<char*>(text.data()), text.size()};
    return stream.send(&piece, 1);
}

static constexpr int kVersions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void both_versions_carry_bytes_both_ways(void**) {
    for (const int version : kVersions) {
        Link link(context_of(plain_settings()), version);
        assert_true(link.stream->is_shaking());
        assert_true(link.shake());
        assert_false(link.stream->is_shaking());
        assert_true(link.stream->handshake_end() == HandshakeEnd::Full);
        link.say("hello");
        link.carry_up();
        assert_text(link.hear(), "hello");
        assert_int_equal(send_text(*link.stream, "world"), 5);
        assert_text(link.read(), "world");
    }
}

static void byte_by_byte_is_the_same(void**) {
    for (const int version : kVersions) {
        Link link(context_of(plain_settings()), version);
        assert_true(link.shake(1));
        link.say("in pieces");
        std::string heard;
        while (link.carry_up(1) > 0) {
            heard += link.hear();
            assert_true(link.state == State::WouldBlock);
        }
        assert_text(heard, "in pieces");
    }
}

// Several records that came together are one read, which says that it was all.
static void a_read_takes_all_records_that_are_there(void**) {
    Link link(context_of(plain_settings()));
    assert_true(link.shake());
    for (const char* each : {"a", "b", "c"})
        link.say(each);
    link.carry_up();
    char bytes[100];
    const Received got = link.stream->receive(bytes);
    assert_true(got.state == State::Bytes && got.is_all);
    assert_text(std::string_view(bytes, got.size), "abc");
    link.say("more than fits");
    link.carry_up();
    const Received part = link.stream->receive({bytes, 4});
    assert_true(part.size == 4 && !part.is_all);
    assert_text(link.hear(), " than fits");
}

static void small_pieces_are_one_record(void**) {
    for (const int version : kVersions) {
        Link link(context_of(plain_settings()), version);
        assert_true(link.shake());
        link.read();
        const size_t from = link.wire.size();
        std::string texts[100];
        iovec pieces[100];
        std::string all;
        for (int i = 0; i < 100; ++i) {
            texts[i] = "piece " + std::to_string(i) + (i % 7 ? ";" : "");
            pieces[i] = {texts[i].data(), i % 10 == 9 ? 0 : texts[i].size()};
            all.append(texts[i], 0, pieces[i].iov_len);
        }
        assert_int_equal(link.stream->send(pieces, 100), all.size());
        assert_text(link.read(), all);
        assert_text(link.records(from), "23 ");
    }
}

// RFC 6066 section 4: a client may ask for small ones.
static void records_are_as_small_as_the_client_asks(void**) {
    for (const int version : kVersions) {
        Link link(context_of(plain_settings()), version);
        SSL_set_tlsext_max_fragment_length(link.client, TLSEXT_max_fragment_length_512);
        assert_true(link.shake());
        link.fill_small();
        link.read();
        const size_t from = link.wire.size();
        std::string text(20'000, 'x'), read;
        for (size_t i = 0; i < text.size(); ++i)
            text[i] = static_cast<char>('a' + i % 23);
        for (size_t sent = 0; sent < text.size();) {
            sent +=
                static_cast<size_t>(send_text(*link.stream, std::string_view(text).substr(sent)));
            read += link.read();
        }
        while (link.stream->flush() == TlsStream::Flushed::Full)
            read += link.read();
        assert_true(read + link.read() == text);
        assert_int_equal(link.records(from).size(), 40 * 3);
    }
}

static void large_pieces_are_whole_records(void**) {
    Link link(context_of(plain_settings()));
    assert_true(link.shake());
    std::string head = "head", body(20'000, 'x'), tail = "tail";
    const iovec pieces[] = {{head.data(), 4}, {body.data(), body.size()}, {tail.data(), 4}};
    assert_int_equal(link.stream->send(pieces, 3), 20'008);
    assert_text(link.read(), head + body + tail);
}

// What the socket does not take is kept, whatever is sent next: once made, a record stays.
static void a_full_socket_loses_nothing(void**) {
    for (const int version : kVersions) {
        Link link(context_of(plain_settings()), version);
        assert_true(link.shake());
        link.fill_small();
        std::string sent, read;
        int filled = 0;
        for (int round = 0; round < 200; ++round) {
            const std::string text(2000 + static_cast<size_t>(round) * 37 % 9000,
                                   static_cast<char>('a' + round % 26));
            const ssize_t taken = send_text(*link.stream, text);
            assert_true(taken >= 0);
            sent.append(text, 0, static_cast<size_t>(taken));
            if (static_cast<size_t>(taken) == text.size() && !link.stream->has_unsent())
                continue;
            ++filled;
            assert_true(link.stream->flush() == TlsStream::Flushed::Full);
            assert_int_equal(send_text(*link.stream, "no room"), 0);
            while (link.stream->has_unsent()) {
                read += link.read();
                link.stream->flush();
            }
        }
        read += link.read();
        assert_true(filled > 10);
        assert_true(read == sent);
    }
}

// A reader that takes nothing is read from all the same.
static void reads_go_on_while_writes_wait(void**) {
    Link link(context_of(plain_settings()));
    assert_true(link.shake());
    link.fill_small();
    const std::string text(100'000, 'x');
    const auto taken = static_cast<size_t>(send_text(*link.stream, text));
    assert_true(taken < text.size() && link.stream->has_unsent());
    link.say("still here");
    link.carry_up();
    assert_text(link.hear(), "still here");
    std::string read = link.read();
    while (link.stream->flush() != TlsStream::Flushed::All)
        read += link.read();
    assert_true(read + link.read() == text.substr(0, taken));
}

// The answer to a KeyUpdate is written by a read: on a full socket it goes when that is writable.
static void a_key_update_on_a_full_socket(void**) {
    Link link(context_of(plain_settings()), TLS1_3_VERSION);
    assert_true(link.shake());
    link.read();
    link.fill_small();
    std::string read;
    size_t sent = 0; // until the socket is full, without a record that waits
    while (!link.stream->has_unsent())
        sent += static_cast<size_t>(send_text(*link.stream, std::string(100, 'x')));
    assert_int_equal(SSL_key_update(link.client, SSL_KEY_UPDATE_REQUESTED), 1);
    link.say("new key");
    link.carry_up();
    std::string heard = link.hear();
    for (int i = 0; i < 10 && (link.stream->has_unsent() || link.stream->reads_when_writable());
         ++i) {
        read += link.read();
        link.stream->flush();
        heard += link.hear();
    }
    heard += link.hear();
    assert_text(heard, "new key");
    assert_int_equal(send_text(*link.stream, "behind it"), 9);
    read += link.read();
    assert_true(read == std::string(sent, 'x') + "behind it");
}

static void ends_are_told_apart(void**) {
    for (const int version : kVersions) {
        const auto context = context_of(plain_settings());
        Link closed(context, version);
        assert_true(closed.shake());
        closed.say("last words");
        SSL_shutdown(closed.client);
        closed.carry_up();
        char bytes[100];
        const Received got = closed.stream->receive(bytes);
        assert_true(got.state == State::Bytes && !got.is_all);
        closed.hear();
        assert_true(closed.state == State::End);
        assert_int_equal(send_text(*closed.stream, "answer"), 6);
        assert_text(closed.read(), "answer");

        Link truncated(context, version);
        assert_true(truncated.shake());
        truncated.say("half");
        truncated.carry_up();
        truncated.end_sending();
        assert_text(truncated.hear(), "half");
        assert_true(truncated.state == State::Broken);
        assert_int_equal(send_text(*truncated.stream, "x"), -1);
    }
}

static void we_end_by_close_notify(void**) {
    for (const int version : kVersions) {
        Link link(context_of(plain_settings()), version);
        assert_true(link.shake());
        link.fill_small();
        const std::string text(30'000, 'x');
        const auto taken = static_cast<size_t>(send_text(*link.stream, text));
        assert_false(link.stream->close());
        assert_true(link.stream->is_closing());
        assert_int_equal(send_text(*link.stream, "more"), -1);
        std::string read;
        for (int i = 0; i < 10 && !link.stream->close(); ++i)
            read += link.read();
        read += link.read();
        assert_true(read == text.substr(0, taken));
        assert_int_equal(link.client_error, SSL_ERROR_ZERO_RETURN);
    }
}

static void what_is_not_tls_is_refused(void**) {
    struct {
        std::string bytes;
        HandshakeEnd end;
    } rows[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", HandshakeEnd::PlainHttp},
        {"POST /pub/a HTTP/1.1\r\n\r\n", HandshakeEnd::PlainHttp},
        {std::string(100, 'x'), HandshakeEnd::NotTls},
        {std::string("\x16\x03\x01\xff\xff") + std::string(100, 'x'), HandshakeEnd::NotTls},
        {std::string("\x17\x03\x03\x00\x05hello", 10), HandshakeEnd::NotTls},
    };
    for (const auto& row : rows) {
        Link link(context_of(plain_settings()));
        link.throw_in(row.bytes);
        link.hear();
        assert_true(link.state == State::Broken);
        assert_row(row.bytes.substr(0, 20) + " " +
                       std::string(handshake_end_name(link.stream->handshake_end())),
                   link.stream->handshake_end() == row.end);
    }
    Link gone(context_of(plain_settings()));
    gone.end_sending();
    gone.hear();
    assert_true(gone.state == State::Broken);
    assert_true(gone.stream->handshake_end() == HandshakeEnd::Closed);
}

// A record of more than 2^14 + 256 bytes, whatever is in it (RFC 8446 section 5.2).
static void an_oversize_record_ends_it(void**) {
    for (const int version : kVersions) {
        Link link(context_of(plain_settings()), version);
        assert_true(link.shake());
        link.carry_up();
        link.throw_in(std::string("\x17\x03\x03\x48\x01", 5) + std::string(0x4801, 'x'));
        assert_text(link.hear(), "");
        assert_true(link.state == State::Broken);
        assert_false(link.stream->reason().empty());
    }
}

static void renegotiation_is_refused(void**) {
    Link link(context_of(plain_settings()), TLS1_2_VERSION);
    assert_true(link.shake());
    assert_int_equal(SSL_renegotiate(link.client), 1);
    SSL_do_handshake(link.client);
    link.carry_up();
    link.hear();
    link.read(); // a warning, no_renegotiation, ends it for the client
    assert_int_equal(SSL_do_handshake(link.client), -1);
    assert_false(link.stream->is_shaking());
    assert_true(link.stream->handshake_end() == HandshakeEnd::Full);
    assert_false(SSL_is_init_finished(link.client));
}

static std::string peer_subject(const Link& link) {
    X509* certificate = SSL_get1_peer_certificate(link.client);
    char name[100] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name,
                              sizeof name);
    X509_free(certificate);
    return name;
}

static void names_choose_certificates(void**) {
    TlsSettings settings = plain_settings();
    for (const auto& each :
         {Certified::make("two", "DNS:two.example,DNS:Deep.Two.example"),
          Certified::make("three", "DNS:*.two.example"),
          Certified::make("rsa", "DNS:two.example,DNS:deep.two.example", nullptr, "RSA")})
        settings.pairs.push_back({each.certificate, each.key});
    const auto context = context_of(settings);
    assert_int_equal(context->certificates().size(), 4);
    assert_text(context->certificates()[1].subject, "CN=two");
    struct {
        const char *host, *subject;
    } rows[] = {{nullptr, "server"},           {"one.example", "server"},
                {"x.one.example", "server"},   {"two.example", "two"},
                {"TWO.example", "two"},        {"deep.two.example", "two"},
                {"a.two.example", "three"},    {"a.b.two.example", "server"},
                {"unknown.example", "server"}, {".two.example", "server"}};
    for (const auto& row : rows)
        for (const int version : kVersions) {
            Link link(context, version);
            if (row.host)
                SSL_set_tlsext_host_name(link.client, row.host);
            assert_true(link.shake());
            assert_row(row.host ? row.host : "none", peer_subject(link) == row.subject);
        }
    Link old(context, TLS1_2_VERSION); // that knows no EC certificates
    SSL_set_tlsext_host_name(old.client, "two.example");
    SSL_set_cipher_list(old.client, "aRSA");
    assert_true(old.shake());
    assert_text(peer_subject(old), "rsa");
}

static void alpn_chooses(void**) {
    const struct {
        std::string offered;
        bool has_http2;
        const char* chosen; // "": none is taken
    } rows[] = {{"\x08http/1.1", false, "http/1.1"},
                {"\x08http/1.1", true, "http/1.1"},
                {"\x02h2\x08http/1.1", false, "http/1.1"},
                {"\x08http/1.1\x02h2", true, "h2"},
                {"\x02h2", true, "h2"},
                {"\x02h2", false, ""},
                {"\x02h3", true, ""}};
    for (const auto& row : rows) {
        Link link(context_of(plain_settings()), 0, nullptr, row.has_http2);
        SSL_set_alpn_protos(link.client, reinterpret_cast<const unsigned char*>(row.offered.data()),
                            static_cast<unsigned>(row.offered.size()));
        assert_row(row.offered, link.shake() == (*row.chosen != 0));
        assert_text(link.stream->protocol(), row.chosen);
        if (!*row.chosen)
            assert_true(link.stream->handshake_end() == HandshakeEnd::Protocol);
    }
    Link none(context_of(plain_settings()), 0, nullptr, true);
    assert_true(none.shake());
    assert_text(none.stream->protocol(), "");
}

static void nothing_in_common(void**) {
    TlsSettings settings = plain_settings();
    settings.has_tls12 = false;
    Link old(context_of(settings), TLS1_2_VERSION);
    assert_false(old.shake());
    assert_true(old.stream->handshake_end() == HandshakeEnd::Version);
    settings = plain_settings();
    settings.ciphers = {"ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_AES_256_GCM_SHA384"};
    settings.groups = {"P-256"};
    const auto context = context_of(settings);
    Link other(context, TLS1_2_VERSION);
    SSL_set_cipher_list(other.client, "ECDHE-ECDSA-AES128-GCM-SHA256");
    assert_false(other.shake());
    assert_true(other.stream->handshake_end() == HandshakeEnd::Cipher);
    Link suite(context, TLS1_3_VERSION);
    assert_true(suite.shake());
    assert_text(SSL_get_cipher_name(suite.client), "TLS_AES_256_GCM_SHA384");
    Link group(context, TLS1_3_VERSION);
    SSL_set1_groups_list(group.client, "X25519");
    assert_false(group.shake());
    assert_true(group.stream->handshake_end() == HandshakeEnd::Cipher);
}

static void give(const Link& link, const Certified& pair) {
    X509* certificate = Certified::read_certificate(pair.certificate);
    EVP_PKEY* key = Certified::read_key(pair.key);
    assert_int_equal(SSL_use_cert_and_key(link.client, certificate, key, nullptr, 1), 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static void client_certificates(void**) {
    const Certified authority = Certified::make("authority", "");
    const Certified good = Certified::make("client", "", &authority);
    const Certified other = Certified::make("stranger", "");
    TlsSettings settings = plain_settings();
    settings.client_ca = authority.certificate;
    const auto context = context_of(settings);
    for (const int version : kVersions) {
        Link none(context, version);
        none.shake();
        assert_true(none.stream->handshake_end() == HandshakeEnd::ClientCertificate);
        Link wrong(context, version);
        give(wrong, other);
        wrong.shake();
        assert_true(wrong.stream->handshake_end() == HandshakeEnd::ClientCertificate);
        Link right(context, version);
        give(right, good);
        assert_true(right.shake());
        assert_true(right.stream->handshake_end() == HandshakeEnd::Full);
    }
}

static HandshakeEnd resumed_by(const std::shared_ptr<const TlsContext>& first,
                               const std::shared_ptr<const TlsContext>& second, int version) {
    Link link(first, version);
    assert_true(link.shake());
    link.read();
    assert_non_null(link.ticket);
    Link back(second, version, link.ticket);
    back.shake();
    return back.stream->handshake_end();
}

static void tickets(void**) {
    const std::string key_a(80, 'a'), key_b(48, 'b');
    const auto with = [](std::vector<std::string> keys) {
        TlsSettings settings = plain_settings();
        settings.ticket_keys = std::move(keys);
        return context_of(settings);
    };
    TlsSettings asking = plain_settings();
    asking.client_ca = Certified::make("authority", "").certificate;
    TlsSettings renamed = plain_settings();
    renamed.name = "other";
    for (const int version : kVersions) {
        const auto full = HandshakeEnd::Full, resumed = HandshakeEnd::Resumed;
        assert_true(resumed_by(with({}), with({}), version) == resumed); // as after a reload
        assert_true(resumed_by(with({key_a}), with({key_a}), version) == resumed);
        assert_true(resumed_by(with({key_a}), with({key_b, key_a}), version) == resumed);
        assert_true(resumed_by(with({key_b}), with({key_b, key_a}), version) == resumed);
        assert_true(resumed_by(with({key_a}), with({key_b}), version) == full);
        assert_true(resumed_by(with({key_a}), with({}), version) == full);
        assert_true(resumed_by(with({}), context_of(renamed), version) == full);
        // No ticket leads past an authority that is asked for.
        assert_true(resumed_by(with({}), context_of(asking), version) ==
                    HandshakeEnd::ClientCertificate);
    }
}

static void faults(void**) {
    const Certified other = Certified::make("other", "DNS:one.example,DNS:*.one.example");
    const std::string& certificate = server_pair().certificate;
    const std::string& key = server_pair().key;
    struct {
        TlsSettings settings;
        std::string fault;
    } rows[] = {
        {{.pairs = {{certificate, other.key}}}, "key 0: is not the key of the certificate"},
        {{.pairs = {{certificate, key}, {other.certificate, other.key}}},
         "certificate 1: has the names and the kind of key of one before it"},
        {{.pairs = {{"", key}}}, "certificate 0: has no BEGIN CERTIFICATE"},
        {{.pairs = {{certificate + certificate.substr(0, 200), key}}},
         "certificate 0: has a damaged certificate"},
        {{.pairs = {{certificate, certificate}}}, "key 0: has no BEGIN PRIVATE KEY"},
        {{.pairs = {{certificate, key.substr(0, 100)}}}, "key 0: has no key that can be read"},
        {{.pairs = {{certificate, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n"
                                  "-----END ENCRYPTED PRIVATE KEY-----\n"}}},
         "key 0: is encrypted; write it without a password"},
        {{.pairs = {{certificate, key}}, .ciphers = {"AES", "NOTHING"}},
         "ciphers 1: is no cipher of this OpenSSL"},
        {{.pairs = {{certificate, key}}, .ciphers = {"TLS_AES_1_GCM"}},
         "ciphers 0: is no cipher of this OpenSSL"},
        {{.pairs = {{certificate, key}}, .groups = {"P-256", "P-1"}},
         "groups 1: is no group of this OpenSSL"},
        {{.pairs = {{certificate, key}}, .ticket_keys = {std::string(64, 'x')}},
         "ticket_key 0: has 64 bytes instead of 48 or 80"},
        {{.pairs = {{certificate, key}}, .client_ca = key},
         "client_ca 0: has no BEGIN CERTIFICATE"},
    };
    for (const auto& row : rows) {
        auto made = TlsContext::make(row.settings);
        const auto* fault = std::get_if<TlsFault>(&made);
        assert_row(row.fault, fault != nullptr);
        const std::string told =
            std::string(fault->key) + ' ' + std::to_string(fault->item) + ": " + fault->text;
        assert_row(row.fault + " / " + told, told.starts_with(row.fault));
        assert_int_equal(ERR_peek_error(), 0);
    }
}

int main() {
    std::signal(SIGPIPE, SIG_IGN);
    const CMUnitTest tests[] = {
        cmocka_unit_test(both_versions_carry_bytes_both_ways),
        cmocka_unit_test(byte_by_byte_is_the_same),
        cmocka_unit_test(a_read_takes_all_records_that_are_there),
        cmocka_unit_test(small_pieces_are_one_record),
        cmocka_unit_test(records_are_as_small_as_the_client_asks),
        cmocka_unit_test(large_pieces_are_whole_records),
        cmocka_unit_test(a_full_socket_loses_nothing),
        cmocka_unit_test(reads_go_on_while_writes_wait),
        cmocka_unit_test(a_key_update_on_a_full_socket),
        cmocka_unit_test(ends_are_told_apart),
        cmocka_unit_test(we_end_by_close_notify),
        cmocka_unit_test(what_is_not_tls_is_refused),
        cmocka_unit_test(an_oversize_record_ends_it),
        cmocka_unit_test(renegotiation_is_refused),
        cmocka_unit_test(names_choose_certificates),
        cmocka_unit_test(alpn_chooses),
        cmocka_unit_test(nothing_in_common),
        cmocka_unit_test(client_certificates),
        cmocka_unit_test(tickets),
        cmocka_unit_test(faults),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
