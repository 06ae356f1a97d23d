// SPDX-License-Identifier: Apache-2.0
// The kernel's own limit, as a server: what a relay with no work of its own would cost. One loop; a
// POST builds its frame once and a bare send() takes it to each socket of the channel. No history,
// no queues, no limits, no heartbeats: measure with it, never run it where strangers connect.
#include "base/check.h"
#include "base/text.h"
#include "modules/websocket_frame.h"

#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <unordered_map>
#include <vector>

namespace fanhorn {
namespace {

constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
constexpr std::string_view kEventStream =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\n";

struct Channel {
    std::vector<int> sockets;
    bool is_websocket = true;
    std::string pending; // frames that wait to be coalesced
    unsigned messages = 0;
};

struct Connection {
    Channel* channel = nullptr; // of a subscriber
    size_t place = 0;           // in the channel's sockets
    std::string input;          // of a request that is not complete yet
};

struct Request {
    std::string_view method, target, key, body;
    size_t bytes = 0; // head and body; 0: not complete yet
};

Request parse(std::string_view input) {
    const size_t end = input.find("\r\n\r\n");
    if (end == input.npos)
        return {};
    Request request;
    size_t length = 0;
    std::string_view head = input.substr(0, end + 2);
    std::string_view line = take_until(head, '\n');
    request.method = take_until(line, ' ');
    request.target = take_until(line, ' ');
    while (!head.empty()) {
        std::string_view value = take_until(head, '\r');
        head.remove_prefix(1); // LF
        const std::string_view name = take_until(value, ':');
        if (equal_ignoring_case(name, "content-length"))
            length = parse_u64(trim_blanks(value)).value_or(0);
        else if (equal_ignoring_case(name, "sec-websocket-key"))
            request.key = trim_blanks(value);
    }
    request.body = input.substr(end + 4, length);
    request.bytes = request.body.size() == length ? end + 4 + length : 0;
    return request;
}

// RFC 6455 section 5.2: a final text frame from a server, up to 65,535 bytes.
void append_websocket(std::string& out, std::string_view body) {
    CHECK(body.size() < 1 << 16);
    const char high = static_cast<char>(body.size() >> 8), low = static_cast<char>(body.size());
    out += '\x81';
    if (body.size() < 126)
        out += low;
    else
        ((out += '\x7e') += high) += low;
    out += body;
}

void append_event(std::string& out, std::string_view body) {
    ((out += "data: ") += body) += "\n\n";
}

// Waits where a socket is full: this program has no queues.
void send_all(int socket, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent >= 0) {
            bytes.remove_prefix(static_cast<size_t>(sent));
        } else if (errno == EAGAIN) {
            pollfd full{socket, POLLOUT, 0};
            poll(&full, 1, -1);
        } else {
            return; // the read that follows notices the close
        }
    }
}

class Server {
  public:
    Server(uint16_t port, unsigned coalesce) : coalesce_(coalesce) {
        listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        const int on = 1;
        setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        const sockaddr_in address{AF_INET, htons(port), {htonl(INADDR_LOOPBACK)}, {}};
        if (bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
            listen(listener_, SOMAXCONN) != 0) {
            perror("bench-limit: listen");
            exit(1);
        }
        watch(listener_);
    }

    [[noreturn]] void run() {
        std::array<epoll_event, 256> events;
        for (;;) {
            const int count =
                epoll_wait(epoll_, events.data(), events.size(), waiting_.empty() ? -1 : 0);
            for (int i = 0; i < count; i++) {
                const int socket = events[static_cast<size_t>(i)].data.fd;
                socket == listener_ ? accept_all() : read_from(socket);
            }
            if (count > 0)
                continue;
            for (Channel* channel : waiting_)
                flush(*channel);
            waiting_.clear();
        }
    }

  private:
    void watch(int socket) {
        epoll_event event{EPOLLIN, {.fd = socket}};
        CHECK(epoll_ctl(epoll_, EPOLL_CTL_ADD, socket, &event) == 0);
    }

    void accept_all() {
        for (;;) {
            const int socket = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK);
            if (socket < 0)
                return;
            const int on = 1;
            setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            if (connections_.size() <= static_cast<size_t>(socket))
                connections_.resize(static_cast<size_t>(socket) + 1);
            watch(socket);
        }
    }

    void read_from(int socket) {
        static std::array<char, 16 << 10> buffer;
        const ssize_t got = recv(socket, buffer.data(), buffer.size(), 0);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0)
            return leave(socket);
        Connection& connection = connections_[static_cast<size_t>(socket)];
        if (connection.channel)
            return; // pongs and the like
        connection.input.append(buffer.data(), static_cast<size_t>(got));
        std::string_view rest = connection.input;
        for (Request request; !connection.channel && (request = parse(rest)).bytes != 0;) {
            on_request(socket, request);
            rest.remove_prefix(request.bytes);
        }
        connection.input.erase(0, connection.input.size() - rest.size());
        if (connection.channel)
            connection.input = std::string();
    }

    // What stands behind the last '/' names the channel.
    void on_request(int socket, const Request& request) {
        const std::string_view name = request.target.substr(request.target.rfind('/') + 1);
        Channel& channel = channels_[std::string(name)];
        if (request.method != "POST")
            return join(socket, channel, request.key);
        publish(channel, request.body);
        send_all(socket, kAnswer);
    }

    void join(int socket, Channel& channel, std::string_view key) {
        channel.is_websocket = !key.empty();
        if (key.empty())
            send_all(socket, kEventStream);
        else
            send_all(socket, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                             "Connection: Upgrade\r\nSec-WebSocket-Accept: " +
                                 accept_key(key) + "\r\n\r\n");
        Connection& connection = connections_[static_cast<size_t>(socket)];
        connection.channel = &channel;
        connection.place = channel.sockets.size();
        channel.sockets.push_back(socket);
    }

    void leave(int socket) {
        Connection& connection = connections_[static_cast<size_t>(socket)];
        if (connection.channel) {
            std::vector<int>& sockets = connection.channel->sockets;
            sockets[connection.place] = sockets.back();
            connections_[static_cast<size_t>(sockets.back())].place = connection.place;
            sockets.pop_back();
        }
        connection = Connection();
        close(socket);
    }

    void publish(Channel& channel, std::string_view body) {
        if (channel.messages == 0 && coalesce_ > 1)
            waiting_.push_back(&channel);
        if (channel.is_websocket)
            append_websocket(channel.pending, body);
        else
            append_event(channel.pending, body);
        if (++channel.messages >= coalesce_)
            flush(channel);
    }

    static void flush(Channel& channel) {
        if (channel.messages == 0)
            return;
        for (const int socket : channel.sockets)
            send_all(socket, channel.pending);
        channel.pending.clear();
        channel.messages = 0;
    }

    const unsigned coalesce_; // messages in one send() at most; more than one: when nothing else is
    const int epoll_ = epoll_create1(0);
    int listener_ = -1;
    std::vector<Connection> connections_; // by descriptor
    std::unordered_map<std::string, Channel> channels_;
    std::vector<Channel*> waiting_;
};

} // namespace
} // namespace fanhorn

int main(int argc, char** argv) {
    if (argc < 2 || argc > 3)
        return fprintf(stderr, "usage: bench-limit PORT [MESSAGES-IN-ONE-SEND]\n"), 2;
    const int coalesce = argc == 3 ? atoi(argv[2]) : 1;
    fanhorn::Server(static_cast<uint16_t>(atoi(argv[1])), coalesce > 1 ? coalesce : 1).run();
}
