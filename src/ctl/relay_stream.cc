// SPDX-License-Identifier: Apache-2.0
#include "ctl/relay_stream.h"

#include "base/text.h"
#include "ctl/client.h"
#include "ctl/json.h"
#include "ctl/output.h"

#include <fmt/core.h>
#include <utility>

namespace fanhorn::ctl {

namespace {

constexpr size_t kMaxUnsentBytes = 256 << 10;
constexpr Millis kAnswerMs = 30'000;

// What a later try may do away with.
bool is_transient(int status) {
    return status == 408 || status == 429 || status == 502 || status == 503 || status == 504;
}

} // namespace

void RelayStream::push(std::string line) {
    bytes_ += line.size();
    lines_.push_back(std::move(line));
}

pollfd RelayStream::watch() const {
    const bool has_output = !out_.empty();
    return {stream_ ? stream_->fd() : -1, static_cast<short>(POLLIN | (has_output ? POLLOUT : 0)),
            0};
}

int RelayStream::due_in_ms(Millis now) const {
    if (stream_ && stream_->has_buffered())
        return 0;
    Millis due = -1;
    if (state_ == State::Closed)
        due = lines() ? due_ : -1;
    else if (state_ == State::Open)
        due = moved_ + (sent_ || !out_.empty() ? kAnswerMs : kInputIdleMs);
    else if (state_ == State::Ending)
        due = moved_ + kAnswerMs;
    else if (lines())
        due = due_;
    return due < 0 ? -1 : static_cast<int>(std::max<Millis>(due - now, 0));
}

void RelayStream::turn(Millis now, bool is_ready) {
    if (stream_ && (is_ready || stream_->has_buffered()))
        receive(now);
    if (sent_ == 0 && !again_.empty() && state_ != State::Ending) {
        lines_.insert(lines_.begin(), std::make_move_iterator(again_.begin()),
                      std::make_move_iterator(again_.end()));
        again_.clear();
        pause(now, std::exchange(why_again_, {}), 0);
        rest(now);
    }
    if (!failure_.empty())
        return;
    const bool has_work = sent_ < lines_.size() && again_.empty() && now >= due_;
    if (has_work && state_ == State::Closed)
        connect(now);
    if (has_work && (state_ == State::Idle || state_ == State::Open)) {
        if (state_ == State::Idle || (sent_ == 0 && out_.empty()))
            moved_ = now;
        fill();
    }
    const bool waits = state_ == State::Ending || sent_ > 0 || !out_.empty();
    if (state_ == State::Open && !waits && now - moved_ >= kInputIdleMs)
        rest(now);
    else if (stream_ && waits && now - moved_ >= kAnswerMs)
        return lose(now, "no answer within 30 s");
    flush(now);
}

void RelayStream::connect(Millis now) {
    bool is_untrusted = false;
    auto made = ServerStream::open(connect_to_daemon(daemon_.url), daemon_, "", is_untrusted);
    if (is_untrusted)
        failure_ = "the relay: " + made.error();
    if (!made)
        return lose(now, made.error());
    stream_ = std::move(*made);
    state_ = State::Idle;
}

// Begins a request if none is under way; what can go goes out as one chunk.
void RelayStream::fill() {
    if (state_ == State::Idle) {
        out_ += "POST /pub HTTP/1.1\r\nHost: " + daemon_.url.authority +
                "\r\nUser-Agent: fanhornctl/" FANHORN_VERSION
                "\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n";
        response_ = http::ResponseReader();
        results_.clear();
        state_ = State::Open;
    }
    std::string chunk;
    while (sent_ < lines_.size() && out_.size() + chunk.size() < kMaxUnsentBytes)
        chunk += lines_[sent_++];
    if (!chunk.empty())
        out_.append(fmt::format("{:x}\r\n", chunk.size())).append(chunk).append("\r\n");
}

void RelayStream::rest(Millis now) {
    if (state_ != State::Open)
        return;
    out_ += "0\r\n\r\n";
    state_ = State::Ending;
    flush(now);
}

void RelayStream::flush(Millis now) {
    if (out_.empty() || !stream_)
        return;
    const auto sent = stream_->send(out_);
    if (!sent)
        return lose(now, sent.error());
    if (*sent == 0)
        return;
    out_.erase(0, *sent);
    moved_ = now;
}

void RelayStream::receive(Millis now) {
    bool is_over = false;
    const std::string_view bytes = stream_->read(is_over);
    if (!bytes.empty())
        return on_bytes(bytes, now);
    if (!is_over)
        return;
    if (state_ == State::Idle) { // the daemon keeps no idle connection for ever
        stream_.reset();
        state_ = State::Closed;
        return;
    }
    if (response_.has_head() && response_.status() != 200)
        return on_refusal(now);
    const std::string why = stream_->failure();
    lose(now, why.empty() ? "the connection ended" : why);
}

void RelayStream::on_bytes(std::string_view bytes, Millis now) {
    moved_ = now;
    if (!response_.feed(bytes))
        return lose(now, "the answer is not HTTP");
    if (response_.has_head() && response_.status() != 200) {
        if (response_.is_done())
            on_refusal(now);
        return;
    }
    const std::string body = std::exchange(response_.body(), {});
    std::string_view rest = body;
    while (rest.find('\n') != rest.npos) {
        results_ += take_until(rest, '\n');
        on_result(std::exchange(results_, {}));
    }
    results_ += rest;
    if (response_.is_done())
        on_end(now);
}

void RelayStream::pop() {
    bytes_ -= lines_.front().size();
    lines_.pop_front();
    --sent_;
}

void RelayStream::on_result(const std::string& text) {
    if (sent_ == 0) // the daemon's word on the stream itself, not on a line
        return;
    const auto answer = parse_json(text);
    const int status = answer ? static_cast<int>(number_member(*answer, "status")) : 0;
    const std::string why = answer && answer->contains("id") ? "" : problem_text({status, text});
    if (is_transient(status)) {
        again_.push_back(std::move(lines_.front()));
        lines_.pop_front();
        --sent_;
        why_again_ = why;
        return;
    }
    pop();
    if (why.empty())
        backoff_.succeeded();
    on_answer_(why);
}

// Another status than 200 for the request as a whole.
void RelayStream::on_refusal(Millis now) {
    const int status = response_.status();
    const std::string why = problem_text({status, response_.body()});
    if (!is_transient(status)) {
        failure_ = "the relay refuses: " + why;
        return;
    }
    const auto asked_s = parse_u64(response_.header("Retry-After")).value_or(0);
    lose(now, why, static_cast<Millis>(std::min<uint64_t>(asked_s, 3'600) * 1000));
}

// The answer is whole. Ended by us, the connection is good for the next request.
void RelayStream::on_end(Millis now) {
    if (state_ != State::Ending || sent_ > 0 || !out_.empty())
        return lose(now, "the daemon ended the answer");
    state_ = State::Idle;
    if (!equal_ignoring_case(response_.header("Connection"), "close"))
        return;
    stream_.reset();
    state_ = State::Closed;
}

// What was not answered is sent again: it may have been published, and is then there twice.
void RelayStream::lose(Millis now, const std::string& why, Millis asked_ms) {
    stream_.reset();
    state_ = State::Closed;
    sent_ = 0;
    out_.clear();
    pause(now, why, asked_ms);
}

void RelayStream::pause(Millis now, const std::string& why, Millis asked_ms) {
    if (backoff_.is_first())
        warn("relay: " + why + "; trying again");
    due_ = now + backoff_.failed(asked_ms);
}

} // namespace fanhorn::ctl
