// SPDX-License-Identifier: Apache-2.0
#include "modules/redis_connection.h"

namespace fanhorn {

void RedisConnection::open(const RedisPeer& peer) {
    close();
    peer_ = &peer;
    ++opened_;
    stream_.open(peer.destination, 0, kTimeout);
}

void RedisConnection::close() {
    stream_.close();
    reader_ = RedisReader();
    asked_.clear();
    asked_at_ = 0;
    is_paused_ = false;
    std::deque<Asked> waiting;
    waiting.swap(waiting_);
    for (const Asked& each : waiting)
        each.answer(RedisReply(nullptr));
}

void RedisConnection::fail(std::string_view reason) {
    const std::string kept(reason); // it may be of what goes now
    const uint64_t opened = opened_;
    stream_.close();
    events_.on_closed(kept);
    if (opened == opened_)
        close();
}

void RedisConnection::on_open() {
    if (!peer_->password.empty() && peer_->user.empty())
        must({"AUTH", peer_->password});
    else if (!peer_->password.empty())
        must({"AUTH", peer_->user, peer_->password});
    if (!peer_->database.empty())
        must({"SELECT", peer_->database});
    events_.on_open();
}

void RedisConnection::must(std::vector<std::string> words) {
    ask(words, [this, at = opened_](const RedisReply& reply) {
        if (reply.is_error() && at == opened_ && is_open())
            fail(reply.text());
    });
}

void RedisConnection::on_end(ClientStream::End end, const std::string& reason) {
    static constexpr std::string_view kWords[] = {
        "the server cannot be reached", "the server cannot be reached in time",
        "no TLS with the server", "it closed the connection", "the connection broke"};
    std::string text(kWords[static_cast<size_t>(end)]);
    fail(reason.empty() ? text : text + ": " + reason);
}

bool RedisConnection::ask(std::span<const std::string> words, Answer answer) {
    if (!is_open() || waiting_.size() >= max_waiting_ ||
        stream_.unsent() + asked_.size() > kMaxUnsent)
        return false;
    append_command(asked_, words);
    if (!asked_at_)
        asked_at_ = clock_.now();
    if (answer)
        waiting_.push_back({std::move(answer), clock_.now()});
    return true;
}

void RedisConnection::flush() {
    if (is_open() && !asked_.empty())
        stream_.send(asked_);
    asked_.clear();
}

void RedisConnection::on_bytes(std::string_view bytes) {
    if (!reader_.feed(bytes))
        return fail("the server does not speak its protocol");
    take_replies();
    asked_at_ = waiting_.empty() ? 0 : clock_.now();
}

void RedisConnection::take_replies() {
    const uint64_t opened = opened_;
    while (!is_paused_ && is_open() && opened == opened_) {
        const RedisReader::Owned reply = reader_.next();
        if (!reply)
            break;
        take(RedisReply(reply.get()));
    }
    if (opened == opened_ && is_open() && reader_.is_broken())
        fail("the server does not speak its protocol");
}

void RedisConnection::take(const RedisReply& reply) {
    if (waiting_.empty()) {
        if (events_.on_push)
            events_.on_push(reply);
        return;
    }
    const Answer answer = std::move(waiting_.front().answer);
    waiting_.pop_front();
    answer(reply);
}

void RedisConnection::resume() {
    is_paused_ = false;
    take_replies();
}

void RedisConnection::tick() {
    const Millis now = clock_.now();
    const bool is_silent = asked_at_ && now >= asked_at_ + kTimeout;
    const bool is_late = !waiting_.empty() && now >= waiting_.front().at + kMaxAge;
    if (is_open() && (is_silent || is_late))
        fail("the server does not answer");
}

} // namespace fanhorn
