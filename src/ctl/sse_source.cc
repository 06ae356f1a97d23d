// SPDX-License-Identifier: Apache-2.0
#include "ctl/sse_source.h"

#include "base/text.h"
#include "ctl/output.h"

#include <utility>

namespace fanhorn::ctl {

namespace {

bool is_redirect(int status) {
    return status == 301 || status == 302 || status == 307 || status == 308;
}

// What a later try may do away with.
bool is_transient(int status) {
    return status >= 500 || status == 408 || status == 425 || status == 429;
}

} // namespace

int SseSource::due_in_ms(Millis now) const {
    if (stream_ && stream_->has_buffered())
        return 0;
    if (stream_ && has_head_)
        return -1;
    return static_cast<int>(std::clamp<Millis>(due_ - now, 0, Backoff::kLongestAskedMs));
}

void SseSource::turn(Millis now, std::vector<Event>& events) {
    if (!stream_)
        return now >= due_ ? connect(now) : void();
    bool is_over = false;
    const std::string_view bytes = stream_->read(is_over);
    if (!bytes.empty() && !response_.feed(bytes))
        return end(upstream_.url.authority + " does not speak HTTP/1.1");
    if (!has_head_ && response_.has_head())
        on_head(now);
    if (is_over_ || !stream_)
        return;
    if (has_head_)
        feed_events(events);
    if (!is_over_ && (is_over || response_.is_done()))
        come_back(now, "the stream ended");
    else if (!is_over_ && !has_head_ && now >= due_)
        come_back(now, "no answer within 30 s");
}

void SseSource::connect(Millis now) {
    response_ = http::ResponseReader();
    has_head_ = false;
    events_.reset();
    bool is_untrusted = false;
    auto opened =
        ServerStream::open(connect_to(upstream_.url), {upstream_.url, {}}, request(), is_untrusted);
    if (is_untrusted)
        return end(opened.error());
    if (!opened)
        return come_back(now, opened.error());
    stream_ = std::move(*opened);
    due_ = now + kHeadTimeoutMs;
}

std::string SseSource::request() const {
    std::string text = "GET " + upstream_.target + " HTTP/1.1\r\nHost: " + upstream_.url.authority +
                       "\r\nUser-Agent: fanhornctl/" FANHORN_VERSION
                       "\r\nAccept: text/event-stream\r\nAccept-Encoding: identity\r\n"
                       "Cache-Control: no-store\r\nConnection: close\r\n";
    if (!events_.last_id().empty())
        text += "Last-Event-ID: " + events_.last_id() + "\r\n";
    return text + "\r\n";
}

void SseSource::on_head(Millis now) {
    const int status = response_.status();
    const std::string answered = upstream_.url.authority + " answered " + std::to_string(status);
    if (is_redirect(status))
        return redirect(now);
    if (status == 204) // "never come back"
        return end("");
    const auto asked_s = parse_u64(response_.header("Retry-After")).value_or(0);
    if (is_transient(status))
        return come_back(now, answered,
                         static_cast<Millis>(std::min<uint64_t>(asked_s, 3'600) * 1000));
    if (status != 200)
        return end(answered + "; is the URL right, and open to you?");
    on_stream();
}

void SseSource::on_stream() {
    const std::string type = response_.header("Content-Type");
    const std::string_view essence = trim_blanks(std::string_view(type).substr(0, type.find(';')));
    const std::string coding = response_.header("Content-Encoding");
    if (!equal_ignoring_case(essence, "text/event-stream"))
        return end(upstream_.url.authority + " answered with '" + type +
                   "', not with a text/event-stream; is the URL that of the stream?");
    if (!coding.empty() && !equal_ignoring_case(coding, "identity"))
        return end(upstream_.url.authority + " compresses the stream though not asked to");
    has_head_ = true;
}

void SseSource::redirect(Millis now) {
    if (++redirects_ > kMaxRedirects)
        return end("more than " + std::to_string(kMaxRedirects) + " redirects");
    const auto next = http::redirected(upstream_, response_.header("Location"));
    if (!next)
        return end(upstream_.url.authority + ": " + next.error());
    upstream_ = *next;
    stream_.reset();
    due_ = now;
}

void SseSource::feed_events(std::vector<Event>& events) {
    const std::string bytes = std::exchange(response_.body(), {});
    if (bytes.empty())
        return;
    backoff_.succeeded();
    if (!events_.feed(bytes, events))
        end("an event of " + upstream_.url.authority + " is longer than 16 MiB");
}

void SseSource::come_back(Millis now, const std::string& why, Millis asked_ms) {
    if (backoff_.is_first())
        warn("upstream: " + why + "; coming back");
    due_ = now + backoff_.failed(std::max<Millis>(asked_ms, events_.retry_ms()));
    stream_.reset();
    upstream_ = origin_;
    redirects_ = 0;
}

void SseSource::end(const std::string& failure) {
    stream_.reset();
    is_over_ = true;
    failure_ = failure.empty() ? "" : "upstream: " + failure;
}

} // namespace fanhorn::ctl
