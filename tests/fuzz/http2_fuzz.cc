// SPDX-License-Identifier: Apache-2.0
// Frames of HTTP/2 behind the preface, through the real session. Whatever they are, a stream reads
// as at most one request of HTTP/1.1. The first byte chooses the pieces and what is done with them.
#include "http/http2.h"

#include "base/check.h"
#include "http/parser.h"

#include <cstddef>
#include <cstdint>
#include <list>

using namespace fanhorn;
using namespace fanhorn::http;

namespace {

const ParserLimits kLimits;
constexpr std::string_view kAnswer =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n";
constexpr std::string_view kUpgrade = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                      "Connection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n";
constexpr std::string_view kChunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                      "5\r\nhello\r\n0\r\n\r\n";

class User final : public Http2User {
  public:
    User(Http2Stream& stream, uint8_t mood) : stream_(&stream), mood_(mood) {}

    void on_input() override {
        CHECK(stream_);
        char buffer[512];
        while (stream_ && !is_over_) {
            const size_t size = stream_->read(buffer);
            if (size == 0)
                break;
            take({buffer, size});
        }
        if (stream_ && is_websocket_ && stream_->has_ended())
            leave();
    }
    void on_room() override {
        CHECK(stream_);
        if (stream_->is_ended()) {
            CHECK(stream_->is_drained());
            leave();
        } else {
            write(std::string(1000, 'r'));
        }
    }
    void on_gone() override { stream_ = nullptr; }

  private:
    void take(std::string_view bytes) {
        if (!has_head_) {
            const auto step = parser_.feed(bytes);
            CHECK(step.status != RequestParser::Status::Error || step.consumed <= bytes.size());
            if (step.status == RequestParser::Status::Error)
                return answer(); // as it is refused
            if (step.status == RequestParser::Status::NeedMore)
                return;
            has_head_ = true;
            const Head& head = parser_.head();
            is_websocket_ = head.request.header_has_token("Upgrade", "websocket");
            CHECK(is_websocket_ || !head.request.keep_alive);
            body_ = BodyReader(head.framing, head.length, UINT64_MAX);
            bytes.remove_prefix(step.consumed);
            if (is_websocket_ || (mood_ & 1))
                answer();
        }
        if (is_websocket_ || is_over_)
            return;
        std::string content;
        const auto step = body_.feed(bytes, content);
        CHECK(step.status != BodyReader::Status::Error);
        CHECK(step.consumed == bytes.size()); // nothing stands behind the request
        if (step.status == BodyReader::Status::Done && !(mood_ & 1))
            answer();
    }

    void answer() {
        if (mood_ & 2)
            return leave();
        write(is_websocket_ ? kUpgrade : mood_ & 4 ? kChunked : kAnswer);
        if (mood_ & 8)
            write(std::string(40'000, 'b'));
        if (is_websocket_ || (mood_ & 16))
            return;
        is_over_ = true;
        if (stream_->end())
            leave();
    }

    void write(std::string_view bytes) {
        const bool is_wrong = mood_ & 4 && has_written_; // behind the last chunk
        if (is_wrong)
            return;
        has_written_ = true;
        const iovec piece = {const_cast<char*>(bytes.data()), bytes.size()};
        const ssize_t taken = stream_->write(&piece, 1);
        CHECK(taken >= 0 && static_cast<size_t>(taken) <= bytes.size());
    }

    void leave() {
        is_over_ = true;
        std::exchange(stream_, nullptr)->leave();
    }

    Http2Stream* stream_;
    const uint8_t mood_;
    RequestParser parser_{kLimits};
    BodyReader body_;
    bool has_head_ = false, is_websocket_ = false, is_over_ = false, has_written_ = false;
};

struct Server final : Http2Session::Handler {
    explicit Server(uint8_t its)
        : mood(its), session(*this, {.streams = 5, .header_size = kLimits.head_size}) {}
    Http2User* accept(Http2Stream& stream) override {
        if (mood & 32 && users.size() % 2)
            return nullptr;
        users.emplace_back(stream, mood);
        return &users.back();
    }
    void on_output() override {}

    const uint8_t mood;
    std::list<User> users;
    Http2Session session;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2)
        return 0;
    const size_t piece = data[0] ? data[0] : size;
    Server server(data[1]);
    std::string bytes(kHttp2Preface);
    bytes.append(reinterpret_cast<const char*>(data + 2), size - 2);
    Millis now = 0;
    for (size_t at = 0; at < bytes.size(); at += piece) {
        server.session.receive(std::string_view(bytes).substr(at, piece), now += 10);
        CHECK(server.session.stream_count() <= 5);
        for (auto out = server.session.output(); !out.empty(); out = server.session.output())
            server.session.sent(out.size() < 3000 ? out.size() : 3000);
        server.session.tell_writable();
        server.session.take_excess();
    }
    server.session.shut_down(data[1] & 64);
    return 0;
}
