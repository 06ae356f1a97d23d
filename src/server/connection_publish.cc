// SPDX-License-Identifier: Apache-2.0
// Publishing (raw, in batches, in streamed lines, by backends and by clients), and what is asked of
// one channel.
#include "base/text.h"
#include "http/response.h"
#include "server/auth.h"
#include "server/connection.h"
#include "server/worker.h"

#include <cstdio>

namespace fanhorn {

namespace {

// curl's own default says nothing about the payload.
bool is_untyped(const std::string* content_type) {
    return !content_type || content_type->empty() ||
           is_media_type(content_type, "application/x-www-form-urlencoded");
}

// RFC 9112 section 7.1; an empty one is the last.
void append_chunk(std::string& out, std::string_view data) {
    char size[20];
    const int length = std::snprintf(size, sizeof size, "%zx\r\n", data.size());
    out.append(size, static_cast<size_t>(length)).append(data).append("\r\n");
}

} // namespace

bool is_media_type(const std::string* content_type, std::string_view wanted) {
    if (!content_type)
        return false;
    const std::string_view type = *content_type;
    return equal_ignoring_case(trim_blanks(type.substr(0, type.find(';'))), wanted);
}

void Connection::channel_control() {
    const std::string& name = exchange_->channels[0];
    if (exchange_->request.method == http::Method::Delete)
        worker().control().remove(name, reply());
    else
        worker().control().channel(name, reply());
}

// The draft that the request asks for, without a channel.
std::optional<http::Problem> Connection::read_draft(Draft& draft) {
    Exchange& exchange = *exchange_;
    if (auto problem = read_options(exchange.request, draft))
        return problem;
    constexpr size_t kMaxTypeBytes = 255;
    const std::string* type = exchange.request.header("Content-Type");
    if (type && type->size() > kMaxTypeBytes)
        return http::problem("bad_request", "a Content-Type has at most 255 bytes");
    if (!is_untyped(type))
        draft.content_type = *type;
    draft.retain = exchange.request.method == http::Method::Put;
    draft.payload = std::move(exchange.body);
    exchange.body = {};
    return std::nullopt;
}

void Connection::publish_raw() {
    Draft draft;
    if (auto problem = read_draft(draft))
        return send_problem(*problem);
    publish_draft(std::move(draft));
}

// To each channel of the path.
void Connection::publish_draft(Draft&& draft) {
    std::vector<std::string>& names = exchange_->channels;
    if (names.size() == 1)
        return worker().publisher().publish_one({std::move(names[0]), std::move(draft), {}, {}},
                                                [owner = owner()](const Attempt& done) {
                                                    if (*owner)
                                                        (*owner)->answer_published(done);
                                                });
    Attempts attempts(names.size());
    for (size_t i = 0; i < attempts.size(); ++i) {
        attempts[i].channel = std::move(names[i]);
        attempts[i].draft = draft;
    }
    publish_attempts(std::move(attempts));
}

void Connection::answer_published(const Attempt& attempt) {
    if (attempt.problem)
        return send_answer(problem_answer(*attempt.problem));
    Answer answer = json_answer(attempt_json(attempt, false));
    answer.headers = "Fanhorn-Id: ";
    append_position(answer.headers, attempt.published.position);
    answer.headers += "\r\n";
    if (attempt.published.status == Published::Status::Replayed)
        http::append_header(answer.headers, "Fanhorn-Replayed", "1");
    send_answer(answer);
}

void Connection::publish_attempts(Attempts attempts) {
    worker().publisher().publish(std::move(attempts), [reply = reply()](Attempts done) {
        std::string body = "{\"results\":[";
        for (size_t i = 0; i < done.size(); ++i)
            body.append(i ? "," : "").append(attempt_json(done[i], true));
        reply(json_answer(body + "]}"));
    });
}

void Connection::publish_batch() {
    const std::string* type = exchange_->request.header("Content-Type");
    if (!is_untyped(type) && !is_media_type(type, "application/json"))
        return send_problem(http::problem(
            "unsupported_type", "POST /pub takes application/json or application/x-ndjson"));
    Attempts attempts;
    if (auto problem = read_batch(exchange_->body, attempts))
        return send_problem(*problem);
    check_attempts(backend(), attempts, counters());
    publish_attempts(std::move(attempts));
}

// Under the channels' own `client_publish`.
void Connection::publish_from_client() {
    Caller caller(exchange_->request, listener_->settings, exchange_->identities, counters());
    for (const std::string& name : exchange_->channels) {
        const ChannelSettings* settings = worker().directory().settings_for(name);
        if (!settings)
            return send_problem(
                http::problem("channel_unknown", "no [channel] section matches '" + name + "'"));
        if (auto problem = caller.may_publish(name, *settings))
            return send_problem(*problem);
        if (auto problem = worker().limit_publish(*settings, Tally::Address, *this,
                                                  exchange_->identities.user()))
            return send_problem(*problem);
    }
    Draft draft;
    if (auto problem = read_draft(draft))
        return send_problem(*problem);
    counters().client_published.add(exchange_->channels.size());
    publish_draft(std::move(draft));
}

// ---- a streamed body of lines

void Connection::feed_lines(bool is_done) {
    Exchange& exchange = *exchange_;
    const std::string bytes = std::move(exchange.body);
    exchange.body = {};
    const auto done = [owner = owner()](const std::string& lines) {
        if (*owner)
            (*owner)->send_lines(lines);
    };
    if (bytes.find('\n') != bytes.npos) // each line has its time, however its bytes dribble
        arm(worker().config().limits.body_timeout);
    if (exchange.lines->feed(bytes, done) == LinePublisher::Status::TooLong) {
        note(Limit::BodySize);
        begin_lines();
        return refuse_body(http::problem("too_large", "a line is larger than 'body_size'"));
    }
    if (!is_done)
        return;
    exchange.lines->finish(done);
    exchange.is_whole = true;
    disarm();
    enter(State::Answering);
    if (exchange.lines->open() == 0)
        end_lines(false);
}

// Result lines as they come, in a body whose length nobody knows.
void Connection::send_lines(const std::string& lines) {
    if (state_ == State::Closed || state_ == State::Flushing)
        return;
    Exchange& exchange = *exchange_;
    begin_lines();
    if (exchange.request.minor_version == 0) {
        exchange.out += lines;
    } else if (!lines.empty()) {
        append_chunk(exchange.out, lines);
    }
    if (!is_feeding_)
        flush_out();
    if (state_ == State::Answering && exchange.lines->open() == 0)
        end_lines(false);
}

// The rest of the body is not wanted. Inside a streamed answer that is its last line, for another
// head there would be read as part of it.
void Connection::refuse_body(const http::Problem& problem) {
    if (!exchange_->has_begun)
        return send_problem(problem, true);
    send_lines(http::problem_body(problem) + "\n");
    end_lines(true);
}

// The answer's head, once.
void Connection::begin_lines() {
    Exchange& exchange = *exchange_;
    if (exchange.has_begun)
        return;
    exchange.has_begun = true;
    http::append_status(exchange.out, 200);
    http::append_header(exchange.out, "Content-Type", "application/x-ndjson");
    if (exchange.request.minor_version > 0)
        http::append_header(exchange.out, "Transfer-Encoding", "chunked");
    if (exchange.request.minor_version == 0 || !exchange.request.keep_alive)
        http::append_header(exchange.out, "Connection", "close");
    exchange.out += "\r\n";
}

void Connection::end_lines(bool close) {
    Exchange& exchange = *exchange_;
    begin_lines();
    exchange.has_begun = false;
    if (exchange.request.minor_version > 0)
        append_chunk(exchange.out, {});
    if (close || exchange.request.minor_version == 0 || !exchange.request.keep_alive)
        return close_after_out();
    next_request();
}

} // namespace fanhorn
