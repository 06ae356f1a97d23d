// SPDX-License-Identifier: Apache-2.0
#include "server/outgoing.h"

#include "base/check.h"
#include "base/random.h"

#include <algorithm>

namespace fanhorn {

using Fault = Outgoing::Response::Fault;

// A connection, and what it is doing.
class Outgoing::Link final : public ClientStream::User {
  public:
    enum class State : uint8_t { Closed, Asking, Idle };

    explicit Link(Outgoing& owner) : owner_(owner), stream_(owner.loop_, *this) {}
    State state() const { return state_; }

    void start(Job job) {
        job_ = std::move(job);
        reader_ = http::ResponseReader(owner_.settings_.body_size);
        has_answer_begun_ = false;
        is_reused_ = state_ == State::Idle;
        state_ = State::Asking;
        if (is_reused_)
            return stream_.send(job_.request);
        stream_.open(owner_.endpoint_.destination, owner_.peer_,
                     std::max<Millis>(job_.until - owner_.clock_.now(), 0));
    }

    void tick(Millis now) {
        if (state_ == State::Asking && now >= job_.until)
            fail(Fault::TimedOut, stream_.is_open() ? "" : "no connection");
        else if (state_ == State::Idle && now >= idle_until_)
            close();
    }

    void on_open() override {
        owner_.peer_ = stream_.peer();
        stream_.send(job_.request);
    }

    void on_bytes(std::string_view bytes) override {
        if (state_ == State::Idle)
            return close(); // nobody asked for them
        has_answer_begun_ = true;
        if (!reader_.feed(bytes))
            return fail(Fault::Broken, "");
        if (reader_.is_done())
            answer();
    }

    void on_end(ClientStream::End end, const std::string& reason) override {
        const bool was_idle = state_ == State::Idle;
        const bool is_whole = end == ClientStream::End::Closed && !was_idle && reader_.end();
        state_ = State::Closed;
        if (was_idle)
            return;
        if (is_whole)
            return answer();
        // A kept-alive connection that the peer has closed meanwhile is no fault of anybody.
        if (is_reused_ && !has_answer_begun_)
            return start(std::move(job_));
        fail(fault_of(end), reason);
    }

  private:
    static Fault fault_of(ClientStream::End end) {
        switch (end) {
        case ClientStream::End::Unreachable:
            return Fault::Unreachable;
        case ClientStream::End::TimedOut:
            return Fault::TimedOut;
        case ClientStream::End::Handshake:
            return Fault::Untrusted;
        case ClientStream::End::Closed:
        case ClientStream::End::Broken:
            break;
        }
        return Fault::Broken;
    }

    void answer() {
        Response response{Fault::None, reader_.status(), std::move(reader_.body())};
        if (reader_.is_kept_alive() && stream_.is_open()) {
            state_ = State::Idle;
            idle_until_ = owner_.clock_.now() + kIdle;
        } else {
            close();
        }
        done(response);
    }

    void fail(Fault fault, std::string_view detail) {
        Response response{.fault = fault, .detail = std::string(detail)};
        close();
        done(response);
    }

    void done(const Response& response) {
        Job job = std::move(job_);
        owner_.finish(job, response);
    }

    void close() {
        stream_.close();
        state_ = State::Closed;
    }

    Outgoing& owner_;
    ClientStream stream_;
    State state_ = State::Closed;
    Job job_;
    http::ResponseReader reader_;
    bool is_reused_ = false, has_answer_begun_ = false;
    Millis idle_until_ = 0;
};

Outgoing::Outgoing(Loop& loop, const Clock& clock, Endpoint endpoint, Settings settings)
    : loop_(loop), clock_(clock), endpoint_(std::move(endpoint)), settings_(settings) {
    CHECK(!endpoint_.destination.peers.empty());
    for (size_t i = 0; i < kConnections; ++i)
        links_.push_back(std::make_unique<Link>(*this));
}

Outgoing::~Outgoing() = default;

std::string_view Outgoing::fault_text(Fault fault) {
    switch (fault) {
    case Fault::None:
        return "answered";
    case Fault::Busy:
        return "has too many questions waiting";
    case Fault::Down:
        return "has failed and is left alone for a moment";
    case Fault::Unreachable:
        return "cannot be reached";
    case Fault::TimedOut:
        return "did not answer in time";
    case Fault::Untrusted:
        return "cannot be trusted";
    case Fault::Broken:
        return "broke off, or its answer is no HTTP or too long";
    }
    return "";
}

// While it is tried again, one request at a time.
bool Outgoing::is_paused() const {
    return settings_.is_left_alone && failures_ >= kFailures &&
           (clock_.now() < paused_until_ || busy_ > 0);
}

void Outgoing::ask(std::string request, Done done) {
    if (is_paused())
        return done({.fault = Fault::Down});
    if (busy_ + waiting_.size() >= settings_.requests)
        return done({.fault = Fault::Busy});
    waiting_.push_back({std::move(request), std::move(done), clock_.now() + settings_.timeout});
    start_some();
}

void Outgoing::start_some() {
    while (!waiting_.empty()) {
        const auto of = [this](Link::State wanted) {
            return std::find_if(links_.begin(), links_.end(),
                                [&](const auto& link) { return link->state() == wanted; });
        };
        auto link = of(Link::State::Idle);
        if (link == links_.end())
            link = of(Link::State::Closed);
        if (link == links_.end())
            return;
        Job job = std::move(waiting_.front());
        waiting_.pop_front();
        ++busy_;
        (*link)->start(std::move(job));
    }
}

void Outgoing::finish(Job& job, const Response& response) {
    --busy_;
    count(response.fault == Fault::None && response.status < 500);
    job.done(response);
    start_some();
}

void Outgoing::count(bool is_good) {
    failures_ = is_good ? 0 : failures_ + 1;
    if (failures_ < kFailures || !settings_.is_left_alone)
        return;
    const Millis pause = std::min(kMostPause, kLeastPause << std::min(failures_ - kFailures, 5));
    paused_until_ = clock_.now() + pause / 2 + random_below(static_cast<uint32_t>(pause / 2 + 1));
    for (Job& job : std::exchange(waiting_, {}))
        job.done({.fault = Fault::Down});
}

void Outgoing::tick() {
    const Millis now = clock_.now();
    for (const auto& link : links_)
        link->tick(now);
    while (!waiting_.empty() && now >= waiting_.front().until) {
        Job job = std::move(waiting_.front());
        waiting_.pop_front();
        count(false);
        job.done({.fault = Fault::TimedOut});
    }
}

} // namespace fanhorn
