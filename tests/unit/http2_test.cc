// SPDX-License-Identifier: Apache-2.0
// The server's side of HTTP/2 with nghttp2's own client at the other end, in memory.
#include "http/http2.h"

#include <algorithm>
#include <deque>
#include <map>
#include <nghttp2/nghttp2.h>

#include "test.h"

using namespace fanhorn;
using namespace fanhorn::http;
using Excess = Http2Session::Excess;

namespace {

nghttp2_nv field(std::string_view name, std::string_view value) {
    const auto bytes = [](std::string_view text) {
        return const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(text.data()));
    };
    return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

std::string_view text_of(const uint8_t* bytes, size_t size) {
    return {reinterpret_cast<const char*>(bytes), size};
}

// Reads all that comes; what it is to do in its place is the test's.
struct User final : Http2User {
    explicit User(Http2Stream& its) : stream(its) {}
    void on_input() override {
        char buffer[1000];
        while (is_reading) {
            const size_t size = stream.read(buffer);
            if (size == 0)
                break;
            text.append(buffer, size);
        }
        is_ended = is_ended || stream.has_ended();
    }
    void on_room() override {
        ++rooms;
        if (to_write.empty())
            return;
        if (stream.is_ended())
            return stream.leave();
        written += static_cast<size_t>(write(std::string_view(to_write).substr(written)));
        if (written == to_write.size() && stream.end())
            stream.leave();
    }
    void on_gone() override { is_gone = true; }

    ssize_t write(std::string_view bytes) {
        const iovec piece = {const_cast<char*>(bytes.data()), bytes.size()};
        return stream.write(&piece, 1);
    }

    Http2Stream& stream;
    bool is_reading = true, is_ended = false, is_gone = false;
    int rooms = 0;
    std::string text;
    std::string to_write; // and then it ends
    size_t written = 0;
};

struct Server final : Http2Session::Handler {
    explicit Server(const Http2Limits& limits = {}) : session(*this, limits) {}
    Http2User* accept(Http2Stream& stream) override {
        if (refuses)
            return nullptr;
        users.push_back(std::make_unique<User>(stream));
        users.back()->is_reading = reads;
        return users.back().get();
    }
    void on_output() override { has_output = true; }
    User& last() { return *users.back(); }

    bool refuses = false, reads = true, has_output = false;
    Millis now = 1000;
    std::deque<std::unique_ptr<User>> users;
    Http2Session session;
};

struct Got {
    std::string status, fields, body;
    bool is_closed = false;
    uint32_t error = 0;
};

class Client {
  public:
    explicit Client(uint32_t window = 65535) {
        nghttp2_session_callbacks* callbacks = nullptr;
        nghttp2_session_callbacks_new(&callbacks);
        nghttp2_session_callbacks_set_on_header_callback(
            callbacks,
            [](nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
               const uint8_t* value, size_t size, uint8_t, void* self) {
                Got& its = static_cast<Client*>(self)->got[frame->hd.stream_id];
                if (text_of(name, name_size) == ":status")
                    its.status.append(its.status.empty() ? "" : " ").append(text_of(value, size));
                else
                    its.fields.append(text_of(name, name_size))
                        .append("=")
                        .append(text_of(value, size))
                        .append("\n");
                return 0;
            });
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
            callbacks, [](nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size,
                          void* self) {
                static_cast<Client*>(self)->got[id].body += text_of(data, size);
                return 0;
            });
        nghttp2_session_callbacks_set_on_stream_close_callback(
            callbacks, [](nghttp2_session*, int32_t id, uint32_t error, void* self) {
                Got& closed = static_cast<Client*>(self)->got[id];
                closed.is_closed = true;
                closed.error = error;
                return 0;
            });
        nghttp2_session_callbacks_set_on_frame_recv_callback(
            callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* self) {
                if (frame->hd.type == NGHTTP2_GOAWAY) {
                    static_cast<Client*>(self)->goaways.push_back(
                        {frame->goaway.last_stream_id, frame->goaway.error_code});
                }
                return 0;
            });
        nghttp2_session_client_new(&session, callbacks, this);
        nghttp2_session_callbacks_del(callbacks);
        const nghttp2_settings_entry entry = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window};
        nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, &entry, 1);
    }
    ~Client() { nghttp2_session_del(session); }

    int32_t request(std::vector<std::pair<std::string_view, std::string_view>> fields,
                    bool has_body = false) {
        std::vector<nghttp2_nv> all;
        for (const auto& [name, value] : fields)
            all.push_back(field(name, value));
        nghttp2_data_provider provider{};
        provider.source.ptr = this;
        provider.read_callback = [](nghttp2_session*, int32_t, uint8_t* buffer, size_t length,
                                    uint32_t* flags, nghttp2_data_source* source,
                                    void*) -> ssize_t {
            auto& self = *static_cast<Client*>(source->ptr);
            const size_t size = std::min(length, self.body.size());
            std::copy_n(self.body.data(), size, buffer);
            self.body.erase(0, size);
            if (self.body.empty() && self.ends_body)
                *flags |= NGHTTP2_DATA_FLAG_EOF;
            else if (size == 0)
                return NGHTTP2_ERR_DEFERRED;
            return static_cast<ssize_t>(size);
        };
        return nghttp2_submit_request(session, nullptr, all.data(), all.size(),
                                      has_body ? &provider : nullptr, nullptr);
    }
    int32_t get() {
        return request(
            {{":method", "GET"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/x"}});
    }
    std::string output() {
        std::string all;
        const uint8_t* bytes = nullptr;
        for (ssize_t size = 0; (size = nghttp2_session_mem_send(session, &bytes)) > 0;)
            all += text_of(bytes, static_cast<size_t>(size));
        return all;
    }

    nghttp2_session* session = nullptr;
    std::map<int32_t, Got> got;
    std::vector<std::pair<int32_t, uint32_t>> goaways;
    std::string body; // to send
    bool ends_body = true;
};

// Until neither has more to say.
void exchange(Client& client, Server& server) {
    for (bool moves = true; moves;) {
        const std::string up = client.output();
        if (!up.empty())
            server.session.receive(up, server.now);
        moves = !up.empty();
        for (auto down = server.session.output(); !down.empty(); down = server.session.output()) {
            const std::string bytes(down.substr(0, 5000)); // as a socket takes it
            nghttp2_session_mem_recv(client.session, reinterpret_cast<const uint8_t*>(bytes.data()),
                                     bytes.size());
            server.session.sent(bytes.size());
            moves = true;
        }
        server.session.tell_writable();
    }
}

const std::string kHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n";

} // namespace

static std::string frame(uint8_t type, uint8_t flags, int32_t stream, std::string_view payload) {
    std::string bytes;
    for (const int shift : {16, 8, 0})
        bytes += static_cast<char>(payload.size() >> shift);
    bytes += static_cast<char>(type);
    bytes += static_cast<char>(flags);
    for (const int shift : {24, 16, 8, 0})
        bytes += static_cast<char>(stream >> shift);
    return bytes.append(payload);
}

static void an_answer(void**) {
    Server server;
    Client client;
    const int32_t id = client.get();
    exchange(client, server);
    assert_int_equal(server.session.stream_count(), 1);
    User& user = server.last();
    assert_text(user.text, "GET /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert_false(user.is_ended); // only a WebSocket is told of an end
    for (const char byte : kHead + "hel")
        assert_int_equal(user.write({&byte, 1}), 1);
    exchange(client, server);
    assert_text(client.got[id].status, "200");
    assert_text(client.got[id].fields, "content-type=text/plain\n");
    assert_text(client.got[id].body, "hel");
    assert_false(client.got[id].is_closed);
    assert_int_equal(user.write("lo"), 2);
    assert_false(user.stream.end()); // "lo" is not on its way yet
    assert_int_equal(user.rooms, 0);
    exchange(client, server);
    assert_text(client.got[id].body, "hello");
    assert_true(client.got[id].is_closed && client.got[id].error == NGHTTP2_NO_ERROR);
    assert_true(user.is_gone);
    assert_int_equal(server.session.stream_count(), 0);
    assert_false(server.session.is_over());
    assert_true(server.session.take_excess() == Excess::None);
}

static void an_answer_of_one_piece(void**) {
    Server server;
    Client client;
    const int32_t id = client.get();
    exchange(client, server);
    const std::string all = "HTTP/1.1 100 Continue\r\n\r\n" + kHead;
    assert_int_equal(server.last().write(all), all.size());
    assert_true(server.last().stream.end());
    server.last().stream.leave();
    exchange(client, server);
    assert_text(client.got[id].status, "100 200");
    assert_true(client.got[id].is_closed && client.got[id].error == NGHTTP2_NO_ERROR);
}

static void an_answer_in_chunks(void**) {
    Server server;
    Client client;
    const int32_t id = client.get();
    exchange(client, server);
    const std::string all = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                            "5\r\nhello\r\n6\r\n chunk\r\n0\r\n\r\n";
    for (const char byte : all)
        assert_int_equal(server.last().write({&byte, 1}), 1);
    server.last().stream.end();
    exchange(client, server);
    assert_text(client.got[id].body, "hello chunk");
    assert_text(client.got[id].fields, "");
    assert_true(client.got[id].is_closed && client.got[id].error == NGHTTP2_NO_ERROR);
}

static void a_body(void**) {
    for (const bool has_length : {false, true}) {
        Server server;
        Client client;
        client.body = std::string(200'000, '+');
        std::vector<std::pair<std::string_view, std::string_view>> fields = {
            {":method", "POST"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/"}};
        if (has_length)
            fields.emplace_back("content-length", "200000");
        client.request(fields, true);
        exchange(client, server);
        const std::string& text = server.last().text;
        assert_int_equal(std::count(text.begin(), text.end(), '+'), 200'000);
        assert_int_equal(text.ends_with("\r\n0\r\n\r\n"), !has_length);
    }
}

// Who does not read, holds up his own stream's window of 64 KiB, and no other stream's.
static void an_unread_body(void**) {
    Server server;
    server.reads = false;
    Client client;
    client.body = std::string(200'000, '+');
    client.request({{":method", "POST"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/"}},
                   true);
    exchange(client, server);
    assert_int_equal(client.body.size(), 200'000 - 65'535);
    User& user = server.last();
    user.is_reading = true;
    user.on_input();
    exchange(client, server);
    assert_int_equal(std::count(user.text.begin(), user.text.end(), '+'), 200'000);
    // An answer before the request is read: what is left of it is not wanted.
    client.body = std::string(200'000, '+');
    server.reads = false;
    const int32_t id = client.request(
        {{":method", "POST"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/"}}, true);
    exchange(client, server);
    server.last().write(kHead + "no");
    server.last().stream.end();
    exchange(client, server);
    assert_text(client.got[id].body, "no");
    assert_true(client.got[id].is_closed && client.got[id].error == NGHTTP2_NO_ERROR);
    // The connection's window is whole again.
    client.body = std::string(100'000, '+');
    server.reads = true;
    client.request({{":method", "POST"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/"}},
                   true);
    exchange(client, server);
    assert_int_equal(client.body.size(), 0);
}

static void those_who_do_not_read(void**) {
    const std::vector<std::pair<std::string_view, std::string_view>> post = {
        {":method", "POST"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/"}};
    Server server;
    server.reads = false;
    Client client;
    for (int i = 0; i < 3; ++i) {
        client.body = std::string(100'000, '+');
        client.request(post, true);
        exchange(client, server);
    }
    server.reads = true;
    client.body = std::string(100'000, '~');
    client.request(post, true);
    exchange(client, server);
    assert_int_equal(std::count(server.last().text.begin(), server.last().text.end(), '~'),
                     100'000);
    // Many of them are bounded together.
    server.reads = false;
    for (int i = 0; i < 20; ++i) {
        client.body = std::string(100'000, '+');
        client.request(post, true);
        exchange(client, server);
    }
    const int32_t left = nghttp2_session_get_remote_window_size(client.session);
    assert_int_equal(left, 0);
    for (const auto& user : server.users) {
        user->is_reading = true;
        user->on_input();
    }
    exchange(client, server);
    assert_true(nghttp2_session_get_remote_window_size(client.session) > 32'000);
}

static void half_a_head(void**) {
    Server server;
    Client client;
    exchange(client, server);
    server.now = 5000;
    server.session.receive(frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1, ""), server.now);
    assert_int_equal(server.session.head_since(), 5000);
    assert_int_equal(server.session.stream_count(), 0);
    server.now = 6000;
    server.session.receive(frame(NGHTTP2_CONTINUATION, 0, 1, "\x82\x86\x84"), server.now);
    assert_int_equal(server.session.head_since(), 5000);
    server.session.receive(frame(NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1,
                                 "\x41\x01"
                                 "a"),
                           server.now);
    assert_int_equal(server.session.head_since(), 0);
    assert_int_equal(server.session.stream_count(), 1);
}

static void a_websocket(void**) {
    Server server;
    Client client;
    client.ends_body = false;
    const auto upgrade = {std::pair<std::string_view, std::string_view>{":method", "CONNECT"},
                          {":protocol", "websocket"},
                          {":scheme", "http"},
                          {":authority", "a"},
                          {":path", "/sub/x"}};
    exchange(client, server); // the client must know first that it may
    const int32_t id = client.request(upgrade, true);
    exchange(client, server);
    User& user = server.last();
    assert_true(user.text.starts_with("GET /sub/x HTTP/1.1\r\n"));
    assert_true(user.text.find("upgrade: websocket\r\n") != std::string::npos);
    user.text.clear();
    user.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
               "Connection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n\x81\x02hi");
    client.body = "frame";
    nghttp2_session_resume_data(client.session, id);
    exchange(client, server);
    assert_text(client.got[id].status, "200");
    assert_text(client.got[id].fields, "");
    assert_text(client.got[id].body, "\x81\x02hi");
    assert_text(user.text, "frame");
    assert_false(user.is_ended);
    client.ends_body = true;
    nghttp2_session_resume_data(client.session, id);
    exchange(client, server);
    assert_true(user.is_ended);
    user.stream.end();
    exchange(client, server);
    assert_true(user.is_gone);
}

static void a_slow_reader(void**) {
    Server server;
    Client client(0);
    const int32_t id = client.get();
    exchange(client, server);
    User& user = server.last();
    assert_int_equal(user.write(kHead), kHead.size());
    const std::string payload(100'000, 'p');
    ssize_t sent = user.write(payload);
    assert_int_equal(sent, Http2Stream::kMaxOut);
    exchange(client, server);
    assert_int_equal(user.write(payload), 0);
    assert_int_equal(user.rooms, 0);
    assert_text(client.got[id].status, "200");
    for (int turn = 0; sent < 100'000; ++turn) {
        assert_true(turn < 1000);
        nghttp2_submit_window_update(client.session, NGHTTP2_FLAG_NONE, id, 3000);
        exchange(client, server);
        sent += user.write(std::string_view(payload).substr(static_cast<size_t>(sent)));
    }
    assert_true(user.rooms > 0);
    assert_false(user.stream.end());
    const int rooms = user.rooms;
    nghttp2_submit_window_update(client.session, NGHTTP2_FLAG_NONE, id, 9000);
    exchange(client, server);
    assert_int_equal(user.rooms, rooms); // not all of it is on its way
    nghttp2_submit_window_update(client.session, NGHTTP2_FLAG_NONE, id, 100'000);
    exchange(client, server);
    assert_int_equal(client.got[id].body.size(), 100'000);
    assert_true(client.got[id].is_closed && user.is_gone);
}

// In the very call that tells of room, as a connection does, which then leaves when all has gone.
static void ends_when_there_is_room(void**) {
    for (size_t size = 16'000; size < 80'000; size += 1777) {
        Server server;
        Client client(1 << 30);
        nghttp2_session_set_local_window_size(client.session, NGHTTP2_FLAG_NONE, 0, 1 << 30);
        const int32_t id = client.get();
        exchange(client, server);
        User& user = server.last();
        user.to_write = kHead + std::string(size, 'p');
        user.on_room();
        exchange(client, server);
        assert_int_equal(client.got[id].body.size(), size);
        assert_true(client.got[id].is_closed && client.got[id].error == NGHTTP2_NO_ERROR);
    }
}

static void those_who_leave(void**) {
    Server server;
    Client client;
    const int32_t early = client.get();
    exchange(client, server);
    server.last().stream.leave();
    const int32_t late = client.get();
    exchange(client, server);
    server.last().write(kHead + "half");
    server.last().stream.leave();
    const int32_t cancelled = client.get();
    exchange(client, server);
    assert_int_equal(client.got[early].error, NGHTTP2_REFUSED_STREAM);
    assert_int_equal(client.got[late].error, NGHTTP2_CANCEL);
    nghttp2_submit_rst_stream(client.session, NGHTTP2_FLAG_NONE, cancelled, NGHTTP2_CANCEL);
    exchange(client, server);
    assert_true(server.last().is_gone);
    server.refuses = true;
    const int32_t refused = client.get();
    exchange(client, server);
    assert_int_equal(client.got[refused].error, NGHTTP2_REFUSED_STREAM);
    assert_int_equal(server.session.stream_count(), 0);
    assert_true(client.goaways.empty());

    server.refuses = false;
    client.get();
    exchange(client, server);
    server.session.abandon();
    assert_true(server.last().is_gone);
    assert_true(server.session.is_over() && server.session.output().empty());
}

// RFC 9113 section 8.1.1: the stream is at fault, not the connection.
static void malformed_fields(void**) {
    Server server;
    Client client;
    exchange(client, server);
    const int32_t id = client.request({{":method", "GET"},
                                       {":scheme", "http"},
                                       {":path", "/"},
                                       {":authority", "a"},
                                       {"x", "a\r\nb: c"}});
    exchange(client, server);
    assert_int_equal(client.got[id].error, NGHTTP2_PROTOCOL_ERROR);
    assert_true(server.users.empty());
    const int32_t next = client.get();
    exchange(client, server);
    assert_false(client.got[next].is_closed);
}

// ---- limits

static bool is_calmed(Client& client, Server& server) {
    exchange(client, server);
    return !client.goaways.empty() && client.goaways.back().second == NGHTTP2_ENHANCE_YOUR_CALM &&
           server.session.is_over();
}

static void too_many_resets(void**) {
    Server server({.resets = 10});
    Client client;
    for (int i = 0; i < 10; ++i) {
        const int32_t id = client.get();
        exchange(client, server);
        // NO_ERROR is no excuse.
        nghttp2_submit_rst_stream(client.session, NGHTTP2_FLAG_NONE, id,
                                  i % 2 ? NGHTTP2_CANCEL : NGHTTP2_NO_ERROR);
        exchange(client, server);
    }
    assert_true(server.session.take_excess() == Excess::None);
    server.now += 6000; // one of them is forgotten
    const int32_t one = client.get(), two = client.get();
    exchange(client, server);
    nghttp2_submit_rst_stream(client.session, NGHTTP2_FLAG_NONE, one, NGHTTP2_CANCEL);
    exchange(client, server);
    assert_true(server.session.take_excess() == Excess::None);
    nghttp2_submit_rst_stream(client.session, NGHTTP2_FLAG_NONE, two, NGHTTP2_CANCEL);
    assert_true(is_calmed(client, server));
    assert_true(server.session.take_excess() == Excess::Resets);
    assert_text(server.session.fault(), "ENHANCE_YOUR_CALM");
}

// Those that we reset, since the peer breaks their rules (CVE-2025-8671).
static void made_resets(void**) {
    Server server({.resets = 10});
    Client client;
    exchange(client, server);
    int32_t id = 1;
    for (int i = 0; i < 11; ++i, id += 2) {
        client.get();
        exchange(client, server);
        server.session.receive(frame(NGHTTP2_WINDOW_UPDATE, 0, id, "\x7f\xff\xff\xff"), server.now);
    }
    assert_true(is_calmed(client, server));
    assert_true(server.session.take_excess() == Excess::Resets);
}

static void too_many_frames(void**) {
    const struct {
        const char* name;
        uint8_t type, flags;
        std::string payload;
    } kRows[] = {
        {"ping", NGHTTP2_PING, 0, "12345678"},
        {"pong", NGHTTP2_PING, NGHTTP2_FLAG_ACK, "12345678"},
        {"settings", NGHTTP2_SETTINGS, 0, ""},
        {"priority", NGHTTP2_PRIORITY, 0, std::string("\0\0\0\0\1", 5)},
    };
    for (const auto& row : kRows) {
        Server server({.frames = 20});
        Client client;
        exchange(client, server);
        server.now += 1000;
        const std::string bytes =
            frame(row.type, row.flags, row.type == NGHTTP2_PRIORITY ? 3 : 0, row.payload);
        for (int i = 0; i < 20; ++i)
            server.session.receive(bytes, server.now);
        assert_row(row.name, server.session.take_excess() == Excess::None);
        server.session.receive(bytes, server.now);
        assert_row(row.name, server.session.take_excess() == Excess::Frames);
        assert_row(row.name, is_calmed(client, server));
    }
}

static void empty_data(void**) {
    Server server({.frames = 20});
    Client client;
    client.ends_body = false;
    const int32_t id = client.request(
        {{":method", "POST"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/"}}, true);
    exchange(client, server);
    for (int i = 0; i < 40; ++i)
        server.session.receive(frame(NGHTTP2_DATA, 0, id, ""), server.now);
    assert_true(is_calmed(client, server));
    assert_true(server.session.take_excess() == Excess::Frames);
    // No end of the body was made of them.
    assert_true(server.last().text.find("0\r\n\r\n") == std::string::npos);
}

static void too_many_streams(void**) {
    Server server({.streams = 3});
    Client client; // knows nothing of the limit yet
    for (int i = 0; i < 5; ++i)
        client.get();
    exchange(client, server);
    assert_int_equal(server.session.stream_count(), 3);
    assert_true(server.session.take_excess() == Excess::Streams);
    assert_int_equal(client.got[7].error, NGHTTP2_REFUSED_STREAM);
    assert_int_equal(client.got[9].error, NGHTTP2_REFUSED_STREAM);
    assert_false(server.session.is_over());
}

// CVE-2024-27316: what goes on and on is not kept.
static void endless_fields(void**) {
    Server server;
    Client client;
    exchange(client, server);
    server.session.receive(frame(NGHTTP2_HEADERS, 0, 1, ""), server.now);
    const std::string literal = std::string("\x00\x01x\x7f\x81\x01", 6) + std::string(256, 'v');
    for (int i = 0; i < 100; ++i)
        server.session.receive(frame(NGHTTP2_CONTINUATION, 0, 1, literal), server.now);
    exchange(client, server);
    assert_true(server.session.is_over());
    assert_true(server.users.empty());
}

// ---- ends

static void wrong_prefaces(void**) {
    for (const char* bytes :
         {"GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "\x16\x03"}) {
        Server server;
        server.session.receive(bytes, 0);
        assert_row(bytes, server.session.is_over());
        assert_row(bytes, !server.session.fault().empty());
        server.session.receive("more", 0);
    }
}

static void a_protocol_error(void**) {
    Server server;
    Client client;
    client.get();
    exchange(client, server);
    server.session.receive(frame(NGHTTP2_DATA, 0, 0, "x"), server.now);
    exchange(client, server);
    assert_int_equal(client.goaways.back().second, NGHTTP2_PROTOCOL_ERROR);
    assert_true(server.session.is_over());
    assert_text(server.session.fault(), "PROTOCOL_ERROR");
}

static void shutting_down(void**) {
    Server server;
    Client client;
    const int32_t first = client.get();
    exchange(client, server);
    server.session.shut_down(false);
    const std::string late = (client.get(), client.output()); // was on its way
    exchange(client, server);
    assert_int_equal(client.goaways.back().first, INT32_MAX);
    server.session.receive(late, server.now);
    assert_int_equal(server.session.stream_count(), 2);
    server.session.shut_down(true);
    exchange(client, server);
    assert_int_equal(client.goaways.back().first, 3);
    assert_false(server.session.is_over());
    for (const auto& user : server.users) {
        user->write(kHead + "bye");
        user->stream.end();
    }
    exchange(client, server);
    assert_text(client.got[first].body, "bye");
    assert_text(client.got[3].body, "bye");
    assert_int_equal(server.session.stream_count(), 0);
    assert_text(server.session.fault(), "");
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(an_answer),           cmocka_unit_test(an_answer_of_one_piece),
        cmocka_unit_test(an_answer_in_chunks), cmocka_unit_test(a_body),
        cmocka_unit_test(an_unread_body),      cmocka_unit_test(those_who_do_not_read),
        cmocka_unit_test(half_a_head),         cmocka_unit_test(a_websocket),
        cmocka_unit_test(a_slow_reader),       cmocka_unit_test(ends_when_there_is_room),
        cmocka_unit_test(those_who_leave),     cmocka_unit_test(malformed_fields),
        cmocka_unit_test(too_many_resets),     cmocka_unit_test(made_resets),
        cmocka_unit_test(too_many_frames),     cmocka_unit_test(empty_data),
        cmocka_unit_test(too_many_streams),    cmocka_unit_test(endless_fields),
        cmocka_unit_test(wrong_prefaces),      cmocka_unit_test(a_protocol_error),
        cmocka_unit_test(shutting_down),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
