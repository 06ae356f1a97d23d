// SPDX-License-Identifier: Apache-2.0
#include "ctl/client.h"

#include "base/text.h"
#include "ctl/json.h"
#include "http/grammar.h"

#include <cerrno>
#include <cstring>
#include <memory>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>

namespace fanhorn::ctl {

namespace {

constexpr int kConnectTimeoutS = 5;
constexpr int kAnswerTimeoutS = 30;
constexpr size_t kMaxProblemBytes = 64 << 10;

class Socket {
  public:
    explicit Socket(int fd) : fd_(fd) {}
    ~Socket() {
        if (fd_ >= 0)
            close(fd_);
    }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    int fd() const { return fd_; }

  private:
    int fd_;
};

std::string reason() {
    return errno == EAGAIN || errno == EINPROGRESS ? "timed out" : std::strerror(errno);
}

void set_timeouts(int fd, int seconds) {
    const timeval limit{seconds, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit); // connect() too
}

Result<std::unique_ptr<Socket>> connect_unix(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return Error{"the path of the socket is too long"};
    path.copy(address.sun_path, path.size());
    auto made = std::make_unique<Socket>(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    set_timeouts(made->fd(), kConnectTimeoutS);
    if (connect(made->fd(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
        return Error{"cannot connect to " + path + ": " + reason()};
    return made;
}

Result<std::unique_ptr<Socket>> connect_to(const Url& url) {
    if (url.host.empty())
        return connect_unix(url.path);
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (const int failed = getaddrinfo(url.host.c_str(), url.port.c_str(), &hints, &found))
        return Error{"cannot find " + url.host + ": " + gai_strerror(failed)};
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> all(found, freeaddrinfo);
    std::string why = "no address";
    for (const addrinfo* each = found; each; each = each->ai_next) {
        auto made =
            std::make_unique<Socket>(socket(each->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
        set_timeouts(made->fd(), kConnectTimeoutS);
        if (connect(made->fd(), each->ai_addr, each->ai_addrlen) == 0)
            return made;
        why = reason();
    }
    return Error{"cannot connect to " + url.authority + ": " + why + "; is the daemon running?"};
}

bool send_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
}

std::string request_text(const Url& url, const Request& request) {
    std::string out = request.method + ' ' + request.target +
                      " HTTP/1.1\r\nHost: " + url.authority +
                      "\r\nUser-Agent: fanhornctl/" FANHORN_VERSION "\r\nConnection: close\r\n";
    if (request.method != "GET")
        out += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
    return out + request.headers + "\r\n" + request.body;
}

// Reads until the answer ends or on_body() does not want more.
Result<Response> read_answer(int fd, const std::function<bool(std::string_view)>& on_body) {
    ResponseReader reader;
    char buffer[16384];
    while (!reader.is_done()) {
        const ssize_t got = recv(fd, buffer, sizeof buffer, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return Error{"no answer: " + reason()};
        if (got == 0 && !reader.end())
            return Error{"the connection ended within the answer"};
        if (!reader.feed({buffer, static_cast<size_t>(got)}))
            return Error{"the answer is not HTTP"};
        if (reader.status() != 200 && reader.body().size() > kMaxProblemBytes)
            break;
        if (reader.status() == 200 && !reader.body().empty() &&
            !on_body(std::exchange(reader.body(), {})))
            break;
    }
    return Response{reader.status(), std::move(reader.body())};
}

} // namespace

Result<Url> parse_url(std::string_view text) {
    const std::string quoted = "'" + std::string(text) + "'";
    Url url;
    if (text.starts_with("unix:/")) {
        url.path = text.substr(5);
        return url;
    }
    if (text.starts_with("https:"))
        return Error{"https is not in this version; speak to the listener itself, with http"};
    if (!text.starts_with("http://"))
        return Error{quoted + " is not http://HOST:PORT or unix:/PATH"};
    text.remove_prefix(7);
    url.authority = take_until(text, '/');
    if (!text.empty())
        return Error{quoted + " has a path; only the listener is named"};
    if (!http::is_authority(url.authority))
        return Error{quoted + " names no host"};
    const size_t bracket = url.authority.find(']');
    const size_t colon = url.authority.find(':', bracket == std::string::npos ? 0 : bracket);
    url.host = url.authority.substr(0, colon);
    if (colon != std::string::npos)
        url.port = url.authority.substr(colon + 1);
    if (url.host.starts_with('['))
        url.host = url.host.substr(1, url.host.size() - 2);
    if (url.host.empty() || url.port.empty())
        return Error{quoted + " names no host, or no port behind the ':'"};
    return url;
}

std::string percent_encode(std::string_view text) {
    static constexpr std::string_view kPlain =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        "0123456789-._~:$@";
    static constexpr char kHex[] = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        if (kPlain.find(c) != kPlain.npos) {
            out += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
    return out;
}

Result<Response> follow(const Url& url, const Request& request, int silence_s,
                        const std::function<bool(std::string_view)>& on_body) {
    auto socket = connect_to(url);
    if (!socket)
        return Error{socket.error()};
    const int fd = (*socket)->fd();
    set_timeouts(fd, silence_s);
    if (send_all(fd, request_text(url, request)))
        return read_answer(fd, on_body);
    const std::string why = reason();
    // It may have refused the body before it had it all, and said why.
    auto answer = read_answer(fd, on_body);
    return answer ? std::move(answer) : Error{"cannot send: " + why};
}

Result<Response> ask(const Url& url, const Request& request) {
    std::string body;
    auto response = follow(url, request, kAnswerTimeoutS, [&](std::string_view piece) {
        body += piece;
        return body.size() <= kMaxAnswerBytes;
    });
    if (body.size() > kMaxAnswerBytes)
        return Error{"the answer is too long"};
    if (response)
        response->body.insert(0, body);
    return response;
}

std::string problem_text(const Response& response) {
    const auto problem = parse_json(response.body);
    const std::string code = problem ? text_member(*problem, "code") : "";
    if (code.empty())
        return "the daemon answered " + std::to_string(response.status);
    return std::to_string(response.status) + ' ' + code + ": " + text_member(*problem, "detail");
}

} // namespace fanhorn::ctl
