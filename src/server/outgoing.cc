// SPDX-License-Identifier: Apache-2.0
#include "server/outgoing.h"

#include "base/check.h"
#include "base/random.h"

#include <algorithm>
#include <array>

namespace fanhorn {

using Fault = Outgoing::Response::Fault;

// A connection, and what it is doing.
class Outgoing::Link final : public EdgeWatch {
  public:
    enum class State : uint8_t { Closed, Connecting, Asking, Idle };

    explicit Link(Outgoing& owner) : owner_(owner) {}
    ~Link() override { close(); } // the watch ends before its descriptor
    State state() const { return state_; }
    bool is_busy() const { return state_ == State::Connecting || state_ == State::Asking; }

    void start(Job job) {
        job_ = std::move(job);
        sent_ = tries_ = 0;
        reader_ = http::ResponseReader(owner_.settings_.body_size);
        has_answer_begun_ = false;
        is_reused_ = state_ == State::Idle;
        if (is_reused_) {
            state_ = State::Asking;
            return send();
        }
        connect();
    }

    void tick(Millis now) {
        if (is_busy() && now >= job_.until)
            fail(Fault::TimedOut);
        else if (state_ == State::Idle && now >= idle_until_)
            close();
    }

    void on_ready(uint8_t what) override {
        if (state_ == State::Idle)
            return look();
        if (state_ == State::Connecting && (what & (kWritable | kClosed)))
            on_connected();
        else if (state_ == State::Asking && (what & kWritable) && sent_ < job_.request.size())
            send();
        if (state_ == State::Asking && (what & (kReadable | kClosed)))
            receive_some();
    }

  private:
    // Something came that nobody asked for, or the end.
    void look() {
        std::array<char, 1> byte;
        if (receive(socket_.get(), byte).state != Received::State::WouldBlock)
            close();
    }

    void connect() {
        state_ = State::Connecting;
        socket_ = start_connecting(owner_.peer());
        if (!socket_ || !watch(owner_.loop_, socket_.get()))
            go_on();
    }

    // With the next address, if one is left.
    void go_on() {
        close();
        owner_.skip_peer();
        if (++tries_ >= owner_.endpoint_.peers.size())
            return fail(Fault::Unreachable);
        connect();
    }

    void on_connected() {
        if (connect_error(socket_.get()) != 0)
            return go_on();
        state_ = State::Asking;
        send();
    }

    void send() {
        while (sent_ < job_.request.size()) {
            const iovec piece = {job_.request.data() + sent_, job_.request.size() - sent_};
            const ssize_t sent = send_pieces(socket_.get(), &piece, 1);
            if (sent < 0)
                return lose();
            if (sent == 0)
                return;
            sent_ += static_cast<size_t>(sent);
        }
    }

    void receive_some() {
        std::array<char, 16 << 10> buffer;
        while (state_ == State::Asking) {
            const Received got = receive(socket_.get(), buffer);
            if (got.state == Received::State::WouldBlock)
                return;
            if (got.state == Received::State::Broken)
                return lose();
            if (got.state == Received::State::End)
                return reader_.end() ? answer() : lose();
            has_answer_begun_ = true;
            if (!reader_.feed({buffer.data(), got.size}))
                return fail(Fault::Broken);
            if (reader_.is_done())
                return answer();
        }
    }

    void answer() {
        Response response{Fault::None, reader_.status(), std::move(reader_.body())};
        if (reader_.is_kept_alive()) {
            state_ = State::Idle;
            idle_until_ = owner_.clock_.now() + kIdle;
        } else {
            close();
        }
        done(response);
    }

    // A kept-alive connection that the peer has closed meanwhile is no fault of anybody.
    void lose() {
        if (!is_reused_ || has_answer_begun_)
            return fail(Fault::Broken);
        close();
        Job job = std::move(job_);
        start(std::move(job));
    }

    void fail(Fault fault) {
        close();
        done({fault, 0, {}});
    }

    void done(const Response& response) {
        Job job = std::move(job_);
        owner_.finish(job, response);
    }

    void close() {
        unwatch();
        socket_.reset();
        state_ = State::Closed;
    }

    Outgoing& owner_;
    Descriptor socket_;
    State state_ = State::Closed;
    Job job_;
    size_t sent_ = 0, tries_ = 0;
    http::ResponseReader reader_;
    bool is_reused_ = false, has_answer_begun_ = false;
    Millis idle_until_ = 0;
};

Outgoing::Outgoing(Loop& loop, const Clock& clock, Endpoint endpoint, Settings settings)
    : loop_(loop), clock_(clock), endpoint_(std::move(endpoint)), settings_(settings) {
    CHECK(!endpoint_.peers.empty());
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
    case Fault::Broken:
        return "broke off, or its answer is no HTTP or too long";
    }
    return "";
}

// While it is tried again, one request at a time.
bool Outgoing::is_paused() const {
    return failures_ >= kFailures && (clock_.now() < paused_until_ || busy_ > 0);
}

void Outgoing::ask(std::string request, Done done) {
    if (is_paused())
        return done({Fault::Down, 0, {}});
    if (busy_ + waiting_.size() >= settings_.requests)
        return done({Fault::Busy, 0, {}});
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
    if (failures_ < kFailures)
        return;
    const Millis pause = std::min(kMostPause, kLeastPause << std::min(failures_ - kFailures, 5));
    paused_until_ = clock_.now() + pause / 2 + random_below(static_cast<uint32_t>(pause / 2 + 1));
    for (Job& job : std::exchange(waiting_, {}))
        job.done({Fault::Down, 0, {}});
}

void Outgoing::tick() {
    const Millis now = clock_.now();
    for (const auto& link : links_)
        link->tick(now);
    while (!waiting_.empty() && now >= waiting_.front().until) {
        Job job = std::move(waiting_.front());
        waiting_.pop_front();
        count(false);
        job.done({Fault::TimedOut, 0, {}});
    }
}

} // namespace fanhorn
