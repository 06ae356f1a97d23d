// SPDX-License-Identifier: Apache-2.0
#include "ctl/bench_reader.h"

#include <cerrno>
#include <cstring>
#include <sys/socket.h>

namespace fanhorn::ctl::load {

namespace {

constexpr size_t kReadBytes = 256 << 10;
constexpr size_t kMaxTailBytes = 64 << 10; // a head, or the begin of a frame

bool send_all(int fd, std::string_view bytes) {
    return send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
}

// Masked, as a client must (RFC 6455 section 5.3), with a key of zeros: nothing here needs hiding
// from a cache between. `payload` has at most 125 bytes.
bool send_frame(int fd, uint8_t opcode, std::string_view payload) {
    char frame[6 + 125] = {static_cast<char>(0x80 | opcode),
                           static_cast<char>(0x80 | payload.size())};
    std::memcpy(frame + 6, payload.data(), payload.size());
    return send_all(fd, {frame, 6 + payload.size()});
}

constexpr uint8_t kText = 1, kPong = 10;

void keep(Subscriber& subscriber, std::string_view bytes) {
    if (bytes.empty())
        return;
    if (!subscriber.tail)
        subscriber.tail = std::make_unique<std::string>();
    subscriber.tail->assign(bytes);
}

} // namespace

struct Reader::Handler {
    Reader& reader;
    Subscriber& subscriber;
    bool is_broken = false;

    bool on_marker(const Marker& marker) {
        reader.count(subscriber, marker);
        return true;
    }
    bool on_control(uint8_t opcode, std::string_view payload) {
        is_broken = opcode == kClose ||
                    (opcode == kPing && !send_frame(subscriber.fd, kPong, payload.substr(0, 125)));
        return !is_broken;
    }
    // Engine.IO 4: "0{...}" opens, "2" is a ping; "40" in it is Socket.IO's connect.
    bool on_other(std::string_view payload) {
        if (reader.plan_.transport != Transport::kSocketIo)
            return true;
        if (payload.starts_with("40"))
            reader.mark_connected(subscriber);
        else if (payload.starts_with('0'))
            is_broken = !send_frame(subscriber.fd, kText, "40");
        else if (payload == "2")
            is_broken = !send_frame(subscriber.fd, kText, "3");
        else if (payload.starts_with("41") || payload.starts_with("44"))
            is_broken = true;
        return !is_broken;
    }
};

Reader::Reader(const Plan& plan, Tally& tally)
    : plan_(plan), tally_(tally), buffer_(kReadBytes + kMaxTailBytes) {}

bool Reader::is_websocket() const {
    return plan_.transport == Transport::kWebSocket || plan_.transport == Transport::kSocketIo;
}

void Reader::append_place(const PollPlace& place) {
    const bool has_query = request_.find('?') != request_.npos;
    request_ += has_query ? "&wait=60" : "?wait=60";
    if (!place.position.empty())
        request_.append("&since=").append(place.position);
}

const std::string& Reader::request(const Subscriber& subscriber) {
    request_ = "GET ";
    plan_.subscribe.append_path(request_, plan_.prefix, subscriber.channel);
    if (subscriber.place)
        append_place(*subscriber.place);
    request_.append(" HTTP/1.1\r\nHost: ").append(plan_.subscribe.url.authority).append("\r\n");
    if (is_websocket())
        request_ += "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                    "Sec-WebSocket-Key: ZmFuaG9ybmN0bCBiZW5jaA==\r\n";
    if (plan_.transport == Transport::kSse)
        request_ += "Accept: text/event-stream\r\n";
    if (subscriber.place && !subscriber.place->modified.empty())
        request_.append("If-Modified-Since: ")
            .append(subscriber.place->modified)
            .append("\r\nIf-None-Match: ")
            .append(subscriber.place->etag)
            .append("\r\n");
    return request_ += "\r\n";
}

void Reader::mark_connected(Subscriber& subscriber) {
    if (!subscriber.place)
        subscriber.state = Subscriber::State::kOpen;
    if (subscriber.is_connected)
        return;
    subscriber.is_connected = true;
    tally_.connected.add(1);
}

Reader::Verdict Reader::ask(Subscriber& subscriber) {
    const std::string& bytes = request(subscriber);
    if (!send_all(subscriber.fd, bytes)) {
        const bool is_early = errno == EAGAIN || errno == ENOTCONN;
        return is_early && subscriber.state == Subscriber::State::kConnecting
                   ? Verdict::kGoesOn
                   : broken(std::strerror(errno));
    }
    subscriber.state = Subscriber::State::kAsked;
    if (subscriber.place) // which is answered when there is something
        mark_connected(subscriber);
    return Verdict::kGoesOn;
}

Reader::Verdict Reader::read(Subscriber& subscriber, bool to_the_end) {
    for (;;) {
        const size_t kept = subscriber.tail ? subscriber.tail->size() : 0;
        if (kept)
            std::memcpy(buffer_.data(), subscriber.tail->data(), kept);
        const ssize_t size = recv(subscriber.fd, buffer_.data() + kept, kReadBytes, MSG_DONTWAIT);
        if (size < 0)
            return errno == EAGAIN || errno == EINTR ? Verdict::kGoesOn
                                                     : broken(std::strerror(errno));
        if (size == 0)
            return on_end(subscriber);
        tally_.reads.add(1);
        now_ns_ = now_ns();
        if (kept)
            subscriber.tail->clear();
        const Verdict verdict = take(subscriber, kept, kept + static_cast<size_t>(size));
        const bool is_done = static_cast<size_t>(size) < kReadBytes && !to_the_end;
        if (verdict != Verdict::kGoesOn || is_done)
            return verdict;
        if (subscriber.is_stopped && subscriber.is_connected)
            return verdict;
    }
}

Reader::Verdict Reader::take(Subscriber& subscriber, size_t kept, size_t size) {
    char* at = buffer_.data();
    if (subscriber.state == Subscriber::State::kAsked) {
        const auto head = read_head({at, size});
        if (!head) {
            if (size > kMaxTailBytes)
                return broken("an answer without an end to its head");
            keep(subscriber, {at, size});
            return Verdict::kGoesOn;
        }
        if (!take_head(subscriber, *head, {at, head->bytes}))
            return broken(std::string_view(at, size).substr(0, 12));
        at += head->bytes;
        size -= head->bytes;
        kept = 0;
    }
    return is_websocket() ? take_frames(subscriber, {at, size})
                          : take_body(subscriber, at, kept, size);
}

// 304, 204 and 408 are how servers end a poll that nothing came to.
bool Reader::opens(int status) const {
    if (is_websocket())
        return status == 101;
    const bool is_poll = plan_.transport == Transport::kLongPoll;
    return status == 200 || (is_poll && (status == 204 || status == 304 || status == 408));
}

bool Reader::take_head(Subscriber& subscriber, const Head& head, std::string_view text) {
    if (!opens(head.status))
        return false;
    const bool is_empty = head.status == 204 || head.status == 304; // RFC 9112 section 6.3
    subscriber.chunks = Chunks();
    subscriber.left = is_empty ? 0 : head.length.value_or(0);
    subscriber.body = is_empty          ? Subscriber::Body::kLength
                      : head.is_chunked ? Subscriber::Body::kChunked
                      : head.length     ? Subscriber::Body::kLength
                                        : Subscriber::Body::kUntilEnd;
    if (is_websocket())
        subscriber.left = 0;
    subscriber.state = Subscriber::State::kOpen;
    if (subscriber.place)
        remember_place(subscriber, head, text);
    else if (plan_.transport == Transport::kSocketIo)
        subscriber.state = Subscriber::State::kHello;
    else
        mark_connected(subscriber);
    return true;
}

void Reader::remember_place(Subscriber& subscriber, const Head& head, std::string_view text) {
    PollPlace& place = *subscriber.place;
    place.has_answered = true;
    place.closes = head.closes;
    const auto remember = [&](std::string& into, std::string_view name) {
        if (const std::string_view value = field(text, name); !value.empty())
            into.assign(value);
    };
    remember(place.position, "Fanhorn-Id");
    if (!place.position.empty())
        return;
    remember(place.modified, "Last-Modified");
    remember(place.etag, "Etag");
}

Reader::Verdict Reader::take_frames(Subscriber& subscriber, std::string_view bytes) {
    Handler handler{*this, subscriber};
    const size_t done = read_frames(bytes, subscriber.left, handler);
    if (handler.is_broken)
        return broken("the server ended a subscription");
    keep(subscriber, bytes.substr(done));
    return Verdict::kGoesOn;
}

size_t Reader::take_coding(Subscriber& subscriber, char* bytes, size_t size) {
    if (subscriber.body == Subscriber::Body::kChunked)
        return subscriber.chunks.decode(bytes, size);
    if (subscriber.body == Subscriber::Body::kLength) {
        size = std::min<uint64_t>(size, subscriber.left);
        subscriber.left -= size;
    }
    return size;
}

Reader::Verdict Reader::take_body(Subscriber& subscriber, char* bytes, size_t raw, size_t size) {
    size = raw + take_coding(subscriber, bytes + raw, size - raw);
    if (subscriber.chunks.is_broken())
        return broken("a chunk without a size");
    Handler handler{*this, subscriber};
    const std::string_view body(bytes, size);
    const size_t done = read_body(body, handler);
    const bool is_over = subscriber.body == Subscriber::Body::kChunked
                             ? subscriber.chunks.is_over()
                             : subscriber.body == Subscriber::Body::kLength && !subscriber.left;
    if (is_over)
        return on_answered(subscriber);
    keep(subscriber, body.substr(done));
    return Verdict::kGoesOn;
}

Reader::Verdict Reader::on_answered(Subscriber& subscriber) {
    if (!subscriber.place)
        return broken("the server ended a stream");
    return subscriber.place->closes ? Verdict::kReconnect : ask(subscriber);
}

Reader::Verdict Reader::on_end(Subscriber& subscriber) {
    const bool is_whole = subscriber.state == Subscriber::State::kAsked ||
                          subscriber.body == Subscriber::Body::kUntilEnd;
    if (subscriber.place && subscriber.place->has_answered && is_whole)
        return Verdict::kReconnect;
    return broken("the server closed a connection");
}

void Reader::count(Subscriber& subscriber, const Marker& marker) {
    if (marker.channel != subscriber.channel) {
        tally_.disordered.add(1);
        return;
    }
    if (marker.number < subscriber.next && subscriber.missing == 0) {
        tally_.doubled.add(1);
        return;
    }
    if (marker.number < subscriber.next) {
        tally_.disordered.add(1);
        --subscriber.missing;
    } else {
        subscriber.missing += marker.number - subscriber.next;
        subscriber.next = marker.number + 1;
    }
    tally_.latency_ns.add(now_ns_ > marker.sent_ns ? now_ns_ - marker.sent_ns : 0);
    tally_.last_delivery_ns.set(now_ns_);
    tally_.deliveries.add(1);
}

Reader::Verdict Reader::broken(std::string_view why) {
    if (!tally_.trouble[0])
        why.copy(tally_.trouble, sizeof tally_.trouble - 1);
    return Verdict::kBroken;
}

} // namespace fanhorn::ctl::load
