// SPDX-License-Identifier: Apache-2.0
// Long and short polling: the same answer, held or not.
#include "base/digest.h"
#include "base/text.h"
#include "http/response.h"
#include "modules/message_envelope.h"
#include "relay/transport.h"

namespace fanhorn {

namespace {

constexpr uint64_t kDefaultWaitS = 25;
constexpr uint64_t kMaxWaitS = 60;
constexpr size_t kOwnHeaderBytes = 64;

// Frames are envelopes with a comma behind each; PollSubscriber puts them together.
class PollEncoding final : public Encoding {
  public:
    explicit PollEncoding(Use use) : use_(use) {}
    Use use() const override { return use_; }
    bool carries_unstored() const override { return false; }

    void message(std::string& out, const Message& message) override {
        append_message(out, message);
        out += ',';
    }
    void retained(std::string& out, const Message& message) override {
        append_retained(out, message);
        out += ',';
    }
    void gap(std::string& out, const Gap& gap) override {
        append_gap_object(out, gap);
        out += ',';
    }
    void end(std::string& out, std::string_view channel, std::string_view code) override {
        append_end_object(out, channel, code);
        out += ',';
    }
    // A poll's position is the `next` of its answer; it has no hello and no heartbeat.
    void hello(std::string&, const Hello&) override {}
    void position(std::string&, Position) override {}
    void heartbeat(std::string&, Position) override {}
    void farewell(std::string&, const Farewell&) override {}

  private:
    const Use use_;
};

// The ETag's second half: the same channels in the same order, by the same filter.
std::string channels_tag(const Asked& asked) {
    std::string joined;
    for (const std::string& channel : asked.channels)
        joined.append(channel).append(",");
    if (asked.filter) // no channel's name has such a byte
        joined.append("\n").append(asked.filter->text());
    const auto digest = sha1(joined);
    return hex_encode({digest.data(), 6});
}

class PollTransport : public Transport {
  public:
    explicit PollTransport(Use use) : encoding_(use) {}
    std::string_view content_type() const override { return "application/json"; }
    bool has_envelopes() const override { return true; }

  protected:
    Opening opening(const Asked& asked) {
        Opening opening;
        opening.encoding = &encoding_;
        opening.is_poll = true;
        opening.poll.is_retained_due = asked.since.kind != Since::Kind::After;
        opening.poll.keep_alive = asked.request.keep_alive;
        opening.poll.headers.reserve(asked.headers.size() + kOwnHeaderBytes);
        opening.poll.headers += asked.headers;
        return opening;
    }

  private:
    PollEncoding encoding_;
};

// The `wait` of the query in seconds; the default for `true`, nothing when malformed.
std::optional<uint64_t> parse_wait(const std::string& text) {
    if (text == "true")
        return kDefaultWaitS;
    const auto seconds = parse_u64(text);
    if (!seconds || *seconds > kMaxWaitS)
        return std::nullopt;
    return seconds;
}

class LongpollTransport final : public PollTransport {
  public:
    LongpollTransport() : PollTransport(Use::Longpoll) {}
    std::string_view name() const override { return "longpoll"; }

    Asks asks(const http::Request& request) const override {
        const std::string* wait = request.parameter("wait");
        return wait && *wait != "0" ? Asks::Yes : Asks::No;
    }

    std::variant<Opening, http::Problem> open(const Asked& asked) override {
        const std::string* text = asked.request.parameter("wait");
        const auto wait = text ? parse_wait(*text) : kDefaultWaitS;
        if (!wait)
            return http::problem("bad_option", "wait is 'true' or 0 to 60 seconds");
        Opening opening = this->opening(asked);
        opening.poll.may_wait = *wait > 0;
        opening.wait = static_cast<Millis>(*wait) * 1000;
        opening.poll.headers += "Cache-Control: no-store\r\n";
        return opening;
    }
};

class ShortpollTransport final : public PollTransport {
  public:
    ShortpollTransport() : PollTransport(Use::Poll) {}
    std::string_view name() const override { return "poll"; }

    Asks asks(const http::Request& request) const override {
        const std::string* wait = request.parameter("wait");
        for (const char* name : {"since", "last_event_id", "lastEventId", "lastEventID"})
            if (request.parameter(name))
                return Asks::Yes;
        return (wait && *wait == "0") || request.accepts("application/json") ? Asks::Yes : Asks::No;
    }

    std::variant<Opening, http::Problem> open(const Asked& asked) override {
        Opening opening = this->opening(asked);
        opening.poll.tag = channels_tag(asked);
        for (const http::Header& header : asked.request.headers)
            if (equal_ignoring_case(header.name, "If-None-Match"))
                opening.poll.if_none_match.append(header.value).append(",");
        const bool is_private = asked.is_private || asked.request.header("Authorization");
        http::append_header(opening.poll.headers, "Cache-Control",
                            is_private ? "private, no-cache" : "no-cache");
        return opening;
    }
};

std::unique_ptr<Transport> create_longpoll() {
    return std::make_unique<LongpollTransport>();
}
std::unique_ptr<Transport> create_poll() {
    return std::make_unique<ShortpollTransport>();
}

} // namespace

extern const TransportModule transport_longpoll;
const TransportModule transport_longpoll = {"longpoll", create_longpoll};
extern const TransportModule transport_poll;
const TransportModule transport_poll = {"poll", create_poll};

} // namespace fanhorn
