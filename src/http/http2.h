// SPDX-License-Identifier: Apache-2.0
// The server's side of HTTP/2 (RFC 9113) with WebSockets (RFC 8441), over nghttp2: bytes of a
// connection on one side, and on the other streams that speak HTTP/1.1, of which each carries one
// request. No sockets, no threads: all of it runs in unit tests.
#pragma once

#include "base/clock.h"
#include "http/body.h"
#include "http/http2_message.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <sys/uio.h>
#include <unordered_map>
#include <vector>

struct nghttp2_session;

namespace fanhorn::http {

// What a client that speaks HTTP/2 begins with (RFC 9113 section 3.4).
inline constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

struct Http2Limits {
    uint32_t streams = 100; // at a time; one more is refused, or ends all where that is known
    size_t header_size = 16 << 10; // as ParserLimits::head_size
    uint32_t resets = 200;         // streams a minute that end before their answer does
    uint32_t frames = 200;         // frames a second that carry nothing
};

class Http2Stream;

// Who uses a stream. Calls come from within Http2Session::receive() and tell_writable().
class Http2User {
  public:
    virtual ~Http2User() = default;
    // There is more to read().
    virtual void on_input() = 0;
    // There is room again, after write() has taken less than all; or all is on its way, after
    // end().
    virtual void on_room() = 0;
    // The stream has gone: there is nothing to read or write any more.
    virtual void on_gone() = 0;
};

class Http2Session {
  public:
    class Handler {
      public:
        virtual ~Handler() = default;
        // A new stream's request can be read. Null: nobody wants it, it is reset.
        virtual Http2User* accept(Http2Stream& stream) = 0;
        // There is something to send: output() is to be asked, not from within this call.
        virtual void on_output() = 0;
    };
    enum class Excess : uint8_t { None, Streams, Resets, Frames };

    // Whether the build has it. Where not, there are no sessions.
    static bool is_built();
    Http2Session(Handler& handler, const Http2Limits& limits);
    ~Http2Session();
    Http2Session(const Http2Session&) = delete;
    Http2Session& operator=(const Http2Session&) = delete;

    // What came, from the preface on. After a fault of the peer's, which is told him, the rest is
    // ignored.
    void receive(std::string_view bytes, Millis now);
    // What is to be sent next, in pieces of about kOutputBytes; the same until sent() has taken all
    // of it. Empty: nothing for now.
    std::string_view output();
    void sent(size_t bytes);
    // Calls on_room() of those whose bytes output() has taken.
    void tell_writable();

    // Takes no new streams; those that there are go on. `is_last` as the second step, some time
    // after the first: what was on its way by then has come (RFC 9113 section 6.8).
    void shut_down(bool is_last);
    // Nothing more will come or go.
    bool is_over() const;
    // Those whose header section has come.
    size_t stream_count() const { return streams_.size() - (head_id_ ? 1 : 0); }
    // When the header section began of which the end has not come; 0: there is none.
    Millis head_since() const { return head_id_ ? head_since_ : 0; }
    // Which limit was reached since this was last asked.
    Excess take_excess();
    // Why it came to an end, for people; "" when it has not, or by itself.
    const std::string& fault() const { return fault_; }
    // All streams are gone for their users, and nothing is sent any more.
    void abandon();

  private:
    friend class Http2Stream;
    struct Callbacks;
    static constexpr size_t kOutputBytes = 64 << 10;
    // Of bodies that nobody reads, until the peer may send none on any stream.
    static constexpr size_t kMaxUnread = 256 << 10;

    Http2Stream* find(int32_t id) const;
    void begin_stream(int32_t id);
    void begin_request(Http2Stream& stream, bool has_body);
    void end_stream(int32_t id);
    void add_unread(size_t bytes);
    void subtract_unread(size_t bytes);
    void count_reset();
    void count_frame();
    void calm_down(Excess excess);
    void fail(std::string_view why);

    Handler& handler_;
    const Http2Limits limits_;
    nghttp2_session* session_ = nullptr;
    std::unordered_map<int32_t, std::unique_ptr<Http2Stream>> streams_;
    std::vector<int32_t> with_room_; // streams whose users are to be told
    std::string output_;
    size_t output_sent_ = 0;
    Millis now_ = 0, head_since_ = 0;
    int32_t head_id_ = 0;            // of the stream whose header section is coming
    size_t unread_ = 0, owed_ = 0;   // owed: the connection's window is smaller by it
    double resets_ = 0, frames_ = 0; // not forgotten yet
    Millis resets_at_ = 0, frames_at_ = 0;
    Excess excess_ = Excess::None;
    std::string fault_;
    bool is_broken_ = false, is_abandoned_ = false;
};

// One request and its answer. Lives until its on_gone().
class Http2Stream {
  public:
    // Bytes that write() keeps beyond what the peer takes.
    static constexpr size_t kMaxOut = 16 << 10;

    Http2Stream(Http2Session& session, int32_t id, size_t header_size)
        : session_(session), id_(id), request_(header_size) {}

    // The request as HTTP/1.1. 0: nothing for now.
    size_t read(std::span<char> buffer);
    // Whether a WebSocket's client has ended, and all is read.
    bool has_ended() const { return is_websocket_ && is_input_whole_ && in_.size() == in_read_; }
    // Of the answer as HTTP/1.1. Bytes taken, 0: none for now.
    ssize_t write(const iovec* pieces, int count);
    // The answer is written. Whether all of it is on its way; else on_room() follows.
    bool end();
    bool is_ended() const { return is_ended_; }
    bool is_drained() const { return head_.empty() && out_.size() == out_sent_; }
    // Its user has gone: what is not on its way yet is not sent, and the peer is told.
    void leave();

  private:
    friend class Http2Session;

    void take_body(std::string_view bytes);
    void end_input();
    void consume();
    size_t take_heads(std::string_view bytes);
    void append(std::string_view bytes);
    void send_head(const ResponseHead& head);
    void resume();
    void tell_room();
    ssize_t produce(uint8_t* buffer, size_t length, uint32_t* flags);

    Http2Session& session_;
    const int32_t id_;
    Http2User* user_ = nullptr;
    RequestText request_;
    std::string in_; // not read yet
    size_t in_read_ = 0, unconsumed_ = 0;
    std::string head_; // of the answer, as far as it has come
    std::string out_;  // behind it
    size_t out_sent_ = 0;
    std::optional<BodyReader> chunks_; // of the answer, when it has some
    bool is_websocket_ = false, is_input_whole_ = false;
    bool has_head_ = false;    // of the answer, on its way
    bool is_deferred_ = false; // nghttp2 waits for resume()
    bool is_wanting_ = false;  // its user waits for room
    bool is_ended_ = false;    // end() was called
    bool is_end_sent_ = false;
    bool is_declined_ = false; // by us, before it was looked at
};

} // namespace fanhorn::http
