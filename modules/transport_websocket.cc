// SPDX-License-Identifier: Apache-2.0
// WebSocket (RFC 6455) with permessage-deflate (RFC 7692): plain, or with envelopes.
#include "base/pool.h"
#include "base/ref.h"
#include "base/text.h"
#include "base/utf8.h"
#include "http/response.h"
#include "modules/deflate.h"
#include "modules/enveloped_encoding.h"
#include "modules/message_envelope.h"
#include "modules/websocket_frame.h"
#include "relay/transport.h"

#include <utility>
#include <vector>

namespace fanhorn {

namespace {

// Smaller payloads do not shrink enough to pay for it.
constexpr size_t kMinDeflateBytes = 128;

// Close codes of PROTOCOL: RFC 6455 section 7.4.1 and our own.
uint16_t close_code(Farewell::Why why) {
    switch (why) {
    case Farewell::Why::GoingAway:
        return 1001;
    case Farewell::Why::SlowConsumer:
        return 1013;
    case Farewell::Why::Ended:
    case Farewell::Why::Disconnected:
        return 4003;
    case Farewell::Why::Expired:
        return 4001;
    }
    CHECK(false);
    return 0;
}

std::string close_reason(const Farewell& farewell) {
    switch (farewell.why) {
    case Farewell::Why::GoingAway:
        return "retry=" + std::to_string(farewell.retry_ms);
    case Farewell::Why::SlowConsumer:
        return "slow consumer";
    case Farewell::Why::Ended:
        return "channel deleted";
    case Farewell::Why::Expired:
        return "token expired";
    case Farewell::Why::Disconnected:
        return "disconnected";
    }
    return {};
}

// What the four encodings share. `deflater` is null where the client has no permessage-deflate.
class WebsocketEncoding : public Encoding {
  public:
    explicit WebsocketEncoding(Deflater* deflater) : deflater_(deflater) {}
    Use use() const override { return Use::Websocket; }

    void hello(std::string& out, const Hello& hello) override {
        http::append_header(out, "Fanhorn-Id", position_text(hello.position));
        out += "\r\n";
    }
    // The position rides in the ping, so that a client that sees pings can resume.
    void heartbeat(std::string& out, Position at) override {
        append_frame(out, Opcode::Ping, position_text(at));
    }
    void farewell(std::string& out, const Farewell& farewell) override {
        append_close(out, close_code(farewell.why), close_reason(farewell));
    }

  protected:
    void append_data(std::string& out, Opcode opcode, std::string_view payload) {
        if (deflater_ && payload.size() >= kMinDeflateBytes) {
            const std::string_view small = deflater_->compress(payload);
            if (small.size() < payload.size())
                return append_frame(out, opcode, small, true);
        }
        append_frame(out, opcode, payload);
    }

  private:
    Deflater* deflater_;
};

class PlainWebsocket final : public WebsocketEncoding {
  public:
    using WebsocketEncoding::WebsocketEncoding;

    void message(std::string& out, const Message& message) override {
        const bool is_binary = message.binary ||
                               message.content_type.starts_with("application/octet-stream") ||
                               data_kind(message) == DataKind::Base64;
        append_data(out, is_binary ? Opcode::Binary : Opcode::Text, message.payload);
    }
    void retained(std::string& out, const Message& retained) override { message(out, retained); }
    // The documented exception: no ids, no gaps.
    void gap(std::string&, const Gap&) override {}
    void position(std::string&, Position) override {}
    void end(std::string&, std::string_view, std::string_view) override {}
};

class EnvelopedWebsocket : public Enveloped<WebsocketEncoding> {
  public:
    using Enveloped::Enveloped;

    void hello(std::string& out, const Hello& hello) override {
        WebsocketEncoding::hello(out, hello);
        object(out, hello_json(hello));
    }
    void position(std::string& out, Position at) override { object(out, position_json(at)); }
    void heartbeat(std::string& out, Position at) override {
        WebsocketEncoding::heartbeat(out, at);
        position(out, at);
    }

  protected:
    void object(std::string& out, std::string_view json) override {
        append_data(out, Opcode::Text, json);
    }
};

// What many clients of a worker have in common.
struct InboundTerms : LocalCount {
    InboundTerms(Inflater& shared, const ReaderLimits& bounds) : inflater(shared), limits(bounds) {}
    Inflater& inflater;
    const ReaderLimits limits;
};

// What a client sends: control frames, and messages to publish.
class WebsocketInbound final : public Inbound, public Pooled<WebsocketInbound> {
  public:
    explicit WebsocketInbound(Ref<InboundTerms> terms) : terms_(std::move(terms)) {}

    void receive(std::span<char> bytes, Client& client) override {
        Handler handler{*this, client};
        reader_.feed(bytes, terms_->limits, handler);
    }

    bool on_heartbeat() override {
        constexpr uint8_t kMaxUnanswered = 2; // no pong by the next ping but one
        return ++unanswered_ <= kMaxUnanswered;
    }

  private:
    void append_partial(std::string& out) const override { reader_.append_partial(out); }

  private:
    struct Handler final : FrameHandler {
        Handler(WebsocketInbound& owner, Client& peer) : inbound(owner), client(peer) {}
        bool on_message(Opcode opcode, std::string payload, bool compressed) override {
            return inbound.on_message(opcode, std::move(payload), compressed, client);
        }
        bool on_ping(std::string_view payload) override {
            std::string frame;
            append_frame(frame, Opcode::Pong, payload);
            client.send_control(frame);
            return true;
        }
        bool on_pong(std::string_view) override {
            inbound.unanswered_ = 0;
            return true;
        }
        // RFC 6455 section 5.5.1: answer with the same code.
        void on_close(uint16_t code, std::string_view) override { close(client, code, {}); }
        void on_error(uint16_t code, std::string_view reason) override {
            if (reason.find("fragments") != reason.npos)
                client.counters().hit(Limit::WsFragments);
            else if (code == 1009)
                client.counters().hit(Limit::MessageSize);
            close(client, code, reason);
        }
        WebsocketInbound& inbound;
        Client& client;
    };

    static void close(Client& client, uint16_t code, std::string_view reason) {
        std::string frame;
        append_close(frame, code, reason);
        client.close_with(frame);
    }
    static bool refuse(Client& client, uint16_t code, std::string_view reason) {
        close(client, code, reason);
        return false;
    }

    bool on_message(Opcode opcode, std::string payload, bool compressed, Client& client) {
        const bool is_command = client.takes_commands();
        if (!is_command && !client.may_publish())
            return refuse(client, 1008, "publishing is not allowed here");
        if (is_command && opcode != Opcode::Text)
            return refuse(client, 1003, "commands are text");
        if (compressed && !inflate(payload, client))
            return false;
        if (compressed && opcode == Opcode::Text && !is_utf8(payload))
            return refuse(client, 1007, "text is not UTF-8");
        if (is_command)
            client.command(payload);
        else if (!client.publish(std::move(payload), opcode == Opcode::Binary))
            return refuse(client, 1008, "publish_rate");
        return true;
    }

    bool inflate(std::string& payload, Client& client) {
        std::string message;
        switch (terms_->inflater.inflate(payload, terms_->limits.message_size, message)) {
        case InflateStatus::Ok:
            break;
        case InflateStatus::TooBig:
            client.counters().hit(Limit::MessageSize);
            return refuse(client, 1009, "message too big");
        case InflateStatus::Malformed:
            return refuse(client, 1007, "not DEFLATE");
        }
        payload = std::move(message);
        return true;
    }

    const Ref<InboundTerms> terms_;
    [[no_unique_address]] MessageReader reader_; // whose last word has room
    uint8_t unanswered_ = 0;
};
static_assert(sizeof(WebsocketInbound) == 32); // there may be a million of them

class WebsocketTransport final : public Transport {
  public:
    std::string_view name() const override { return "websocket"; }
    std::string_view content_type() const override { return "application/octet-stream"; }

    Asks asks(const http::Request& request) const override {
        return request.header_has_token("Upgrade", "websocket") ? Asks::Yes : Asks::No;
    }
    // RFC 6455 section 11.3.4.
    bool asks_session(const http::Request& request) const override {
        return request.header_has_token("Sec-WebSocket-Protocol", kSessionProtocol);
    }

    Manner manner_of(const Encoding& encoding, bool is_session) const override {
        const bool is_deflated = &encoding == &plain_deflated_ || &encoding == &enveloped_deflated_;
        Manner manner;
        manner.lines = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
        if (is_deflated)
            manner.lines += "Sec-WebSocket-Extensions: permessage-deflate\r\n";
        if (is_session)
            http::append_header(manner.lines, "Sec-WebSocket-Protocol", kSessionProtocol);
        else if (&encoding == &enveloped_ || &encoding == &enveloped_deflated_)
            manner.query = "envelope=1";
        return manner;
    }

    // RFC 6455 section 4.2.
    std::variant<Opening, http::Problem> open(const Asked& asked) override {
        const http::Request& request = asked.request;
        if (auto problem = check_handshake(request))
            return *problem;
        std::string offers;
        for (const http::Header& header : request.headers)
            if (equal_ignoring_case(header.name, "Sec-WebSocket-Extensions"))
                offers.append(offers.empty() ? "" : ",").append(header.value);
        const auto chosen = choose_deflate(offers);
        if (!chosen)
            return http::problem("bad_request", chosen.error());
        const bool is_deflated = asked.compress && !chosen->empty();

        Opening opening;
        opening.is_session = asks_session(request);
        opening.encoding = &encoding(asked.is_envelope || opening.is_session, is_deflated);
        opening.patching = is_deflated ? &patching_deflated_ : &patching_;
        opening.inbound = std::make_unique<WebsocketInbound>(
            terms({.message_size = static_cast<uint32_t>(asked.message_size),
                   .fragments = asked.fragments,
                   .deflate = is_deflated}));
        if (asked.is_resumed)
            return opening;
        http::append_status(opening.head, 101);
        http::append_header(opening.head, "Upgrade", "websocket");
        http::append_header(opening.head, "Connection", "Upgrade");
        http::append_header(opening.head, "Sec-WebSocket-Accept",
                            accept_key(*request.header("Sec-WebSocket-Key")));
        if (opening.is_session)
            http::append_header(opening.head, "Sec-WebSocket-Protocol", kSessionProtocol);
        if (is_deflated)
            http::append_header(opening.head, "Sec-WebSocket-Extensions", *chosen);
        opening.head += asked.headers;
        return opening;
    }

  private:
    static std::optional<http::Problem> check_handshake(const http::Request& request) {
        if (request.method != http::Method::Get || request.minor_version < 1)
            return http::problem("bad_request", "a WebSocket handshake is a GET of HTTP/1.1");
        if (!request.header_has_token("Upgrade", "websocket") ||
            !request.header_has_token("Connection", "Upgrade"))
            return http::problem("upgrade_required",
                                 "send 'Upgrade: websocket' and 'Connection: Upgrade'");
        const std::string* version = request.header("Sec-WebSocket-Version");
        if (!version || *version != "13")
            return http::problem("upgrade_required", "Sec-WebSocket-Version must be 13");
        const std::string* key = request.header("Sec-WebSocket-Key");
        if (!key || request.header_count("Sec-WebSocket-Key") != 1 || !is_websocket_key(*key))
            return http::problem("bad_request", "Sec-WebSocket-Key must be base64 of 16 bytes");
        return std::nullopt;
    }

    Encoding& encoding(bool is_enveloped, bool is_deflated) {
        if (is_enveloped)
            return is_deflated ? enveloped_deflated_ : enveloped_;
        return is_deflated ? plain_deflated_ : plain_;
    }

    // There are a few: one for each limit of a channel's section, deflated or not.
    Ref<InboundTerms> terms(const ReaderLimits& limits) {
        for (const Ref<InboundTerms>& each : terms_)
            if (each->limits == limits)
                return each;
        std::erase_if(terms_, [](const auto& each) { return !each->is_shared(); });
        return terms_.emplace_back(make_ref<InboundTerms>(inflater_, limits));
    }

    Deflater deflater_;
    Inflater inflater_;
    std::vector<Ref<InboundTerms>> terms_;
    PlainWebsocket plain_{nullptr}, plain_deflated_{&deflater_};
    EnvelopedWebsocket enveloped_{nullptr}, enveloped_deflated_{&deflater_};
    Patching<EnvelopedWebsocket> patching_{nullptr}, patching_deflated_{&deflater_};
};

std::unique_ptr<Transport> create() {
    return std::make_unique<WebsocketTransport>();
}

} // namespace

extern const TransportModule transport_websocket;
const TransportModule transport_websocket = {"websocket", create};

} // namespace fanhorn
