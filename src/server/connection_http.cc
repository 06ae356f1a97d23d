// SPDX-License-Identifier: Apache-2.0
// Requests in, answers out.
#include "base/log.h"
#include "base/text.h"
#include "http/response.h"
#include "server/connection.h"
#include "server/metrics.h"
#include "server/origin.h"
#include "server/worker.h"

namespace fanhorn {

namespace {

Limit limit_of_status(int status, std::string_view detail) {
    if (status == 414)
        return Limit::UriSize;
    return detail.ends_with("header fields") ? Limit::HeaderCount : Limit::HeaderSize;
}

} // namespace

// ---- reading

void Connection::open_exchange() {
    if (exchange_)
        return;
    const auto& limits = worker().config().limits;
    exchange_ = take_exchange({limits.header_size, limits.uri_size, limits.header_count});
}

// An idle connection has no memory for HTTP, nor has one whose poll waits in the feeds.
void Connection::close_exchange() {
    const bool is_waiting = state_ == State::Polling && !exchange_->is_head &&
                            subscriber_->state() == Subscriber::State::Live;
    if ((state_ == State::Idle || is_waiting) && exchange_->is_unused())
        give_back(std::move(exchange_));
}

void Connection::feed(std::span<char> bytes) {
    CHECK(!is_feeding_);
    is_feeding_ = true;
    open_exchange();
    feed_on(bytes);
}

void Connection::feed_on(std::span<char> bytes) {
    std::string_view of_head;
    while (!bytes.empty() && wants_input() && state_ != State::Streaming) {
        const std::string_view text(bytes.data(), bytes.size());
        size_t used = bytes.size(); // Flushing and beyond: dropped
        if (state_ == State::Idle || state_ == State::Head) {
            if (state_ == State::Idle)
                exchange_->head_bytes.clear();
            used = feed_head(text);
            of_head = text.substr(0, used);
        } else if (state_ == State::Body) {
            used = feed_body(text);
        }
        bytes = bytes.subspan(used);
    }
    is_feeding_ = false;
    if (state_ == State::Head || state_ == State::Body)
        exchange_->head_bytes += of_head;
    if (state_ == State::Streaming)
        return leave_http(bytes);
    if (state_ == State::Closed)
        return;
    exchange_->stash.assign(bytes.data(), bytes.size());
    if (state_ == State::Body && !is_armed()) // the body did not come with its head
        arm(worker().config().limits.body_timeout);
    if (exchange_->out_pending() > 0)
        flush_out();
    if (exchange_)
        close_exchange();
}

// A stream needs nothing of HTTP any more, once it cannot be refused; `bytes` came behind its
// request.
void Connection::leave_http(std::span<char> bytes) {
    if (subscriber_->state() != Subscriber::State::Placing)
        give_back(std::move(exchange_));
    if (!bytes.empty())
        hear(bytes);
}

size_t Connection::feed_head(std::string_view bytes) {
    const bool is_first = state_ == State::Idle;
    if (is_first)
        expect_client();
    enter(State::Head);
    const auto result = exchange_->parser.feed(bytes);
    switch (result.status) {
    case http::RequestParser::Status::NeedMore:
        if (exchange_->parser.is_idle()) // an empty line between requests, which buys no time
            enter(State::Idle);
        else if (is_first)
            arm(worker().config().limits.header_timeout);
        break;
    case http::RequestParser::Status::Head:
        on_head();
        break;
    case http::RequestParser::Status::Error: {
        const http::Problem problem = exchange_->parser.problem();
        exchange_->request = {};
        if (problem.status == 414 || problem.status == 431)
            note(limit_of_status(problem.status, problem.detail));
        send_problem(problem, true);
        return bytes.size();
    }
    }
    return result.consumed;
}

size_t Connection::feed_body(std::string_view bytes) {
    Exchange& exchange = *exchange_;
    const auto result = exchange.reader.feed(bytes, exchange.body);
    if (result.status == http::BodyReader::Status::Error) {
        const http::Problem problem = exchange.reader.problem();
        if (problem.status == 413)
            note(Limit::BodySize);
        refuse_body(problem);
        return bytes.size();
    }
    const bool is_done = result.status == http::BodyReader::Status::Done;
    if (exchange.lines)
        feed_lines(is_done);
    else if (is_done)
        on_request();
    return result.consumed;
}

void Connection::on_head() {
    Exchange& exchange = *exchange_;
    const http::Head& head = exchange.parser.head();
    const http::Request& request = exchange.request;
    is_fresh_ = false;
    disarm();
    counters().requests.add(1);
    find_client();
    exchange.is_head = request.method == http::Method::Head;
    exchange.route = find_route(request.path, listener_->settings.serve);
    exchange.cors.clear();
    exchange.forget_caller();
    if (!is_private(exchange.route.kind))
        exchange.cors = cors_headers(request, listener_->settings);
    exchange.has_body = head.framing != http::Framing::None;
    exchange.is_whole = !exchange.has_body;
    if (auto problem = check_head())
        return send_problem(*problem, exchange.has_body);
    if (!exchange.has_body)
        return on_request();

    const bool is_lines = exchange.route.kind == Route::Kind::PubBatch &&
                          is_media_type(request.header("Content-Type"), "application/x-ndjson");
    const uint64_t limit = is_lines ? UINT64_MAX : worker().config().limits.body_size;
    exchange.reader = http::BodyReader(head.framing, head.length, limit);
    enter(State::Body);
    if (is_lines)
        exchange.lines = std::make_unique<LinePublisher>(
            worker().publisher(), worker().config().limits.body_size, IdentityRef(backend()));
    feed_body({}); // a body that is announced too large is refused before it is invited
    if (request.expects_continue && state_ == State::Body)
        exchange.out += http::kContinue;
}

// What can be refused before the body has come.
std::optional<http::Problem> Connection::check_head() {
    const Exchange& exchange = *exchange_;
    const http::Request& request = exchange.request;
    if (auto problem = check_client())
        return problem;
    if (request.path == "*")
        return std::nullopt;
    if (exchange.route.kind == Route::Kind::None)
        return http::problem("not_found", "nothing is served at this path on this listener");
    if (is_private(exchange.route.kind)) {
        const std::string refusal = private_refusal(request, listener_->settings);
        if (!refusal.empty())
            return http::problem("forbidden", refusal);
        if (exchange.route.kind != Route::Kind::Metrics)
            if (auto problem = check_backend())
                return problem;
    } else if (!is_origin_allowed(request, listener_->settings)) {
        return http::problem("forbidden", "this origin is not listed under 'origins'");
    }
    if (!exchange.route.allows(request.method))
        return http::problem("method_not_allowed",
                             "allowed here: " + std::string(exchange.route.allow));
    if (auto problem = read_channels())
        return problem;
    return check_backend_channels();
}

// The channels of the path, where it has some.
std::optional<http::Problem> Connection::read_channels() {
    const Route& route = exchange_->route;
    if (exchange_->request.method == http::Method::Options ||
        (route.kind != Route::Kind::Pub && route.kind != Route::Kind::Sub &&
         route.kind != Route::Kind::History && route.kind != Route::Kind::Presence &&
         route.kind != Route::Kind::User))
        return std::nullopt;
    if (route.kind == Route::Kind::User) {
        const auto user = decode_user(route.channels);
        if (!user)
            return http::problem("bad_request", user.error());
        exchange_->channels = {user_channel(*user)};
        return std::nullopt;
    }
    auto names = decode_channels(route.channels);
    if (!names)
        return http::problem("bad_channel", names.error());
    if (names->size() > worker().config().limits.subscriptions) {
        note(Limit::Subscriptions);
        return http::problem("bad_channel", "more channels than 'subscriptions' in [limits]");
    }
    const http::Method method = exchange_->request.method;
    const bool is_of_one = route.kind == Route::Kind::History ||
                           route.kind == Route::Kind::Presence ||
                           (route.kind == Route::Kind::Pub && method != http::Method::Post &&
                            method != http::Method::Put);
    if (is_of_one && names->size() != 1)
        return http::problem("bad_channel", "this is asked of one channel");
    exchange_->channels = std::move(*names);
    return std::nullopt;
}

// The whole request is there.
void Connection::on_request() {
    disarm();
    exchange_->is_whole = true;
    enter(State::Answering);
    ask_or_dispatch();
}

void Connection::dispatch() {
    const http::Method method = exchange_->request.method;
    if (method == http::Method::Options)
        return answer_options();
    switch (exchange_->route.kind) {
    case Route::Kind::Pub:
        if (method == http::Method::Post || method == http::Method::Put)
            return publish_raw();
        return channel_control();
    case Route::Kind::PubBatch:
        return publish_batch();
    case Route::Kind::Channels:
        return worker().control().channels(exchange_->request, reply());
    case Route::Kind::History:
        return history();
    case Route::Kind::User:
        if (method == http::Method::Post)
            return publish_raw();
        return worker().send_user_away(*decode_user(exchange_->route.channels), reply());
    case Route::Kind::Presence:
        return worker().control().presence(exchange_->channels[0], reply());
    case Route::Kind::Sub:
        return method == http::Method::Post ? publish_from_client() : subscribe();
    case Route::Kind::SubBody:
        return method == http::Method::Post ? subscribe_by_body() : subscribe();
    case Route::Kind::Health:
        return answer_health(false);
    case Route::Kind::Ready:
        return answer_health(true);
    case Route::Kind::Metrics:
        return answer_metrics();
    case Route::Kind::Page:
    case Route::Kind::Dashboard:
        return answer_page();
    case Route::Kind::DashboardEvents:
        return watch_dashboard();
    case Route::Kind::None:
        CHECK(false);
    }
}

// ---- answering

// For what may come when the connection has gone.
std::shared_ptr<Connection*> Connection::owner() {
    if (!exchange_->owner)
        exchange_->owner = std::make_shared<Connection*>();
    *exchange_->owner = this;
    return exchange_->owner;
}

Reply Connection::reply() {
    return [owner = owner()](const Answer& answer) {
        if (*owner)
            (*owner)->send_answer(answer);
    };
}

void Connection::refuse_protocol(const http::Problem& problem) {
    open_exchange();
    send_problem(problem, true);
}

void Connection::send_problem(const http::Problem& problem, bool close) {
    Answer answer = problem_answer(problem);
    answer.close = close;
    if (problem.status == 405)
        http::append_header(answer.headers, "Allow", exchange_->route.allow);
    if (problem.status == 401)
        http::append_header(answer.headers, "WWW-Authenticate", "Bearer");
    if (problem.status == 426) {
        // Closing, or a proxy could take what follows for an upgraded connection.
        answer.close = true;
        http::append_header(answer.headers, "Upgrade", "websocket");
        http::append_header(answer.headers, "Sec-WebSocket-Version", "13");
    }
    send_answer(answer);
}

void Connection::send_answer(const Answer& answer) {
    if (state_ == State::Closed)
        return;
    Exchange& exchange = *exchange_;
    const http::Request& request = exchange.request;
    const bool close =
        answer.close || !request.keep_alive || !exchange.is_whole || worker().is_draining();
    std::string& out = exchange.out;
    http::append_status(out, answer.status);
    if (!answer.content_type.empty()) {
        http::append_header(out, "Content-Type", answer.content_type);
        out += "X-Content-Type-Options: nosniff\r\n";
    }
    if (answer.status != 204 && answer.status != 304)
        http::append_content_length(out, answer.body.size());
    http::append_connection(out, !close, request.minor_version);
    out += exchange.cors;
    out += answer.headers;
    out += "\r\n";
    if (!exchange.is_head)
        out += answer.body;
    if (close)
        return close_after_out();
    next_request();
}

void Connection::next_request() {
    Exchange& exchange = *exchange_;
    exchange.body = {};
    exchange.lines = nullptr;
    exchange.is_head = false; // or what refuses the next one, before its head is whole, were so
    exchange.cors.clear();
    enter(State::Idle);
    arm(worker().config().limits.idle_timeout);
    if (is_feeding_)
        return; // the loop goes on with what is left
    flush_out();
    if (state_ == State::Closed)
        return;
    if (has_unread_ || !exchange.stash.empty())
        read_in_next_turn();
    close_exchange();
}

void Connection::close_after_out() {
    if (state_ == State::Closed)
        return;
    enter(State::Flushing);
    arm(worker().config().limits.send_timeout);
    flush_out();
}

void Connection::flush_out() {
    Exchange& exchange = *exchange_;
    while (exchange.out_pending() > 0) {
        const iovec piece = {exchange.out.data() + exchange.out_sent, exchange.out_pending()};
        const ssize_t sent = write(&piece, 1);
        if (sent < 0)
            return;
        exchange.out_sent += static_cast<size_t>(sent);
        if (static_cast<size_t>(sent) < piece.iov_len)
            return await_room();
    }
    exchange.unread.unlink();
    exchange.out.clear();
    exchange.out_sent = 0;
    if (state_ == State::Flushing)
        finish();
    else if (!is_feeding_ && (has_unread_ || !exchange.stash.empty()) && wants_input())
        read_in_next_turn();
}

// What backends ask is left alone where memory is short.
void Connection::await_room() {
    if (!is_armed())
        arm(worker().config().limits.send_timeout);
    if (listener().is_private())
        return;
    exchange_->connection = this;
    worker().add_unread(*exchange_);
}

void Connection::answer_options() {
    Answer answer;
    answer.status = 204;
    const std::string_view allow = exchange_->route.kind == Route::Kind::None
                                       ? std::string_view("GET, HEAD, POST, PUT, DELETE, OPTIONS")
                                       : exchange_->route.allow;
    http::append_header(answer.headers, "Allow", allow);
    if (!exchange_->cors.empty())
        answer.headers += preflight_headers();
    send_answer(answer);
}

void Connection::answer_health(bool is_ready) {
    if (is_ready && worker().is_draining())
        return send_problem(http::problem("draining", "the server is going away"));
    Answer answer;
    answer.content_type = "text/plain; charset=utf-8";
    answer.body = "ok\n";
    http::append_header(answer.headers, "Cache-Control", "no-store");
    send_answer(answer);
}

void Connection::answer_metrics() {
    Answer answer;
    answer.content_type = "text/plain; version=0.0.4; charset=utf-8";
    answer.body = metrics_text(worker().shared(), worker().config());
    send_answer(answer);
}

} // namespace fanhorn
