// SPDX-License-Identifier: Apache-2.0
// Server-Sent Events (WHATWG HTML section 9.2). The body ends with the connection (RFC 9112
// section 6.3): nothing is chunked, so that a frame is the same bytes for HTTP/1.0 and 1.1.
#include "base/random.h"
#include "base/text.h"
#include "base/utf8.h"
#include "http/response.h"
#include "modules/enveloped_encoding.h"
#include "modules/message_envelope.h"
#include "modules/sse_frame.h"
#include "relay/transport.h"

namespace fanhorn {

namespace {

// Browsers reconnect after `retry` without any jitter of their own.
constexpr uint32_t kRetryMinMs = 1000;
constexpr uint32_t kRetrySpreadMs = 4000;

// What plain and enveloped streams share.
class SseEncoding : public Encoding {
  public:
    Use use() const override { return Use::Sse; }

    void hello(std::string& out, const Hello& hello) override {
        begin(out, hello.position);
        heartbeat(out, hello.position);
    }
    void heartbeat(std::string& out, Position at) override {
        append_comment(out, "fanhorn");
        position(out, at);
    }
    void position(std::string& out, Position at) override {
        append_id_block(out, position_text(at));
    }
    void gap(std::string& out, const Gap& gap) override {
        std::string data;
        append_gap_object(data, gap);
        append_event(out, {}, "gap", data);
    }
    void end(std::string& out, std::string_view channel, std::string_view code) override {
        std::string data;
        append_end_object(data, channel, code);
        append_event(out, {}, "end", data);
    }
    void farewell(std::string& out, const Farewell& farewell) override {
        if (farewell.why == Farewell::Why::Expired)
            append_event(out, {}, "error",
                         http::problem_body(http::problem("unauthorized", "the token expired")));
        if (farewell.why == Farewell::Why::Disconnected)
            append_event(out, {}, "error",
                         http::problem_body(http::problem("forbidden", "disconnected")));
        if (farewell.why != Farewell::Why::GoingAway)
            return;
        append_retry(out, farewell.retry_ms);
        out += '\n';
    }

  protected:
    static void begin(std::string& out, Position at) {
        http::append_header(out, "Fanhorn-Id", position_text(at));
        out += "\r\n";
        append_retry(out, kRetryMinMs + random_below(kRetrySpreadMs));
        out += '\n'; // a block of its own: what follows is an id-only one
    }
};

class PlainSse final : public SseEncoding {
  public:
    void message(std::string& out, const Message& message) override {
        append(out, message, position_text(message.position));
    }
    void retained(std::string& out, const Message& message) override { append(out, message, {}); }

  private:
    static void append(std::string& out, const Message& message, std::string_view id) {
        // Json is UTF-8 as well.
        if (data_kind(message) == DataKind::Base64)
            append_event(out, id, "binary", base64_encode(message.payload));
        else
            append_event(out, id, message.event, message.payload);
    }
};

class EnvelopedSse final : public SseEncoding {
  public:
    bool carries_presence() const override { return true; }
    void message(std::string& out, const Message& message) override {
        std::string data;
        append_message(data, message);
        append_event(out, position_text(message.position), {}, data);
    }
    void retained(std::string& out, const Message& message) override {
        std::string data;
        append_retained(data, message);
        append_event(out, {}, {}, data);
    }
};

// fanhorn.v1: what its WebSocket is sent, each object an event. Channels may be added with older
// positions, so that only a position of the whole has an `id:`.
class SessionSse : public Enveloped<SseEncoding> {
  public:
    void hello(std::string& out, const Hello& hello) override {
        begin(out, hello.position);
        append_event(out, position_text(hello.position), {}, hello_json(hello));
    }
    void position(std::string& out, Position at) override {
        append_event(out, position_text(at), {}, position_json(at));
    }

  protected:
    void object(std::string& out, std::string_view json) override {
        append_event(out, {}, {}, json);
    }
};

class SseTransport final : public Transport {
  public:
    std::string_view name() const override { return "sse"; }
    std::string_view content_type() const override { return "text/event-stream"; }

    Asks asks(const http::Request& request) const override {
        if (request.accepts("text/event-stream"))
            return Asks::Yes;
        const bool is_anything = !request.header("Accept") || request.accepts("*/*");
        return is_anything ? Asks::Fallback : Asks::No;
    }

    // A query in the place of a WebSocket's subprotocol.
    bool asks_session(const http::Request& request) const override {
        return request.parameter("protocol");
    }

    Manner manner_of(const Encoding& encoding, bool is_session) const override {
        Manner manner;
        if (is_session)
            manner.query.append("protocol=").append(kSessionProtocol);
        else if (&encoding == &enveloped_)
            manner.query = "envelope=1";
        return manner;
    }

    std::variant<Opening, http::Problem> open(const Asked& asked) override {
        Opening opening;
        opening.is_session = asks_session(asked.request);
        if (opening.is_session && *asked.request.parameter("protocol") != kSessionProtocol)
            return http::problem("bad_option", "'protocol' is fanhorn.v1");
        opening.patching = &patching_;
        if (opening.is_session)
            opening.encoding = &session_;
        else
            opening.encoding = asked.is_envelope ? static_cast<Encoding*>(&enveloped_) : &plain_;
        if (!asked.is_resumed)
            opening.head = head(asked.headers);
        return opening;
    }

    // An EventSource gives up for good on anything but 200.
    std::string refusal(const http::Problem& problem, const std::string& headers,
                        uint32_t retry_ms) const override {
        if (problem.status != 429 && problem.status != 503)
            return {};
        std::string out = head(headers);
        out += "\r\n";
        append_retry(out, retry_ms);
        append_event(out, {}, "error", http::problem_body(problem));
        return out;
    }

  private:
    static std::string head(const std::string& headers) {
        std::string out;
        http::append_status(out, 200);
        // Chromium drops a stream whose charset is another one.
        http::append_header(out, "Content-Type", "text/event-stream; charset=utf-8");
        http::append_header(out, "Cache-Control", "no-store");
        http::append_header(out, "X-Accel-Buffering", "no"); // nginx would hold it back
        http::append_header(out, "Connection", "close");
        out += headers;
        return out;
    }

    PlainSse plain_;
    EnvelopedSse enveloped_;
    SessionSse session_;
    Patching<SessionSse> patching_;
};

std::unique_ptr<Transport> create() {
    return std::make_unique<SseTransport>();
}

} // namespace

extern const TransportModule transport_sse;
const TransportModule transport_sse = {"sse", create};

} // namespace fanhorn
