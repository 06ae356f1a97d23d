// SPDX-License-Identifier: Apache-2.0
#include "ctl/client.h"

#include "base/text.h"
#include "ctl/json.h"
#include "ctl/tls.h"
#include "http/response_reader.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <poll.h>
#include <unistd.h>
#include <utility>

namespace fanhorn::ctl {

namespace {

constexpr int kAnswerTimeoutS = 30;
constexpr size_t kMaxProblemBytes = 64 << 10;
constexpr size_t kMaxUnsentBytes = 256 << 10; // beyond them the input waits

// RFC 9112 section 7.1; an empty one would be the last.
void append_chunk(std::string& out, std::string_view bytes) {
    if (bytes.empty())
        return;
    char size[20];
    std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
    out.append(size).append(bytes).append("\r\n");
}

std::string request_text(const http::Url& url, const Request& request) {
    std::string out = request.method + ' ' + request.target +
                      " HTTP/1.1\r\nHost: " + url.authority +
                      "\r\nUser-Agent: fanhornctl/" FANHORN_VERSION "\r\nConnection: close\r\n";
    if (request.input)
        out += "Transfer-Encoding: chunked\r\n";
    else if (request.method != "GET")
        out += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
    out += request.headers + "\r\n";
    if (request.input)
        append_chunk(out, request.body);
    else
        out += request.body;
    return out;
}

// One request and its answer, over one connection.
class Exchange {
  public:
    Exchange(ServerStream& stream, const http::Url& url, const Request& request)
        : stream_(stream), input_(request.input), unsent_(request_text(url, request)) {}

    Result<Response> run(int silence_s, const std::function<bool(std::string_view)>& on_body);

  private:
    // Each gives the reason when nothing more can come of it.
    std::string step(int silence_s);
    std::string receive();

    void send_some();
    void read_input();
    void end_input();
    void drop_unsent();
    size_t unsent() const { return unsent_.size() - sent_; }

    ServerStream& stream_;
    Input* input_; // null once there is no more
    std::string unsent_;
    size_t sent_ = 0; // of unsent_
    std::string send_failure_;
    http::ResponseReader reader_;
};

std::string Exchange::step(int silence_s) {
    const bool reads_input = input_ && unsent() < kMaxUnsentBytes;
    const bool may_idle = input_ && unsent() == 0;
    if (stream_.has_buffered())
        return receive();
    pollfd watched[2] = {{stream_.fd(), POLLIN, 0}, {reads_input ? input_->fd : -1, POLLIN, 0}};
    if (unsent() > 0)
        watched[0].events |= POLLOUT;
    const int ready = poll(watched, 2, may_idle ? kInputIdleMs : silence_s * 1000);
    if (ready < 0)
        return errno == EINTR ? "" : std::strerror(errno);
    if (ready == 0 && !may_idle)
        return "timed out";
    if (ready == 0)
        end_input();
    if (watched[0].revents & POLLOUT)
        send_some();
    if (watched[1].revents && input_)
        read_input();
    return watched[0].revents & ~POLLOUT ? receive() : "";
}

std::string Exchange::receive() {
    bool is_over = false;
    const std::string_view bytes = stream_.read(is_over);
    if (is_over && !stream_.failure().empty())
        return stream_.failure();
    if (is_over)
        return reader_.end() ? "" : "the connection ended within the answer";
    if (!reader_.feed(bytes))
        return "the answer is not HTTP";
    if (reader_.has_head() && reader_.status() != 200)
        drop_unsent(); // refused: nobody wants the rest
    return "";
}

// A peer that closes before it has the whole body has perhaps said why: the answer is still read.
void Exchange::send_some() {
    const auto sent = stream_.send(std::string_view(unsent_).substr(sent_));
    if (sent) {
        sent_ += *sent;
    } else {
        send_failure_ = sent.error();
        drop_unsent();
    }
    if (unsent() == 0) {
        unsent_.clear();
        sent_ = 0;
    }
}

void Exchange::read_input() {
    char buffer[16384];
    const ssize_t got = read(input_->fd, buffer, sizeof buffer);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    input_->has_failed = got < 0;
    input_->is_over = got <= 0;
    append_chunk(unsent_, input_->convert({buffer, got > 0 ? static_cast<size_t>(got) : 0}));
    if (input_->is_over)
        end_input();
}

void Exchange::end_input() {
    unsent_ += "0\r\n\r\n";
    input_ = nullptr;
}

void Exchange::drop_unsent() {
    unsent_.clear();
    sent_ = 0;
    input_ = nullptr;
}

Result<Response> Exchange::run(int silence_s,
                               const std::function<bool(std::string_view)>& on_body) {
    while (!reader_.is_done()) {
        const std::string wrong = step(silence_s);
        if (!wrong.empty())
            return Error{send_failure_.empty() ? "no answer: " + wrong : send_failure_};
        if (reader_.status() != 200 && reader_.body().size() > kMaxProblemBytes)
            break;
        if (reader_.status() == 200 && !reader_.body().empty() &&
            !on_body(std::exchange(reader_.body(), {})))
            break;
    }
    return Response{reader_.status(), std::move(reader_.body()),
                    parse_u64(reader_.header("Retry-After")).value_or(0)};
}

} // namespace

Result<Response> follow(const Endpoint& daemon, const Request& request, int silence_s,
                        const std::function<bool(std::string_view)>& on_body) {
    bool is_untrusted = false;
    const auto stream = ServerStream::open(connect_to_daemon(daemon.url), daemon, "", is_untrusted);
    if (!stream)
        return Error{stream.error()};
    return Exchange(**stream, daemon.url, request).run(silence_s, on_body);
}

Result<Response> ask(const Endpoint& daemon, const Request& request) {
    std::string body;
    auto response = follow(daemon, request, kAnswerTimeoutS, [&](std::string_view piece) {
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
