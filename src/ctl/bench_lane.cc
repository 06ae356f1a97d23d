// SPDX-License-Identifier: Apache-2.0
#include "ctl/bench_lane.h"

#include "base/text.h"

#include <fmt/core.h>

#include <cerrno>
#include <cstring>
#include <sys/socket.h>

namespace fanhorn::ctl::load {

namespace {

constexpr size_t kOutBytes = 64 << 10; // made ahead of the socket
constexpr size_t kReadBytes = 64 << 10;
constexpr size_t kMaxAnswerBytes = 1 << 20;

} // namespace

Lane::Lane(const Plan& plan, uint64_t number) : plan_(plan), channel_(number) {}

bool Lane::has_room() const {
    return in_flight_ < plan_.pipeline && !closes_ &&
           out_.size() - sent_ + lines_.size() < kOutBytes;
}

void Lane::append() {
    const Marker marker{static_cast<uint32_t>(channel_), round_, now_ns()};
    if (is_stream())
        append_line(marker);
    else
        append_request(marker);
    ++in_flight_;
    channel_ += plan_.publishers;
    if (channel_ < plan_.channels)
        return;
    channel_ %= plan_.publishers;
    ++round_;
}

void Lane::append_request(const Marker& marker) {
    body_.clear();
    if (plan_.format == Format::kJsonItems) {
        body_.append(R"({"items":[{"channel":")").append(plan_.prefix);
        append_number(body_, channel_);
        body_ += R"(","formats":{"ws-message":{"content":")";
        append_message(body_, marker, plan_.size);
        body_ += R"("},"http-stream":{"content":"data: )";
        append_message(body_, marker, plan_.size);
        body_ += R"(\n\n"}}}]})";
    } else {
        append_message(body_, marker, plan_.size);
    }
    out_ += "POST ";
    plan_.publish.append_path(out_, plan_.prefix, channel_);
    out_.append(" HTTP/1.1\r\nHost: ").append(plan_.publish.url.authority);
    if (plan_.format == Format::kJsonItems)
        out_ += "\r\nContent-Type: application/json";
    out_ += "\r\nContent-Length: ";
    append_number(out_, body_.size());
    out_.append("\r\n\r\n").append(body_);
}

void Lane::append_line(const Marker& marker) {
    lines_.append(R"({"channel":")").append(plan_.prefix);
    append_number(lines_, channel_);
    lines_ += R"(","text":")";
    append_message(lines_, marker, plan_.size);
    lines_ += "\"}\n";
}

// The stream goes to the URL before the channel: /pub for /pub/{channel}.
void Lane::begin_stream() {
    std::string_view path = plan_.publish.before;
    if (path.size() > 1 && path.ends_with('/'))
        path.remove_suffix(1);
    out_ += fmt::format("POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-ndjson\r\n"
                        "Transfer-Encoding: chunked\r\n\r\n",
                        path, plan_.publish.url.authority);
}

// What was made in one turn goes out as one chunk.
void Lane::end_chunk() {
    if (!lines_.empty()) {
        out_ += fmt::format("{:x}\r\n", lines_.size());
        out_.append(lines_).append("\r\n");
        lines_.clear();
    }
}

bool Lane::connect() {
    auto made = connect_to_daemon(plan_.publish.url);
    if (!made)
        return fail(made.error());
    socket_.emplace(std::move(*made));
    if (is_stream()) {
        std::string waiting;
        waiting.swap(out_);
        begin_stream();
        out_ += waiting;
    }
    return true;
}

bool Lane::turn(bool is_readable) {
    if (is_stream())
        end_chunk();
    if (!socket_ && out_.empty())
        return true;
    if (!socket_ && !connect())
        return false;
    return (!is_readable || in_flight_ == 0 || read_answers()) && flush();
}

bool Lane::flush() {
    if (!wants_write())
        return true;
    const ssize_t size =
        send(fd(), out_.data() + sent_, out_.size() - sent_, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size < 0)
        return errno == EAGAIN || fail(std::strerror(errno));
    sent_ += static_cast<size_t>(size);
    if (sent_ < out_.size())
        return true;
    out_.clear();
    sent_ = 0;
    return true;
}

bool Lane::read_answers() {
    char bytes[kReadBytes];
    const ssize_t size = recv(fd(), bytes, sizeof bytes, MSG_DONTWAIT);
    if (size < 0)
        return errno == EAGAIN || fail(std::strerror(errno));
    if (size == 0)
        return on_closed();
    auto body = static_cast<size_t>(size);
    if (is_stream() && head_)
        body = chunks_.decode(bytes, body);
    in_.append(bytes, body);
    return take_answers();
}

// Servers close a kept-alive connection after so many requests: between two answers that is fine.
bool Lane::on_closed() {
    if (in_flight_ != 0)
        return fail("the server closed a publishing connection");
    disconnect();
    return true;
}

void Lane::disconnect() {
    socket_.reset();
    closes_ = false;
}

bool Lane::take_answers() {
    if (is_stream()) {
        if (!head_) {
            head_ = read_head(in_);
            if (!head_)
                return true;
            if (head_->status != 200 || !head_->is_chunked)
                return fail("the stream was refused: " + in_.substr(0, 200));
            in_.erase(0, head_->bytes);
            in_.resize(chunks_.decode(in_.data(), in_.size()));
        }
        take_lines();
        return !chunks_.is_broken() || fail("a chunk without a size");
    }
    size_t at = 0;
    while (in_flight_ && take_answer(at)) {
    }
    in_.erase(0, at);
    if (in_.size() > kMaxAnswerBytes)
        return fail("an answer that is too long");
    if (closes_ && in_flight_ == 0)
        disconnect();
    return true;
}

// One answer off in_ at `at`. False when it is not all there.
bool Lane::take_answer(size_t& at) {
    const std::string_view rest = std::string_view(in_).substr(at);
    const auto head = read_head(rest);
    if (!head)
        return false;
    size_t size = head->bytes;
    if (head->is_chunked) {
        const size_t end = rest.find("0\r\n\r\n", size);
        if (end == rest.npos)
            return false;
        size = end + 5;
    } else {
        size += head->length.value_or(0);
    }
    if (rest.size() < size)
        return false;
    at += size;
    closes_ |= head->closes;
    const bool is_accepted = head->status / 100 == 2;
    answered(is_accepted, rest.substr(0, is_accepted ? 0 : size));
    return true;
}

// A result line has the message's id, a problem has none.
void Lane::take_lines() {
    std::string_view rest = in_;
    for (size_t end; (end = rest.find('\n')) != rest.npos; rest.remove_prefix(end + 1)) {
        const std::string_view line = rest.substr(0, end);
        answered(line.find("\"id\":") != line.npos, line);
    }
    in_.erase(0, in_.size() - rest.size());
}

void Lane::answered(bool is_accepted, std::string_view what) {
    --in_flight_;
    ++(is_accepted ? accepted_ : refused_);
    if (!is_accepted && trouble_.empty())
        trouble_ = what.substr(0, 300);
}

bool Lane::fail(std::string_view why) {
    if (trouble_.empty())
        trouble_ = why;
    return false;
}

} // namespace fanhorn::ctl::load
